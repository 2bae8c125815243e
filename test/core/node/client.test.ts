import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  Client,
  type Engine,
  type KvEngine,
  prefixRange,
  type ReadOptions,
} from "../../../src/core/node/index.ts";
import { nodeClock, nodeRandom } from "../../../src/runtimes/node/index.ts";
import { startLoneEngine } from "./lone-engine.ts";

const text = (value: Uint8Array | null | undefined) =>
  value === null || value === undefined ? null : new TextDecoder().decode(value);

describe("Client", () => {
  let engine: KvEngine;
  let client: Client;

  beforeAll(async () => {
    engine = await startLoneEngine();
  });
  afterAll(() => engine.stop());

  /** The engine, while somebody else writes after every read of a client's. Keeps the reads' policies. */
  function disturbedEngine(disturb: () => Promise<unknown>) {
    const policies: unknown[] = [];
    const reading =
      (method: "range" | "txn") =>
      async (request: never, options?: ReadOptions): Promise<unknown> => {
        policies.push(options?.consistency);
        const response = await engine[method](request, options);
        await disturb();
        return response;
      };
    const replaced: Partial<Record<PropertyKey, unknown>> = { range: reading("range"), txn: reading("txn") };
    const disturbed = new Proxy(engine as Engine, {
      get: (target, property) => replaced[property] ?? (Reflect.get(target, property, target) as unknown),
    });
    return { disturbed, policies };
  }

  beforeEach(async () => {
    client = new Client(engine, { clock: nodeClock, random: nodeRandom });
    await client.deletePrefix("");
  });

  it("puts and gets text and bytes", async () => {
    const revision = await client.put("k", "grüße");
    expect(await client.getText("k")).toBe("grüße");
    expect(await client.get(new TextEncoder().encode("k"))).toEqual(new TextEncoder().encode("grüße"));
    await client.put(Uint8Array.of(0, 255), Uint8Array.of(1, 2, 255));
    expect(await client.get(Uint8Array.of(0, 255))).toEqual(Uint8Array.of(1, 2, 255));
    await expect(client.getText(Uint8Array.of(0, 255))).rejects.toThrow(TypeError);
    expect(await client.getEntry("k")).toMatchObject({ modRevision: revision, version: 1 });
    expect(await client.put("k", "2")).toBe(revision + 2);
    expect(await client.getText("k", { revision })).toBe("grüße");
  });

  it("gives null for what is not there, under every policy", async () => {
    for (const consistency of ["linearizable", "lease", "eventual"] as const) {
      expect(await client.get("missing", { consistency })).toBeNull();
      expect(await client.getText("missing", { consistency })).toBeNull();
      expect(await client.getEntry("missing", { consistency })).toBeNull();
    }
  });

  it("deletes, and says whether there was anything", async () => {
    await client.put("k", "v");
    expect([await client.delete("k"), await client.delete("k")]).toEqual([true, false]);
    for (const key of ["p/1", "p/2", "q"]) await client.put(key, "");
    expect([await client.deletePrefix("p/"), await client.deletePrefix("p/")]).toEqual([2, 0]);
    expect(await client.getText("q")).toBe("");
  });

  it("gets many values in the order asked for, from one moment", async () => {
    await client.put("a", "1");
    await client.put("c", "3");
    expect((await client.getMany(["c", "b", "a", "c"])).map(text)).toEqual(["3", null, "1", "3"]);
    expect(await client.getMany([])).toEqual([]);
    // More than fit into one transaction, while somebody writes.
    const keys = Array.from({ length: 5 }, (_, i) => `m${i}`);
    for (const key of keys) await client.put(key, "old");
    const { disturbed, policies } = disturbedEngine(() => client.put("m4", "new"));
    const values = await new Client(disturbed, {
      clock: nodeClock,
      random: nodeRandom,
      maxTxnOps: 2,
    }).getMany(keys, { consistency: "lease" });
    expect(values.map(text)).toEqual(["old", "old", "old", "old", "old"]);
    expect(policies).toEqual(["lease", "eventual", "eventual"]);
    expect(await client.getText("m4")).toBe("new");
  });

  it("compares and swaps", async () => {
    expect(await client.compareAndSwap("k", null, "1")).toBe(true);
    expect(await client.compareAndSwap("k", null, "2")).toBe(false);
    expect(await client.compareAndSwap("k", "0", "2")).toBe(false);
    expect(await client.getText("k")).toBe("1");
    expect(await client.compareAndSwap("k", "1", "2")).toBe(true);
    expect(await client.getText("k")).toBe("2");
    expect(await client.compareAndSwap("missing", "", "x")).toBe(false);
    expect(await client.compareAndSwap("k", "2", null)).toBe(true);
    expect(await client.get("k")).toBeNull();
    const winners = await Promise.all(
      Array.from({ length: 10 }, (_, i) => client.compareAndSwap("race", null, String(i))),
    );
    expect(winners.filter(Boolean).length).toBe(1);
  });

  it("scans a prefix in pages, all of one revision", async () => {
    for (let i = 0; i < 5; i++) await client.put(`s/${i}`, "old");
    await client.put("t", "outside");
    const { disturbed, policies } = disturbedEngine(async () => {
      await client.put("s/4", "new");
      await client.delete("s/3");
    });
    const paged = new Client(disturbed, { clock: nodeClock, random: nodeRandom, pageSize: 2 });
    const { entries, revision } = await paged.scanPrefix("s/");
    expect(entries.map(({ key, value }) => `${text(key)} ${text(value)}`)).toEqual(
      Array.from({ length: 5 }, (_, i) => `s/${i} old`),
    );
    expect(policies).toEqual([undefined, "eventual", "eventual"]);
    expect(await client.getText("s/4", { revision })).toBe("old");
    expect(await client.getText("s/4")).toBe("new");
    expect((await paged.scanPrefix("")).entries.length).toBe(5);
    expect((await paged.scanPrefix("nothing")).entries).toEqual([]);
  });

  it("runs transactions, collected or given", async () => {
    await client.put("ann", "100");
    await client.put("bob", "0");
    const transfer = () =>
      client
        .txn()
        .ifValue("ann", "equal", "100")
        .ifExists("bob")
        .ifMissing("frozen")
        .thenPut("ann", "70")
        .thenPut("bob", "30")
        .elseGet("ann")
        .commit();
    expect(await transfer()).toMatchObject({ succeeded: true });
    const second = await transfer();
    expect(second.succeeded).toBe(false);
    expect(second.responses).toMatchObject([{ type: "range", response: { count: 1 } }]);
    expect((await client.getMany(["ann", "bob"])).map(text)).toEqual(["70", "30"]);

    const { modRevision } = (await client.getEntry("ann"))!;
    const builder = client
      .txn()
      .ifModRevision("ann", "equal", modRevision)
      .thenDelete("ann")
      .thenDeletePrefix("bo");
    const { succeeded, revision } = await client.txn(builder.build());
    expect([succeeded, revision]).toEqual([true, modRevision + 1]);
    expect(await client.getMany(["ann", "bob"])).toEqual([null, null]);

    const otherwise = client.txn().ifExists("ann").elsePut("e", "1").elseDelete("f").elseDeletePrefix("g");
    expect(await otherwise.commit()).toMatchObject({ succeeded: false });
    expect(await client.getText("e")).toBe("1");
    const general = client
      .txn()
      .when(otherwise.build().compare[0]!)
      .andThen({ type: "put", request: { key: Uint8Array.of(1) } });
    general.orElse({ type: "range", request: { key: Uint8Array.of(2) } });
    expect(general.build()).toMatchObject({
      compare: [{ target: "version" }],
      success: [{ type: "put" }],
      failure: [{ type: "range" }],
    });
  });

  it("knows the members and the leader", async () => {
    expect(await client.listMembers()).toMatchObject([{ id: 1n, name: "n" }]);
    expect(await client.status()).toMatchObject({ nodeId: 1n, leaderId: 1n, isLearner: false });
  });

  it("passes the engine's errors on", async () => {
    await expect(client.put("", "v")).rejects.toMatchObject({ code: "emptyKey" });
    await expect(client.get("k", { revision: 1e9 })).rejects.toMatchObject({ code: "futureRevision" });
    await expect(client.put("k", "v", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "canceled",
    });
  });
});

describe("prefixRange", () => {
  it.each<[number[], number[], number[]]>([
    [[], [0], [0]],
    [[97], [97], [98]],
    [[97, 255], [97, 255], [98]],
    [[255, 255], [255, 255], [0]],
  ])("of %j", (prefix, key, rangeEnd) => {
    const given = Buffer.from(prefix);
    const range = prefixRange(given);
    expect([[...range.key], [...range.rangeEnd]]).toEqual([key, rangeEnd]);
    expect([...given]).toEqual(prefix);
  });
});
