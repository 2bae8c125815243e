import { describe, expect, test } from "vitest";
import type { StorageEngine } from "../../../src/core/node/index.ts";
import { Meter } from "../../../src/core/node/observer.ts";
import { Persister } from "../../../src/core/node/persister.ts";
import type { Entry, HardState, LogIndex, Ready } from "../../../src/core/raft/index.ts";
import { simpleConfig } from "../../../src/core/raft/index.ts";
import { FAST, get, kindOf, put, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";
import { HandClock } from "./watch/hub-fixture.ts";
import type { WriteKind } from "./world/disk.ts";
import { History } from "./world/history.ts";
import { watchPromises } from "./world/promises.ts";

const NOTHING: Ready = {
  number: 0,
  softState: null,
  hardState: null,
  entries: [],
  snapshot: null,
  messages: [],
  messagesAfterPersist: [],
  committed: [],
  readStates: [],
  logReads: [],
};

function ready(number: number, hasHardState: boolean, from: LogIndex, to: LogIndex): Ready {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) entries.push({ kind: "noop", index, term: 1 });
  const hardState: HardState | null = hasHardState ? { term: number, vote: null, commit: 0 } : null;
  return { ...NOTHING, number, hardState, entries };
}

/** Stores whose writes end when the test says so. */
class ManualStores {
  /** Writes under way, oldest first. */
  readonly begun: { name: string; end: () => void; fail: (error: Error) => void }[] = [];
  readonly engine: StorageEngine;

  constructor(hasCommit: boolean) {
    const write = (name: string): Promise<void> =>
      new Promise((end, fail) => this.begun.push({ name, end, fail }));
    const range = (entries: readonly Entry[]): string => `${entries[0]!.index}-${entries.at(-1)!.index}`;
    const stores = {
      meta: { saveHardState: (hardState: HardState) => write(`hardState ${hardState.term}`) },
      log: {
        append: (entries: readonly Entry[]) => write(`append ${range(entries)}`),
        reset: (index: LogIndex) => write(`reset ${index}`),
      },
      ...(hasCommit
        ? {
            commit: (hardState: HardState, entries: readonly Entry[]) =>
              write(`commit ${hardState.term} ${range(entries)}`),
          }
        : {}),
    };
    // The persister uses nothing else of a store.
    this.engine = stores as unknown as StorageEngine;
  }

  names(): string[] {
    return this.begun.map(({ name }) => name);
  }

  async end(name: string): Promise<void> {
    const at = this.begun.findIndex((write) => write.name === name);
    const [write] = this.begun.splice(at, 1);
    write!.end();
    await turn();
  }

  async fail(name: string): Promise<void> {
    const at = this.begun.findIndex((write) => write.name === name);
    const [write] = this.begun.splice(at, 1);
    write!.fail(new Error("no"));
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Rig {
  readonly stores: ManualStores;
  readonly persister: Persister;
  readonly reported: number[];
  readonly failures: unknown[];
}

function rig(hasCommit: boolean): Rig {
  const stores = new ManualStores(hasCommit);
  const reported: number[] = [];
  const failures: unknown[] = [];
  const persister = new Persister(
    stores.engine,
    new Meter(new HandClock(), null),
    ({ number }) => reported.push(number),
    (error) => failures.push(error),
  );
  return { stores, persister, reported, failures };
}

describe("one store for hard state and entries", () => {
  test("writes overlap, and are reported in the order of their Readys", async () => {
    const { stores, persister, reported } = rig(true);
    persister.persist(ready(1, true, 2, 3));
    persister.persist(ready(2, false, 4, 4));
    persister.persist(ready(3, true, 5, 4));
    expect(stores.names()).toEqual(["commit 1 2-3", "append 4-4", "hardState 3"]);
    await stores.end("append 4-4");
    await stores.end("hardState 3");
    expect(reported).toEqual([]);
    await stores.end("commit 1 2-3");
    expect(reported).toEqual([1, 2, 3]);
  });

  test("a Ready with nothing to write is reported at once, but not before an earlier one", async () => {
    const { stores, persister, reported } = rig(true);
    persister.persist(ready(1, false, 2, 1));
    expect(reported).toEqual([1]);
    persister.persist(ready(2, false, 2, 2));
    persister.persist(ready(3, false, 3, 2));
    expect(reported).toEqual([1]);
    await stores.end("append 2-2");
    expect(reported).toEqual([1, 2, 3]);
  });
});

test("a Ready with nothing to write takes no place from those that have", async () => {
  const { stores, persister } = rig(true);
  persister.persist(ready(1, false, 2, 2));
  for (let number = 2; number <= 9; number++) persister.persist(ready(number, false, 3, 2));
  expect(persister.inflight).toBe(9);
  expect([persister.isFull(1), persister.isFull(2)]).toEqual([true, false]);
  await stores.end("append 2-2");
  expect(persister.inflight).toBe(0);
  expect(persister.isFull(1)).toBe(false);
});

describe("two stores", () => {
  test("the hard state is durable before its entries are begun, and both before anything later", async () => {
    const { stores, persister, reported } = rig(false);
    persister.persist(ready(1, false, 2, 2));
    persister.persist(ready(2, true, 3, 3));
    persister.persist(ready(3, false, 4, 4));
    await turn();
    expect(stores.names()).toEqual(["append 2-2"]);
    await stores.end("append 2-2");
    expect(stores.names()).toEqual(["hardState 2"]);
    await stores.end("hardState 2");
    expect(stores.names()).toEqual(["append 3-3"]);
    expect(reported).toEqual([1]);
    await stores.end("append 3-3");
    expect(reported).toEqual([1, 2]);
    await stores.end("append 4-4");
    expect(reported).toEqual([1, 2, 3]);
  });

  test("writes to the log alone overlap", () => {
    const { stores, persister } = rig(false);
    persister.persist(ready(1, false, 2, 2));
    persister.persist(ready(2, false, 3, 3));
    expect(stores.names()).toEqual(["append 2-2", "append 3-3"]);
  });
});

test.each([true, false])("a snapshot begins the log anew, alone (one store: %s)", async (hasCommit) => {
  const { stores, persister, reported } = rig(hasCommit);
  const snapshot = { index: 10, term: 1, config: simpleConfig([1n]) };
  persister.persist(ready(1, false, 2, 2));
  persister.persist({ ...ready(2, true, 11, 12), snapshot });
  persister.persist(ready(3, false, 13, 13));
  await turn();
  expect(stores.names()).toEqual(["append 2-2"]);
  await stores.end("append 2-2");
  expect(stores.names()).toEqual(["reset 10"]);
  await stores.end("reset 10");
  // In one step where there is one: a commit index must not be known of entries that are not there.
  const next = hasCommit ? ["commit 2 11-12"] : ["hardState 2", "append 11-12"];
  for (const write of next) {
    expect(stores.names()).toEqual([write]);
    await stores.end(write);
  }
  await stores.end("append 13-13");
  expect(reported).toEqual([1, 2, 3]);
});

test.each([true, false])(
  "after a failure nothing is begun or reported (one store: %s)",
  async (hasCommit) => {
    const { stores, persister, reported, failures } = rig(hasCommit);
    persister.persist(ready(1, false, 2, 2));
    persister.persist(ready(2, false, 3, 3));
    persister.persist({
      ...ready(3, true, 4, 4),
      snapshot: { index: 3, term: 1, config: simpleConfig([1n]) },
    });
    await stores.fail("append 2-2");
    await stores.end("append 3-3");
    expect(reported).toEqual([]);
    expect(failures.length).toBeGreaterThan(0);
    expect(stores.names()).toEqual([]);
  },
);

describe("in a cluster", () => {
  test.each([true, false])("no promise leaves before it is durable (one store: %s)", async (hasCommit) => {
    const cluster = new Cluster({ seed: 11, raft: FAST, hasCommit });
    const broken = watchPromises(cluster);
    const kinds = new Set<string>();
    cluster.network.observe((travelling) => kinds.add(kindOf(travelling)));
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 1 + cluster.world.random.int(40);
    await cluster.startAndElect();
    const history = new History(cluster.world);
    for (let i = 0; i < 100; i++) {
      void history.write(cluster.node(BigInt(1 + (i % 3))), `k${i}`);
      await cluster.world.runFor(cluster.world.random.int(15));
    }
    await history.settled();
    expect(broken).toEqual([]);
    // Else nothing was looked at.
    expect([...kinds]).toEqual(
      expect.arrayContaining(["AppendEntriesResult", "RequestVoteResult", "RequestVote", "HeartbeatResult"]),
    );
    const overlaps = [...cluster.nodes.values()].map(({ disk }) => disk.maxOverlap);
    expect(Math.max(...overlaps)).toBeGreaterThan(1);
  });

  test("the leader sends while it writes, and acknowledges when a quorum has written", async () => {
    const cluster = new Cluster({ seed: 12, raft: FAST });
    const leader = await cluster.startAndElect();
    cluster.node(leader.nodeId).disk.latencyMs = () => 10_000;
    // Two followers are a quorum: the leader's own disk is not waited for.
    await putNow(cluster, leader, "k", "v");
    expect(cluster.world.nowMs).toBeLessThan(10_000);
  });

  test("a write that no quorum has on disk is not acknowledged", async () => {
    const cluster = new Cluster({ seed: 14, raft: FAST });
    const leader = await cluster.startAndElect();
    await cluster.announced();
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).disk.latencyMs = () => 10_000;
    const error = await cluster.world.failure("a put", put(leader, "k", "w", { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: "timeout" });
  });

  test.each<[WriteKind, boolean]>([
    ["commit", true],
    ["append", false],
    ["saveHardState", false],
  ])("a failed %s stops the node, and nothing is acknowledged by it any more", async (kind, hasCommit) => {
    const cluster = new Cluster({ seed: 13, founders: 1, raft: FAST, hasCommit });
    const { disk } = cluster.node(1n);
    const engine = await cluster.startAndElect();
    await cluster.announced();
    const failures: unknown[] = [];
    engine.onFailure((error) => failures.push(error));
    disk.decide = (write) => (write === kind ? "fail" : "ok");
    const error = await cluster.world.failure("a put", put(engine, "k", "v"));
    expect(error).toMatchObject({ code: "stopped", grpcCode: 14 });
    expect(failures).toMatchObject([{ code: "storageFailed" }]);
    expect(engine.isStopped).toBe(true);
    await cluster.world.runFor(100);
    // The stores were let go of, and nothing is tried again.
    expect(disk.isMounted).toBe(false);
    const { writes } = disk;
    await cluster.world.runFor(2000);
    expect(disk.writes).toBe(writes);
    await expect(put(engine, "k", "w")).rejects.toMatchObject({ code: "proposalDropped" });
    await expect(get(engine, "k")).rejects.toMatchObject({ code: "stopped" });
  });
});
