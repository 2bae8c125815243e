import { describe, expect, test } from "vitest";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { errorOf, FAST, get, later, put, putNow } from "./support.ts";
import { checkFinalState, checkRegisters } from "./world/check.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import { History } from "./world/history.ts";

async function begin(options: ClusterOptions): Promise<{ cluster: Cluster; leader: KvEngine }> {
  const cluster = new Cluster({ raft: FAST, ...options });
  await cluster.startAndElect();
  await cluster.announced();
  return { cluster, leader: cluster.leader()! };
}

describe("a leader that stops", () => {
  test("hands leadership over first, so that nobody waits for an election", async () => {
    const { cluster, leader } = await begin({ seed: 1 });
    await putNow(cluster, leader, "k", "v");
    const { term } = leader.status();
    const began = cluster.world.nowMs;
    await cluster.world.complete("the end", cluster.node(leader.nodeId).stop());
    const next = await cluster.elected(cluster.others(leader.nodeId));
    expect(cluster.world.nowMs - began).toBeLessThan(FAST.electionTimeoutMs);
    expect(next.status().term).toBe(term + 1);
  });

  test("does not if told so", async () => {
    const { cluster, leader } = await begin({ seed: 2 });
    const began = cluster.world.nowMs;
    await cluster.world.complete("the end", cluster.node(leader.nodeId).stop({ transferLeadership: false }));
    expect(cluster.world.nowMs).toBe(began);
    await cluster.elected(cluster.others(leader.nodeId));
    expect(cluster.world.nowMs - began).toBeGreaterThanOrEqual(FAST.electionTimeoutMs);
  });

  test("stops all the same when there is nobody to take over", async () => {
    const { cluster, leader } = await begin({ seed: 3 });
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).crash();
    await cluster.world.complete("the end", cluster.node(leader.nodeId).stop(), 1000);
    expect(leader.isStopped).toBe(true);
  });
});

test("whoever asks for the end a second time waits for the same end", async () => {
  const { cluster, leader } = await begin({ seed: 4, founders: 1 });
  const { disk } = cluster.node(1n);
  disk.latencyMs = () => 100;
  void later(put(leader, "k", "v"));
  await cluster.world.runFor(10);
  const first = leader.stop();
  const second = leader.stop();
  await cluster.world.complete("the second end", second);
  expect(disk.isMounted).toBe(false);
  await first;
});

test("a snapshot being written is broken off: the next start can take it", async () => {
  const { cluster, leader } = await begin({ seed: 5, founders: 1 });
  const { disk } = cluster.node(1n);
  for (let i = 0; i < 8; i++) {
    const request = { key: Uint8Array.of(i), value: new Uint8Array(1 << 20) };
    await cluster.world.complete("a large put", leader.put(request));
  }
  let written = 0;
  disk.decide = (kind) => {
    if (kind === "snapshotWrite") written++;
    return "ok";
  };
  disk.latencyMs = () => 10;
  const taking = later(leader.takeSnapshot());
  await cluster.world.until("its beginning", () => written === 2);
  await cluster.world.complete("the end", leader.stop());
  await expect(taking).rejects.toMatchObject({ code: "stopped" });
  expect(written).toBe(2);
  expect(disk.durable.snapshots.map(({ info }) => info.meta.index)).toEqual([1]);
});

test("every request ends, whenever the node stops, and each says what became of it", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { cluster } = await begin({ seed, hasCommit: seed % 2 === 0, founders: seed % 3 === 0 ? 1 : 3 });
    const { world } = cluster;
    const history = new History(world);
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => world.random.int(20);
    const victim = cluster.node(1n);
    const other: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      void history.write(victim, `k${i}`);
      void history.read(victim, `k${i}`, { consistency: i % 2 === 0 ? "linearizable" : "lease" });
      if (i % 10 === 5) {
        const engine = victim.engine!;
        const begun: Promise<unknown>[] = [
          engine.takeSnapshot(),
          engine.memberUpdate(1n, [`http://elsewhere${i}:2380`]),
          engine.memberAdd({ peerUrls: [`http://x${i}:2380`], isLearner: true }),
          engine.transferLeadership(2n),
        ];
        other.push(...begun.map(later));
      }
      await world.runFor(world.random.int(5));
    }
    await world.runFor(world.random.int(40));
    const engine = victim.engine!;
    await world.complete("the end", engine.stop({ transferLeadership: seed % 4 !== 0 }), 2000);
    await history.settled(1);
    await world.complete("the rest", Promise.allSettled(other), 10_000);
    await victim.stop();
    await expect(put(engine, "late", "v")).rejects.toMatchObject({ code: "proposalDropped" });
    await expect(get(engine, "late")).rejects.toMatchObject({ code: "stopped" });
    await expect(engine.takeSnapshot()).rejects.toMatchObject({ code: "stopped" });
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 0;
    await cluster.startAndElect([1n]).catch(() => {});
    await cluster.world.until("a leader", () => cluster.leader() !== null);
    const leader = cluster.leader()!;
    await cluster.world.complete("a read", leader.range({ key: new Uint8Array([1]) }), 10_000);
    expect(checkRegisters(history)).toEqual([]);
    expect(await checkFinalState(history, leader)).toEqual([]);
  }
});

test("a stopped node is silent: no timer, no frame, no write", async () => {
  const { cluster, leader } = await begin({ seed: 40 });
  const node = cluster.node(leader.nodeId);
  const engine = leader;
  void later(put(engine, "k", "v"));
  // The engine alone: the rest of the process goes on.
  await cluster.world.complete("the end", engine.stop());
  const { writes } = node.disk;
  let frames = 0;
  cluster.network.observe(({ from }) => {
    if (from === node.id) frames++;
  });
  await cluster.world.runFor(5000);
  expect(frames).toBe(0);
  expect(node.disk.writes).toBe(writes);
});

test("a transfer that is under way when the node stops ends", async () => {
  const { cluster, leader } = await begin({ seed: 41 });
  const [target] = cluster.others(leader.nodeId) as [bigint];
  cluster.node(target).crash();
  const transfer = later(leader.transferLeadership(target, { timeoutMs: 500 }));
  await cluster.world.complete("the end", leader.stop({ transferLeadership: false }));
  expect((await errorOf(cluster, transfer)).grpcCode).toBe(14);
});
