// Three members, each behind a door that can be shut, and clients that go on all the same.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { KvEngine } from "../../../src/core/node/index.ts";
import {
  type Client,
  type ConnectOptions,
  createClient,
  isClientError,
} from "../../../src/runtimes/client/index.ts";
import type { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { startEmbeddedGroup } from "../node/embedded-group.ts";
import { freePorts } from "../node/free-ports.ts";
import { errorOf } from "./contract.ts";
import { Gate } from "./gate.ts";

/** Impatient, so that the tests take no longer than they must. */
const QUICK: Partial<ConnectOptions> = { attemptTimeoutMs: 400, watchIdleMs: 200 };
const TOKEN = "a-token-for-tests";

let members: EmbeddedEngine[];
/** What is inside the members, which they show to nobody. */
let engines: KvEngine[];
let gates: Gate[];
let clients: Client[];

beforeEach(async () => {
  clients = [];
  const ports = await freePorts(3);
  const started = vi.spyOn(KvEngine, "start");
  members = await startEmbeddedGroup(3, (i) => ({
    listenClientUrls: `http://127.0.0.1:${ports[i]}`,
    clientToken: TOKEN,
    storage: new MemoryStorage(),
  }));
  engines = await Promise.all(started.mock.results.map(({ value }) => value as Promise<KvEngine>));
  started.mockRestore();
  gates = await Promise.all(ports.map((port) => Gate.open(port)));
});

afterEach(async () => {
  for (const client of clients) client.close();
  for (const gate of gates) gate.shut();
  await Promise.all(members.map((member) => member.stop()));
});

function makeClient(options: Partial<ConnectOptions> = {}): Client {
  const client = createClient({ endpoints: gates.map(({ url }) => url), token: TOKEN, ...QUICK, ...options });
  clients.push(client);
  return client;
}

/** Without a word to anybody. */
async function killLeader(): Promise<void> {
  const dead = members.findIndex(({ isLeader }) => isLeader);
  gates[dead]!.shut();
  const { nodeId } = members[dead]!;
  await engines.find((engine) => engine.nodeId === nodeId)!.stop({ transferLeadership: false });
}

/** Writes numbered values until told to stop; gives those that were acknowledged, and those nobody knows of. */
function writeOn(
  client: Client,
  prefix: string,
): { stop(): Promise<{ known: string[]; unknown: string[] }> } {
  let isOver = false;
  const known: string[] = [];
  const unknown: string[] = [];
  const work = (async () => {
    for (let i = 0; !isOver; i++) {
      const key = `${prefix}${String(i).padStart(4, "0")}`;
      try {
        await client.put(key, String(i), { timeoutMs: 700 });
        known.push(key);
      } catch (error) {
        if (!isClientError(error)) throw error;
        if (error.maybeApplied) unknown.push(key);
      }
      await sleep(5);
    }
    return { known, unknown };
  })();
  work.catch(() => undefined);
  return {
    stop() {
      isOver = true;
      return work;
    },
  };
}

describe("a group of three", () => {
  it("is watched without gap or duplicate while endpoints hang, break and die, the leader too", async () => {
    const watcher = makeClient();
    const writer = makeClient();
    const watch = watcher.watchPrefix("w/");
    await watch.ready();
    const writing = writeOn(writer, "w/");
    const heard: { readonly key: string; readonly revision: number }[] = [];
    const listening = (async () => {
      for await (const { key, revision } of watch) {
        if (key === "w/end") return;
        heard.push({ key, revision });
      }
    })();
    const grown = async (): Promise<void> => {
      const before = heard.length;
      while (heard.length < before + 5) await sleep(10);
    };
    await grown();
    // Whichever endpoint the watch is at, it is among these.
    for (const gate of gates) {
      gate.hang();
      await grown();
      await gate.listen();
    }
    for (const gate of gates) {
      gate.cut();
      await grown();
    }
    await killLeader();
    await grown();
    const { known, unknown } = await writing.stop();
    await writer.put("w/end", "");
    await listening;
    expect(heard.map(({ revision }) => revision)).toEqual(
      heard.map(({ revision }) => revision).toSorted((a, b) => a - b),
    );
    const keys = heard.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    const doubtful = new Set(unknown);
    expect(keys.filter((key) => !doubtful.has(key))).toEqual(known);
    expect(known.length).toBeGreaterThan(20);
  });

  it("is read from whoever answers, and written to as soon as somebody certainly has not done it yet", async () => {
    const client = makeClient();
    await client.put("k", "1");
    // Two of three doors: every call finds the third.
    for (let open = 0; open < gates.length; open++) {
      for (const [i, gate] of gates.entries()) if (i !== open) gate.shut();
      expect(await client.getText("k")).toBe(String(open + 1));
      await client.put("k", String(open + 2));
      for (const gate of gates) await gate.listen();
    }
    for (const gate of gates) gate.shut();
    // Once it is known that the old connections are broken; until then a write is in doubt.
    await vi.waitFor(
      async () => {
        expect(await errorOf(client.get("k", { timeoutMs: 300 }))).toMatchObject({ retryable: true });
        expect(await errorOf(client.put("k", "never", { timeoutMs: 300 }))).toMatchObject({
          code: "unreachable",
          maybeApplied: false,
        });
      },
      { timeout: 30_000 },
    );
    expect(await members[0]!.client().getText("k")).toBe("4");
  });

  it("takes every write under an idempotency key once, while endpoints break and the leader dies", async () => {
    const client = makeClient({ timeoutMs: 15_000 });
    let over = false;
    const writers = ["a", "b", "c", "d"].map(async (writer) => {
      let count = 0;
      while (!over) await client.put("count", writer, { idempotencyKey: `${writer}-${count++}` });
      return count;
    });
    const settled = Promise.all(writers);
    settled.catch(() => undefined);
    for (const gate of gates) {
      await sleep(100);
      gate.cut();
    }
    gates[0]!.hang();
    await sleep(600);
    await gates[0]!.listen();
    await killLeader();
    await sleep(1000);
    over = true;
    const counts = await settled;
    // The version counts the puts.
    const entry = await client.getEntry("count");
    expect(entry?.version).toBe(counts.reduce((sum, count) => sum + count, 0));
  });

  it("keeps leases alive through the loss of the leader, and its keys with them", async () => {
    const client = makeClient();
    const lease = (await client.grantLease({ ttlMs: 4000 })).keepAlive();
    await client.put("mine", "1", { lease });
    await killLeader();
    // Without a renewal it only gets less.
    for (let before = lease.remainingMs, now = before; now <= before; now = lease.remainingMs) {
      before = now;
      await sleep(20);
    }
    expect(lease.lost.aborted).toBe(false);
    expect(await client.getText("mine")).toBe("1");
  });

  it("never gives a lock to two: who is cut off loses it, is told so, and its writes are refused", async () => {
    const [ann, ben] = [makeClient({ endpoints: gates[0]!.url }), makeClient({ endpoints: gates[1]!.url })];
    const history: string[] = [];
    const hers = errorOf(
      ann.lock(
        "l",
        async ({ signal, key, fencingToken }) => {
          history.push("ann has it");
          gates[0]!.hang();
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          history.push("ann is told");
          await gates[0]!.listen();
          const guarded = ann.txn().ifCreateRevision(key, "equal", fencingToken).thenPut("safe", "ann");
          while (await members[1]!.client().get(key)) await sleep(20);
          expect((await guarded.commit()).succeeded).toBe(false);
        },
        { ttlMs: 1000 },
      ),
    );
    while (history.length === 0) await sleep(5);
    await ben.lock("l", async ({ key, fencingToken }) => {
      history.push("ben has it");
      const guarded = ben.txn().ifCreateRevision(key, "equal", fencingToken).thenPut("safe", "ben");
      expect((await guarded.commit()).succeeded).toBe(true);
    });
    expect(await hers).toMatchObject({ code: "leaseLost" });
    expect(history).toEqual(["ann has it", "ann is told", "ben has it"]);
    expect(await ben.getText("safe")).toBe("ben");
  });

  it("gives a lock in turn to all who want it, while endpoints break and the leader dies", async () => {
    let holders = 0;
    const tokens: number[] = [];
    const contend = async (): Promise<void> => {
      const client = makeClient();
      for (let round = 0; round < 3; round++) {
        await client.lock("l", async ({ fencingToken, signal }) => {
          expect(++holders).toBe(1);
          tokens.push(fencingToken);
          await sleep(20);
          expect(signal.aborted).toBe(false);
          holders--;
        });
      }
    };
    const all = Promise.all([contend(), contend(), contend(), contend()]);
    while (tokens.length < 3) await sleep(5);
    for (const gate of gates) gate.cut();
    await killLeader();
    await all;
    expect(tokens.length).toBe(12);
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
  });

  it("says who may not", async () => {
    const stranger = makeClient({ token: "another" });
    expect(await errorOf(stranger.put("k", "v"))).toMatchObject({
      code: "unauthenticated",
      retryable: false,
      maybeApplied: false,
    });
    const watch = stranger.watch("k");
    expect(await errorOf(watch.ready())).toMatchObject({ code: "unauthenticated" });
  });

  it("is found whole from one endpoint, if that is wanted", async () => {
    const client = makeClient({ endpoints: gates[0]!.url, discover: true });
    await client.put("k", "v");
    // The members are asked for beside the first call.
    await client.listMembers();
    await sleep(50);
    gates[0]!.shut();
    expect(await client.getText("k")).toBe("v");
  });
});
