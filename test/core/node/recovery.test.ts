import { describe, expect, test } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { encodeFrame } from "../../../src/core/node/codec/index.ts";
import type { KvResult } from "../../../src/core/kv/index.ts";
import { KvEngine, type NodeOptions } from "../../../src/core/node/index.ts";
import { bodyOf, errorOf, FAST, getNow, later, put, putNow } from "./support.ts";
import { Cluster, memberOf } from "./world/cluster.ts";
import type { DiskImage } from "./world/disk-image.ts";
import { CLUSTER_ID, GROUP_ID, type SimNode } from "./world/sim-node.ts";

async function single(tuning: NodeOptions["tuning"] = {}): Promise<{ cluster: Cluster; node: SimNode }> {
  const cluster = new Cluster({ seed: 1, founders: 1, tuning });
  const engine = await cluster.startAndElect();
  await cluster.announced();
  for (let i = 0; i < 10; i++) await putNow(cluster, engine, `k${i}`, "v");
  return { cluster, node: cluster.node(1n) };
}

async function startError(
  cluster: Cluster,
  node: SimNode,
  overrides?: Partial<NodeOptions>,
): Promise<EngineError> {
  return await errorOf(cluster, node.start(overrides));
}

test("whoever opens a log is told what it says behind the snapshot, and then what is applied, each once", async () => {
  const { cluster, node } = await single();
  const { world } = cluster;
  const { meta } = await world.complete("a snapshot", node.engine!.takeSnapshot());
  for (const key of ["a", "b"]) await putNow(cluster, node.engine!, key, "v");
  await world.complete("the end", node.stop());
  const told: unknown[] = [];
  const applied = {
    onSnapshot: (index: number) => told.push(index),
    onResult: (_id: unknown, result: unknown) => told.push((result as KvResult).type),
  };
  await world.complete("a start", node.start({ applied }));
  await cluster.elected();
  await putNow(cluster, node.engine!, "c", "v");
  expect(told).toEqual([meta.index, "put", "put", "put"]);
});

describe("a new store", () => {
  test("of a founder begins with the founding members and an empty state", async () => {
    const cluster = new Cluster({ seed: 2, raft: FAST });
    await cluster.start();
    for (const engine of cluster.up()) {
      const { members } = await cluster.world.complete("the members", engine.memberList());
      expect(members).toMatchObject([memberOf(1n), memberOf(2n), memberOf(3n)]);
      expect(engine.status()).toMatchObject({ revision: 1, lastIndex: 1, term: 1, role: "follower" });
    }
  });

  test("of a node that joins waits to be sent a snapshot, and never campaigns", async () => {
    const cluster = new Cluster({ seed: 3, founders: 1, raft: FAST });
    const joiner = cluster.addJoiner(9n);
    await cluster.start([9n]);
    await cluster.world.runFor(5000);
    expect(joiner.engine!.status()).toMatchObject({ term: 0, lastIndex: 0, leaderId: null, isLearner: true });
    expect(joiner.disk.durable.identity).toEqual({ clusterId: CLUSTER_ID, groupId: GROUP_ID, nodeId: 9n });
    // Nor does it after a restart.
    await cluster.world.complete("the end", joiner.stop());
    await cluster.start([9n]);
    await cluster.world.runFor(5000);
    expect(joiner.engine!.status()).toMatchObject({ term: 0, lastIndex: 0 });
  });

  test("is not founded by a node that is no voter among the founders", async () => {
    const cluster = new Cluster({ seed: 4, founders: 1 });
    const node = cluster.node(1n);
    const learner = { ...memberOf(1n), isLearner: true };
    for (const founders of [[memberOf(2n)], [memberOf(2n), learner]]) {
      expect((await startError(cluster, node, { founders })).code).toBe("invalidConfig");
      expect(node.disk.durable.identity).toBeNull();
    }
  });

  test.each([true, false])(
    "whose founding a crash broke off, at any write, is founded at the next start (one store: %s)",
    async (hasCommit) => {
      let crashes = 0;
      for (const verdict of ["crashBefore", "crashTorn", "crashAfter"] as const) {
        for (let at = 1; at <= 8; at++) {
          const cluster = new Cluster({ seed: at, founders: 1, hasCommit });
          const node = cluster.node(1n);
          node.disk.decide = (_kind, count) => (count === at ? verdict : "ok");
          void node.start();
          await cluster.world.runFor(1);
          if (node.life === null) {
            crashes++;
            await cluster.start();
          }
          const engine = await cluster.elected();
          await putNow(cluster, engine, "k", "v");
          expect(node.disk.durable.identity?.nodeId).toBe(1n);
        }
      }
      // Every write of the founding, and at least one after it that is none.
      expect(crashes).toBeGreaterThanOrEqual(3 * 6);
    },
  );
});

describe("a restart", () => {
  test("finds the same state, term and members", async () => {
    const { cluster, node } = await single();
    const before = node.engine!.status();
    await cluster.world.complete("the end", node.stop());
    const engine = await cluster.startAndElect();
    await putNow(cluster, engine, "after", "v");
    expect(engine.status().term).toBeGreaterThan(before.term);
    for (let i = 0; i < 10; i++)
      expect(await getNow(cluster, engine, `k${i}`)).toEqual({ value: "v", version: 1 });
    const { members } = await cluster.world.complete("the members", engine.memberList());
    expect(members).toMatchObject([{ id: 1n, name: "n1", clientUrls: ["http://n1:2379"] }]);
  });

  test("of a single voter serves no read before it knows what is committed (raft-rs 105)", async () => {
    const { cluster, node } = await single();
    await putNow(cluster, node.engine!, "k", "new");
    // The commit index on disk is behind what was acknowledged.
    expect(node.disk.durable.hardState!.commit).toBeLessThan(node.engine!.status().commitIndex);
    node.crash();
    await cluster.start();
    for (const consistency of ["linearizable", "lease"] as const) {
      expect(await getNow(cluster, node.engine!, "k", { consistency })).toMatchObject({ value: "new" });
    }
  });

  test("keeps a vote that was given", async () => {
    const cluster = new Cluster({ seed: 7, raft: FAST });
    await cluster.start([1n]);
    const granted: bigint[] = [];
    cluster.network.observe((travelling) => {
      const body = bodyOf(travelling);
      if (body.type === "raft" && body.message.type === "RequestVoteResult" && body.message.granted)
        granted.push(travelling.to);
    });
    const ask = async (from: bigint): Promise<void> => {
      const header = { clusterId: CLUSTER_ID, groupId: GROUP_ID, from, to: 1n };
      const log = { lastLogIndex: 100, lastLogTerm: 4 };
      const message = {
        type: "RequestVote",
        from,
        to: 1n,
        term: 5,
        leadershipTransfer: true,
        ...log,
      } as const;
      cluster.network.forge({ from, to: 1n, frame: encodeFrame(header, { type: "raft", message }) });
      await cluster.world.runFor(20);
    };
    await ask(2n);
    expect(granted).toEqual([2n]);
    cluster.node(1n).crash();
    await cluster.start([1n]);
    await ask(3n);
    expect(granted).toEqual([2n]);
    await ask(2n);
    expect(granted).toEqual([2n, 2n]);
  });

  test("keeps a vote: no second one in a term", async () => {
    const cluster = new Cluster({ seed: 5, raft: FAST });
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 3;
    // Every node votes once a term at most, over all its lives.
    const votes = new Map<string, bigint>();
    const doubles: string[] = [];
    const look = (): void => {
      for (const { id, disk } of cluster.nodes.values()) {
        const { hardState } = disk.durable;
        if (hardState === null || hardState.vote === null) continue;
        const key = `node ${id} in term ${hardState.term}`;
        const before = votes.get(key);
        if (before !== undefined && before !== hardState.vote) doubles.push(key);
        votes.set(key, hardState.vote);
      }
    };
    for (const { disk } of cluster.nodes.values()) disk.onDurable = look;
    await cluster.start();
    for (let round = 0; round < 40; round++) {
      await cluster.world.runFor(cluster.world.random.int(250));
      const node = cluster.node(BigInt(1 + cluster.world.random.int(3)));
      node.crash();
      await cluster.world.complete("a start", node.start());
    }
    expect(doubles).toEqual([]);
    expect(votes.size).toBeGreaterThan(10);
  });
});

describe("what is not this node's is refused, and nothing is written", () => {
  test.each([
    ["cluster", { clusterId: 5n, groupId: GROUP_ID, nodeId: 1n }],
    ["group", { clusterId: CLUSTER_ID, groupId: "other", nodeId: 1n }],
    ["node", { clusterId: CLUSTER_ID, groupId: GROUP_ID, nodeId: 2n }],
  ])("another %s's store", async (_what, identity) => {
    const { cluster, node } = await single();
    await cluster.world.complete("the end", node.stop());
    const { writes } = node.disk;
    const error = await startError(cluster, node, { identity });
    expect(error.code).toBe("storageForeign");
    expect(error.detail).toContain("node 1");
    expect(node.disk.writes).toBe(writes);
  });
});

describe("a store that lost something is refused, and nothing is written", () => {
  const damages: [string, (image: DiskImage) => void][] = [
    [
      "the snapshot that the log begins behind",
      (image) => {
        image.snapshots = [];
      },
    ],
    [
      "the newest snapshot, where an older one is left",
      (image) => {
        const [{ info, chunks }] = image.snapshots as [(typeof image.snapshots)[0]];
        image.snapshots = [{ info: { ...info, meta: { ...info.meta, index: 2 } }, chunks }];
      },
    ],
    [
      "the end of the log, of which its hard state knows",
      (image) => {
        image.hardState = { ...image.hardState!, commit: image.lastIndex + 1 };
      },
    ],
    [
      "who it belongs to",
      (image) => {
        image.identity = null;
      },
    ],
  ];

  test.each(damages)("%s", async (_what, damage) => {
    const { cluster, node } = await single({ snapshotEntries: 5, trailingEntries: 0 });
    await cluster.world.runFor(100);
    expect(node.disk.durable.bounds().firstIndex).toBeGreaterThan(4);
    await cluster.world.complete("the end", node.stop());
    node.disk.tamper(damage);
    const { writes } = node.disk;
    const error = await startError(cluster, node);
    expect(error.code).toBe("storageCorrupt");
    expect(error.detail).not.toBeUndefined();
    expect(node.disk.writes).toBe(writes);
  });

  test("bytes of its snapshot", async () => {
    const { cluster, node } = await single();
    await cluster.world.complete("a snapshot", node.engine!.takeSnapshot());
    await cluster.world.complete("the end", node.stop());
    node.disk.tamper((image) => {
      const [{ info, chunks }] = image.snapshots as [(typeof image.snapshots)[0]];
      image.snapshots = [{ info, chunks: chunks.map((chunk) => chunk.slice(0, -1)) }];
    });
    await expect(cluster.world.complete("the start", node.start())).rejects.toBeInstanceOf(EngineError);
  });
});

test("hard state that ran ahead of the entries that a crash lost is no damage where they are two stores", async () => {
  const cluster = new Cluster({ seed: 6, raft: FAST, hasCommit: false });
  const leader = await cluster.startAndElect();
  const [follower] = cluster.followers().map(({ nodeId }) => cluster.node(nodeId)) as [SimNode];
  await cluster.world.complete("the end", follower.stop());
  for (let i = 0; i < 10; i++) await putNow(cluster, leader, `k${i}`, "v");
  let torn = 0;
  // After its hard state, before its entries.
  follower.disk.decide = (kind) => {
    const { hardState, lastIndex } = follower.disk.durable;
    if (kind !== "append" || hardState!.commit <= lastIndex) return "ok";
    torn++;
    return "crashBefore";
  };
  // What it missed comes with the news that it is committed.
  await cluster.world.complete("the start", follower.start());
  await cluster.world.until("the crash", () => torn === 1);
  follower.disk.decide = () => "ok";
  await cluster.world.complete("the restart", follower.start());
  await putNow(cluster, cluster.leader()!, "last", "v");
  await cluster.converged();
  expect(cluster.stateHashes()).toHaveLength(1);
});

test("a term that only the snapshot tells of is written before the node speaks in it", async () => {
  const cluster = new Cluster({ seed: 7, raft: FAST });
  await cluster.startAndElect();
  await cluster.announced();
  const [{ nodeId }] = cluster.followers() as [KvEngine];
  const node = cluster.node(nodeId);
  const { meta } = await cluster.world.complete("a snapshot", node.engine!.takeSnapshot());
  await cluster.world.complete("the end", node.stop());
  // As a crash leaves it that came after the snapshot from the leader and before the term in which it was received.
  node.disk.tamper((image) => {
    image.hardState = { term: meta.term - 1, vote: nodeId, commit: 1 };
    image.reset(meta.index, meta.term);
  });
  let isWritten: boolean | null = null;
  cluster.network.observe(({ from }) => {
    if (from === nodeId) isWritten ??= node.disk.durable.hardState!.term >= meta.term;
  });
  await cluster.world.complete("the start", node.start());
  expect(node.disk.durable.hardState).toEqual({ term: meta.term, vote: null, commit: meta.index });
  await putNow(cluster, await cluster.elected(), "k", "v");
  await cluster.converged();
  expect(isWritten).toBe(true);
});

test.each([true, false])(
  "entries that another leader's replace are never taken for committed, wherever a crash comes (one store: %s)",
  async (hasCommit) => {
    let crashes = 0;
    for (let at = 1; at <= 12; at++) {
      const cluster = new Cluster({ seed: at, raft: FAST, hasCommit });
      const old = await cluster.startAndElect();
      await cluster.announced();
      const node = cluster.node(old.nodeId);
      const others = cluster.others(old.nodeId);
      cluster.network.partition([old.nodeId], others);
      for (let i = 0; i < 5; i++) void later(put(old, `lost${i}`, "v"));
      await cluster.world.runFor(5);
      const next = await cluster.elected(others);
      for (let i = 0; i < 8; i++) await putNow(cluster, next, `kept${i}`, "v");
      const from = node.disk.writes;
      node.disk.decide = (_kind, count) => (count - from === at ? "crashAfter" : "ok");
      cluster.network.heal();
      await cluster.world.runFor(500);
      node.disk.decide = () => "ok";
      if (node.life === null) {
        crashes++;
        await cluster.world.complete("the restart", node.start());
      }
      await putNow(cluster, await cluster.elected(), "last", "v");
      await cluster.converged();
      expect(cluster.up()).toHaveLength(3);
      expect(cluster.stateHashes()).toHaveLength(1);
    }
    expect(crashes).toBeGreaterThan(1);
  },
);

test("a node that could not start has let go of nothing it should keep, and of all it should not", async () => {
  const { cluster, node } = await single();
  await cluster.world.complete("the end", node.stop());
  const { options } = node.begin();
  const identity = { ...options.identity, nodeId: 7n };
  await expect(
    cluster.world.complete("the start", KvEngine.start({ ...options, identity })),
  ).rejects.toMatchObject({ code: "storageForeign" });
  // Whoever gave the stores still has them, and closes them.
  await cluster.world.complete("closing", options.storage.close());
  expect(node.disk.isMounted).toBe(false);
});
