import { describe, expect, it } from "vitest";
import type { KvEngine, LeaseGrantRequest } from "../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, get, getNow, later } from "./support.ts";
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

  it("ends in a group that sleeps, though its leader dies in its sleep", async () => {
    for (const dies of [false, true]) {
      const cluster = new Cluster({ raft: { ...FAST, quiesceAfterMs: 300 } });
      await cluster.startAndElect();
      const leader = cluster.leader()!;
      const id = await grant(cluster, leader, 3000);
      await putWith(cluster, leader, "a", id);
      await cluster.world.runFor(1500);
      const { framesSent } = cluster.network;
      await cluster.world.runFor(500);
      expect(cluster.network.framesSent).toBe(framesSent);
      if (dies) cluster.node(leader.nodeId).crash();
      const ms = await lifeOf(cluster, () => cluster.followers()[0] ?? leader, "a");
      // Of the 3 s, 2 are over. Whoever takes over looks after a whole TTL, and then gives another.
      expect(ms).toBeGreaterThan(dies ? 3000 : 1000);
      expect(ms).toBeLessThan(dies ? 6500 : 1700);
    }
  });

  it("is not renewed by a leader that was deposed without noticing", async () => {
    const cluster = await started();
    const old = cluster.leader()!;
    const id = await grant(cluster, old, 1000);
    await putWith(cluster, old, "a", id);
    const others = cluster.others(old.nodeId);
    cluster.network.partition([old.nodeId], others);
    cluster.node(old.nodeId).pause();
    const next = await cluster.elected(others);
    await cluster.world.runFor(1050);
    // It believes to lead, and the lease to have all its time left.
    const sentMs = cluster.world.nowMs;
    cluster.node(old.nodeId).wakeUp();
    const renewal = later(old.leaseKeepAlive(id));
    await cluster.world.runFor(20);
    cluster.network.heal();
    const { ttlMs } = await cluster.world.complete("a renewal", renewal);
    const goneMs = cluster.world.nowMs + (await lifeOf(cluster, () => next, "a"));
    expect(ttlMs).toBe(1000);
    expect(goneMs).toBeGreaterThanOrEqual(sentMs + ttlMs);
  });

  it("ends although its leader slept through the deadline, and then at once", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const id = await grant(cluster, leader, 1000);
    await putWith(cluster, leader, "a", id);
    cluster.node(leader.nodeId).pause();
    await cluster.world.runFor(5000);
    cluster.node(leader.nodeId).resume();
    expect(await lifeOf(cluster, () => leader, "a")).toBeLessThan(50);
  });

  it("has its whole time again after a restart of the only member, snapshot or not", async () => {
    for (const snapshot of [false, true]) {
      const cluster = await started(1);
      const id = await grant(cluster, cluster.leader()!, 1000);
      await putWith(cluster, cluster.leader()!, "a", id);
      if (snapshot) await cluster.world.complete("a snapshot", cluster.leader()!.takeSnapshot());
      await cluster.world.runFor(900);
      cluster.crashAll();
      const engine = await cluster.startAndElect();
      const left = await cluster.world.complete("a look", engine.leaseTimeToLive({ id, keys: true }));
      expect(left).toMatchObject({ id, ttlMs: 1000, keys: [bytes("a")] });
      const ms = await lifeOf(cluster, () => cluster.engine(1n), "a");
      expect(ms).toBeGreaterThan(900);
      expect(ms).toBeLessThan(1300);
    }
  });

  it("says through any member what is left of it, and what it holds", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const id = await grant(cluster, leader, 1000);
    await putWith(cluster, leader, "b", id);
    await putWith(cluster, leader, "a", id);
    await cluster.world.runFor(400);
    for (const engine of cluster.up()) {
      const left = await cluster.world.complete("a look", engine.leaseTimeToLive({ id, keys: true }));
      expect(left.keys).toEqual([bytes("a"), bytes("b")]);
      expect(left.remainingMs).toBeGreaterThan(500);
      expect(left.remainingMs).toBeLessThanOrEqual(600);
      const none = await cluster.world.complete("a look", engine.leaseTimeToLive({ id: 5n }));
      expect(none).toMatchObject({ remainingMs: -1, ttlMs: 0, keys: [] });
    }
  });

  it("is renewed though frames are lost", async () => {
    const cluster = await started();
    const id = await grant(cluster, cluster.leader()!, 5000);
    cluster.network.conditions = { ...cluster.network.conditions, dropRate: 0.3 };
    for (let i = 0; i < 10; i++) {
      const renewal = cluster.followers()[0]!.leaseKeepAlive(id);
      expect((await cluster.world.complete("a renewal", renewal)).ttlMs).toBe(5000);
    }
  });

  it("is asked about only while there is somebody to ask, and patience", async () => {
    const cluster = await started();
    const [asker] = cluster.followers();
    const id = await grant(cluster, cluster.leader()!, 60_000);
    for (const other of cluster.others(asker!.nodeId)) cluster.node(other).crash();
    const call = asker!.leaseKeepAlive(id, { timeoutMs: 2000 });
    expect((await errorOf(cluster, call)).code).toBe("noLeader");
    const abort = new AbortController();
    const given = later(asker!.leaseKeepAlive(id, { signal: abort.signal }));
    abort.abort();
    expect((await errorOf(cluster, given)).code).toBe("canceled");
    const stopped = later(asker!.leaseKeepAlive(id));
    await cluster.world.runFor(5);
    void later(asker!.stop());
    expect((await errorOf(cluster, stopped)).code).toBe("stopped");
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

  it("lives at least as long as an election may take, unless it is told to the millisecond", async () => {
    const cluster = new Cluster({ founders: 1 });
    const engine = await cluster.startAndElect();
    const granted = async (request: LeaseGrantRequest): Promise<number> =>
      (await cluster.world.complete("a grant", engine.leaseGrant(request))).ttlMs;
    expect(await granted({})).toBe(2000);
    expect(await granted({ ttlSeconds: -5 })).toBe(2000);
    expect(await granted({ ttlSeconds: 3 })).toBe(3000);
    expect(await granted({ ttlMs: 1 })).toBe(1);
    expect((await errorOf(cluster, engine.leaseGrant({ ttlSeconds: 1.5 }))).code).toBe("invalidArgument");
    expect((await errorOf(cluster, engine.leaseGrant({ ttlMs: 0 }))).code).toBe("invalidArgument");
    expect((await errorOf(cluster, engine.leaseGrant({ id: 2n ** 63n }))).code).toBe("invalidArgument");
  });

  it("of its own lets a key go, until it is put without", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const put = async (key: string, ttlMs: number): Promise<void> => {
      await cluster.world.complete("a put", leader.put({ key: bytes(key), ttlMs }));
    };
    await put("a", 300);
    await put("b", 300);
    await cluster.world.runFor(250);
    await put("a", 300);
    await put("b", 0);
    await cluster.world.runFor(250);
    expect(await getNow(cluster, leader, "a")).not.toBeNull();
    await cluster.world.runFor(200);
    expect(await getNow(cluster, leader, "a")).toBeNull();
    expect(await getNow(cluster, leader, "b")).not.toBeNull();
    const { ids } = await cluster.world.complete("a list", leader.leaseList());
    expect(ids).toEqual([]);
    await cluster.converged();
    expect(cluster.stateHashes()).toHaveLength(1);
  });
});
