import { describe, expect, it } from "vitest";
import { bytes, errorOf, FAST, getNow, put } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

async function started(founders = 3, tuning = {}): Promise<Cluster> {
  const cluster = new Cluster({ founders, raft: FAST, tuning });
  await cluster.startAndElect();
  return cluster;
}

const NAMED = { idempotencyKey: "order-1" };

describe("a write under an idempotency key", () => {
  it("is done once though its leader dies after the commit and before the reply", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const others = cluster.others(leader.nodeId);
    const lost = put(leader, "a", "1", NAMED).catch(() => null);
    // A follower that has applied it knows of the commit; the leader dies in the same moment.
    await cluster.world.until("the commit", () =>
      others.some((id) => cluster.engine(id).status().revision === 2),
    );
    cluster.node(leader.nodeId).crash();
    await lost;
    const next = await cluster.elected(others);
    const request = { key: bytes("a"), value: bytes("1") };
    const again = await cluster.world.complete("the retry", next.put(request, NAMED));
    expect(again).toMatchObject({ replayed: true, header: { revision: 2 } });
    expect(await getNow(cluster, next, "a")).toEqual({ value: "1", version: 1 });
  });

  it("is known after all have been restarted, from log and from snapshot", async () => {
    for (const snapshot of [false, true]) {
      const cluster = await started();
      await cluster.world.complete("a put", put(cluster.leader()!, "a", "1", NAMED));
      if (snapshot) {
        await cluster.converged();
        for (const engine of cluster.up()) await cluster.world.complete("a snapshot", engine.takeSnapshot());
      }
      cluster.crashAll();
      await cluster.world.complete("the start", cluster.start());
      const leader = await cluster.elected();
      expect(await cluster.world.complete("a retry", put(leader, "a", "1", NAMED))).toBe(2);
      expect(await getNow(cluster, leader, "a")).toEqual({ value: "1", version: 1 });
    }
  });

  it("is refused where the key belongs to another, or to what takes none, and nothing changes", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    await cluster.world.complete("a put", put(leader, "a", "1", NAMED));
    const other = await errorOf(cluster, put(leader, "a", "2", NAMED));
    expect(other).toMatchObject({ code: "idempotencyKeyReused", grpcCode: 3 });
    const noKey = await errorOf(cluster, put(leader, "a", "2", { idempotencyKey: "a b" }));
    expect(noKey).toMatchObject({ code: "invalidArgument" });
    const reads = { compare: [], success: [], failure: [] };
    expect(await errorOf(cluster, leader.txn(reads, NAMED))).toMatchObject({
      code: "invalidArgument",
    });
    // Behind the compiler's back.
    const smuggled: object = NAMED;
    const compact = leader.compact({ revision: 1 }, smuggled);
    expect(await errorOf(cluster, compact)).toMatchObject({
      code: "invalidArgument",
    });
    expect(leader.status()).toMatchObject({ revision: 2, compactRevision: 0 });
  });

  it("that brings a lease of its own is the same at each attempt", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const request = { key: bytes("a"), value: bytes("1"), ttlMs: 5000 };
    await cluster.world.complete("a put", leader.put(request, NAMED));
    expect(await cluster.world.complete("a retry", leader.put(request, NAMED))).toMatchObject({
      replayed: true,
    });
    expect(leader.status().leases).toBe(1);
  });

  it("is remembered for the whole window and forgotten by and by", async () => {
    const cluster = await started(3, { idempotencyWindowMs: 10_000 });
    const leader = cluster.leader()!;
    const name = (idempotencyKey: string): Promise<number> =>
      cluster.world.complete(idempotencyKey, put(leader, "a", "1", { idempotencyKey }));
    expect(await name("one")).toBe(2);
    expect(await name("two")).toBe(3);
    await cluster.world.runFor(9_000);
    expect(await name("one")).toBe(2);
    await cluster.world.runFor(12_000);
    expect(await name("three")).toBe(4);
    expect(await name("one")).toBe(5);
    await cluster.converged();
    expect(cluster.stateHashes()).toHaveLength(1);
  });
});
