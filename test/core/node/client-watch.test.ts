import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Change, Client, type KvEngine, type Watch } from "../../../src/core/node/index.ts";
import { nodeClock, nodeRandom } from "../../../src/runtimes/node/index.ts";
import { startLoneEngine } from "./lone-engine.ts";

async function take(watch: Watch, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of watch) {
    changes.push(change);
    if (changes.length === count) break;
  }
  return changes;
}

function shown({ type, key, value, revision, initial }: Change): string {
  return `${initial ? "initially " : ""}${type} ${key}=${value} @${revision}`;
}

describe("Client.watch", () => {
  let engine: KvEngine;
  let client: Client;

  beforeAll(async () => {
    engine = await startLoneEngine();
  });
  afterAll(() => engine.stop());
  beforeEach(async () => {
    client = new Client(engine, { clock: nodeClock, random: nodeRandom });
    await client.deletePrefix("");
  });

  it("gives changes from the moment it was called, and lets go of everything when the loop is left", async () => {
    const watch = client.watchPrefix("a/");
    const first = await client.put("a/1", "one");
    await client.put("b", "other");
    await client.delete("a/1");
    expect((await take(watch, 2)).map(shown)).toEqual([`put a/1=one @${first}`, `delete a/1= @${first + 2}`]);
    expect(engine.status().watches).toEqual({ streams: 0, watches: 0, slowWatches: 0 });
  });

  it("gives the state first and then the changes, and what was before", async () => {
    await client.put("k", "0");
    const revision = await client.put("k", "1");
    const watch = client.watch("k", { initialState: true, prevKv: true });
    await client.put("k", "2");
    const changes = await take(watch, 2);
    expect(changes.map(shown)).toEqual([`initially put k=1 @${revision}`, `put k=2 @${revision + 1}`]);
    expect(new TextDecoder().decode(changes[1]!.prevKv!.value)).toBe("1");
  });

  it("goes on where another watch has ended", async () => {
    const revision = await client.put("k", "1");
    const watch = client.watch("k", { startRevision: revision });
    expect(watch.toldRevision).toBe(revision - 1);
    const changes: string[] = [];
    for await (const change of watch) {
      changes.push(shown(change));
      if (change.value === "1") await client.put("k", "2");
      else break;
    }
    await client.put("k", "3");
    const next = client.watch("k", { startRevision: watch.toldRevision + 1 });
    expect((await take(next, 1)).map(shown)).toEqual([`put k=2 @${revision + 1}`]);
    expect(changes.length).toBe(2);
  });

  it("fails with the reason: compacted, canceled, refused, stopped", async () => {
    const revision = await client.put("k", "1");
    await client.put("k", "2");
    await engine.compact({ revision: revision + 1 });
    await expect(take(client.watch("k", { startRevision: revision }), 1)).rejects.toMatchObject({
      code: "compacted",
      detail: `history begins at revision ${revision + 1}`,
    });
    const controller = new AbortController();
    const waiting = take(client.watch("k", { signal: controller.signal }), 1);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "canceled" });
    expect(() => client.watch("k", { signal: AbortSignal.abort() })).toThrow("canceled");
    const refused = client.watch("k", { initialState: true, startRevision: 1 });
    await expect(take(refused, 1)).rejects.toMatchObject({ code: "invalidArgument" });
    expect(engine.status().watches.streams).toBe(0);
  });

  it("cannot change what other watches are given", async () => {
    const watches = [client.watch("k"), client.watch("k")];
    await client.put("k", "v");
    const [mine] = await take(watches[0]!, 1);
    mine!.kv.value.fill(0);
    expect((await take(watches[1]!, 1))[0]!.value).toBe("v");
  });

  it("ends with the engine, and by being closed", async () => {
    const closed = client.watch("k");
    closed.close();
    expect(await take(closed, 1)).toEqual([]);
    const waiting = take(client.watch("k"), 1);
    engine.endStreams();
    await expect(waiting).rejects.toMatchObject({ code: "stopped" });
    expect(() => client.watch("k")).toThrow("stopped");
  });
});
