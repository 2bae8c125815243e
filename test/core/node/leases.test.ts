import { describe, expect, it } from "vitest";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, get, getNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

async function started(founders = 3): Promise<Cluster> {
  const cluster = new Cluster({ founders, raft: FAST });
  await cluster.startAndElect();
  return cluster;
}

async function grant(cluster: Cluster, engine: KvEngine, ttlMs: number): Promise<bigint> {
  const { id } = await cluster.world.complete("a grant", engine.leaseGrant({ ttlMs }));
  return id;
}

async function putWith(cluster: Cluster, engine: KvEngine, key: string, lease: bigint): Promise<void> {
  await cluster.world.complete("a put", engine.put({ key: bytes(key), value: bytes("v"), lease }));
}

/** How long from now until the key is gone from a replica, in virtual time. */
async function lifeOf(cluster: Cluster, engine: () => KvEngine, key: string): Promise<number> {
  const begin = cluster.world.nowMs;
  for (;;) {
    if ((await get(engine(), key, { consistency: "eventual" })) === null) return cluster.world.nowMs - begin;
    if (cluster.world.nowMs - begin > 60_000) return Infinity;
    await cluster.world.runFor(5);
  }
}

describe("a lease", () => {
  it("takes its keys with it when it ends, and not before", async () => {
    for (const founders of [1, 3]) {
      const cluster = await started(founders);
      const leader = cluster.leader()!;
      const id = await grant(cluster, leader, 1000);
      await putWith(cluster, leader, "a", id);
      const ms = await lifeOf(cluster, () => leader, "a");
      expect(ms).toBeGreaterThan(900);
      expect(ms).toBeLessThan(1300);
    }
  });

  it("lives on while it is renewed, through the leader and through others", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const id = await grant(cluster, cluster.followers()[0]!, 1000);
    await putWith(cluster, leader, "a", id);
    for (const engine of [leader, ...cluster.followers(), leader]) {
      await cluster.world.runFor(700);
      const { ttlMs } = await cluster.world.complete("a renewal", engine.leaseKeepAlive(id));
      expect(ttlMs).toBe(1000);
    }
    expect(await getNow(cluster, leader, "a")).not.toBeNull();
    const ms = await lifeOf(cluster, () => leader, "a");
    expect(ms).toBeGreaterThan(990);
    expect(ms).toBeLessThan(1300);
    const after = await cluster.world.complete("a renewal", leader.leaseKeepAlive(id));
    expect(after.ttlMs).toBe(0);
  });

  it("has its whole time again under a new leader", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const id = await grant(cluster, leader, 2000);
    await putWith(cluster, leader, "a", id);
    await cluster.world.runFor(1900);
    cluster.node(leader.nodeId).crash();
    const next = await cluster.elected(cluster.others(leader.nodeId));
    const ms = await lifeOf(cluster, () => next, "a");
    expect(ms).toBeGreaterThan(1900);
    expect(ms).toBeLessThan(2700);
  });

  it("is refused with etcd's errors, and nothing happens", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const codes = async (call: Promise<unknown>): Promise<string> => (await errorOf(cluster, call)).code;
    await cluster.world.complete("a grant", leader.leaseGrant({ id: 7n, ttlMs: 5000 }));
    const before = leader.status().stateHash();
    expect(await codes(leader.leaseGrant({ id: 7n, ttlSeconds: 60 }))).toBe("leaseExists");
    expect(await codes(leader.leaseGrant({ ttlSeconds: 9_000_000_001 }))).toBe("leaseTtlTooLarge");
    expect(await codes(leader.leaseRevoke({ id: 8n }))).toBe("leaseNotFound");
    expect(await codes(leader.put({ key: bytes("a"), lease: 8n }))).toBe("leaseNotFound");
    expect(leader.status().stateHash()).toBe(before);
    const { ids } = await cluster.world.complete("a list", leader.leaseList());
    expect(ids).toEqual([7n]);
  });
});
