import { describe, expect, it } from "vitest";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, later, put } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

const QUOTA_BYTES = 10_000;
const NAMED = { idempotencyKey: "order-1" };

async function started(founders = 3): Promise<Cluster> {
  const cluster = new Cluster({ founders, raft: FAST, tuning: { quotaBytes: QUOTA_BYTES } });
  await cluster.startAndElect();
  return cluster;
}

/** Puts until there is no room; gives how often that was done. */
async function fill(cluster: Cluster, engine: KvEngine): Promise<number> {
  for (let puts = 0; puts < 100; puts++) {
    const done = later(put(engine, `key ${puts}`, "x".repeat(1000)).then(() => true));
    const outcome = await cluster.world.complete(
      "a put",
      done.catch((error: unknown) => (error as { readonly code?: string }).code),
    );
    if (outcome === "noSpace") return puts;
    expect(outcome).toBe(true);
  }
  throw new Error("there is room without end");
}

async function disarm(cluster: Cluster, engine: KvEngine): Promise<void> {
  for (const { type, memberId } of engine.status().alarms) {
    const call = engine.alarm({ action: "deactivate", type, memberId });
    const { alarms } = await cluster.world.complete("a disarming", call);
    expect(alarms).toEqual([{ type, memberId }]);
  }
}

describe("a store that outgrows its quota", () => {
  it("refuses what would let it grow further, and raises the alarm at once on all members", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    expect(await fill(cluster, leader)).toBe(9);
    const own = { type: "noSpace", memberId: leader.nodeId };
    expect(leader.status()).toMatchObject({ alarms: [own], quotaBytes: QUOTA_BYTES, revision: 10 });
    expect(leader.status().dbSize).toBeLessThanOrEqual(QUOTA_BYTES);
    await cluster.converged();
    for (const engine of cluster.up()) {
      expect(engine.status().alarms).toEqual([own]);
      // Small enough for the quota: it is the alarm that refuses it.
      expect(await errorOf(cluster, put(engine, "a", ""))).toMatchObject({ code: "noSpace", grpcCode: 8 });
      expect((await errorOf(cluster, engine.leaseGrant({ ttlSeconds: 60 }))).code).toBe("noSpace");
    }
    expect(leader.status()).toMatchObject({ revision: 10, leases: 0 });
    expect(cluster.stateHashes()).toHaveLength(1);
  });

  it("is freed by deletion and compaction, which go on, and takes writes when it is disarmed and not before", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    const { world } = cluster;
    const range = { key: bytes("key"), rangeEnd: bytes("kez") };
    const { deleted, header } = await world.complete("a deletion", leader.deleteRange(range));
    expect(deleted).toBe(9);
    await world.complete("a compaction", leader.compact({ revision: header.revision }));
    await world.until("room", () => leader.status().dbSize < 1000);
    expect((await errorOf(cluster, put(leader, "a", ""))).code).toBe("noSpace");
    await disarm(cluster, leader);
    expect(await world.complete("a put", put(leader, "a", ""))).toBe(header.revision + 1);
    await cluster.converged();
    expect(cluster.stateHashes()).toHaveLength(1);
    const sizes = cluster.up().map((engine) => engine.status().dbSize);
    expect(new Set(sizes).size).toBe(1);
  });

  it("raises the alarm again where it was disarmed and there is still no room", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    await disarm(cluster, leader);
    expect(leader.status().alarms).toEqual([]);
    expect((await errorOf(cluster, put(leader, "a", "x".repeat(1000)))).code).toBe("noSpace");
    expect(leader.status().alarms).toHaveLength(1);
  });

  it("is any member's own: a follower refuses and raises it, too", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const follower = cluster.engine(cluster.others(leader.nodeId)[0]!);
    await fill(cluster, follower);
    await cluster.converged();
    expect(leader.status().alarms).toEqual([{ type: "noSpace", memberId: follower.nodeId }]);
  });

  it("has nobody wait for the alarm longer than for the write", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    await disarm(cluster, leader);
    const { world } = cluster;
    const gone = new AbortController();
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const value = "x".repeat(1000);
    const startedMs = world.nowMs;
    const leaving = later(put(leader, "a", value, { signal: gone.signal }));
    expect((await errorOf(cluster, put(leader, "a", value, { timeoutMs: 20 }))).code).toBe("noSpace");
    const named = put(leader, "a", value, { ...NAMED, timeoutMs: 20 });
    expect((await errorOf(cluster, named)).code).toBe("proposalDropped");
    expect(world.nowMs - startedMs).toBeLessThan(1000);
    gone.abort();
    expect((await errorOf(cluster, leaving)).code).toBe("canceled");
    cluster.network.heal();
    expect((await errorOf(cluster, put(leader, "a", "x".repeat(1000)))).code).toBe("noSpace");
  });

  it("counts values that are kept, those that are on their way too, though no request has them", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const { world } = cluster;
    await world.complete("a put", put(leader, "a", "x".repeat(2000)));
    const keep = (): Promise<unknown> => leader.put({ key: bytes("a"), ignoreValue: true });
    const ends = await Promise.all(
      Array.from({ length: 100 }, () =>
        world.complete(
          "a put",
          keep().then(
            () => "done",
            (error: unknown) => (error as { readonly code?: string }).code,
          ),
        ),
      ),
    );
    expect(ends.filter((end) => end === "done")).toHaveLength(3);
    expect(new Set(ends.slice(3))).toEqual(new Set(["tooManyRequests"]));
    expect(leader.status().dbSize).toBeLessThanOrEqual(QUOTA_BYTES);
    expect(leader.status().alarms).toEqual([]);
    // One more is not for want of patience.
    expect((await errorOf(cluster, later(keep()))).code).toBe("noSpace");
    expect(leader.status().alarms).toHaveLength(1);
  });

  it("does not fill the log with alarms, however many writes are refused", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    await disarm(cluster, leader);
    const before = leader.status().lastIndex;
    const refused = Array.from({ length: 50 }, () => errorOf(cluster, put(leader, "a", "x".repeat(1000))));
    for (const error of await Promise.all(refused)) expect(error.code).toBe("noSpace");
    expect(leader.status().lastIndex).toBe(before + 1);
  });

  it("answers a named write that was done what it gave, and refuses one that was not, whose name stays free", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const { world } = cluster;
    const value = "x".repeat(1000);
    expect(await world.complete("a put", put(leader, "a", value, NAMED))).toBe(2);
    await fill(cluster, leader);
    expect(await world.complete("a retry", put(leader, "a", value, NAMED))).toBe(2);
    const other = { idempotencyKey: "order-2" };
    expect((await errorOf(cluster, put(leader, "b", value, other))).code).toBe("noSpace");
    const { header } = await world.complete(
      "a deletion",
      leader.deleteRange({ key: bytes("\0"), rangeEnd: bytes("\0") }),
    );
    await world.complete("a compaction", leader.compact({ revision: header.revision }));
    await world.until("room", () => leader.status().dbSize < 5000);
    await disarm(cluster, leader);
    expect(await world.complete("a retry", put(leader, "b", value, other))).toBe(header.revision + 1);
  });

  it("lets leases end, by hand and in time", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const { world } = cluster;
    await world.complete("a grant", leader.leaseGrant({ id: 7n, ttlMs: 1000 }));
    await world.complete("a grant", leader.leaseGrant({ id: 8n, ttlMs: 60_000 }));
    await world.complete("a put", leader.put({ key: bytes("mortal"), ttlMs: 1000 }));
    await fill(cluster, leader);
    await world.complete("a revocation", leader.leaseRevoke({ id: 8n }));
    await world.until("expiry", () => leader.status().leases === 0, 10_000);
    expect(leader.status().alarms).toHaveLength(1);
  });

  it("knows of its alarm after a restart, from log and from snapshot", async () => {
    for (const snapshot of [false, true]) {
      const cluster = await started();
      await fill(cluster, cluster.leader()!);
      await cluster.converged();
      if (snapshot) {
        for (const engine of cluster.up()) await cluster.world.complete("a snapshot", engine.takeSnapshot());
      }
      cluster.crashAll();
      await cluster.world.complete("the start", cluster.start());
      const leader = await cluster.elected();
      expect((await errorOf(cluster, put(leader, "a", ""))).code).toBe("noSpace");
      expect(leader.status().alarms).toHaveLength(1);
    }
  });

  it("refuses without a quorum, too, though nobody can be told", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    await disarm(cluster, leader);
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).crash();
    const big = "x".repeat(1000);
    expect((await errorOf(cluster, put(leader, "a", big))).code).toBe("noSpace");
    // Whether this one was done before is known where it is applied: it may come again.
    expect(await errorOf(cluster, put(leader, "a", big, NAMED))).toMatchObject({ retryable: true });
  });

  it("does not say of a named write what became of its alarm", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    await fill(cluster, leader);
    await disarm(cluster, leader);
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).crash();
    const call = later(put(leader, "a", "x".repeat(1000), NAMED));
    const { lastIndex } = leader.status();
    await cluster.world.until("the alarm in the log", () => leader.status().lastIndex > lastIndex);
    void later(leader.stop({ transferLeadership: false }));
    const error = await errorOf(cluster, call);
    // Whoever looks in the log for what may have been done must not find the alarm, and take it for the write.
    expect([error.code, error.maybeApplied, error.proposal]).toEqual(["proposalDropped", false, undefined]);
  });
});

describe("an alarm", () => {
  it("can be raised, listed and disarmed by hand, for any member and of each type", async () => {
    const cluster = await started(1);
    const leader = cluster.leader()!;
    const { world } = cluster;
    const corrupt = { type: "corrupt", memberId: 5n } as const;
    const noSpace = { type: "noSpace", memberId: 6n } as const;
    for (const alarm of [corrupt, noSpace]) {
      const raised = await world.complete("a raising", leader.alarm({ action: "activate", ...alarm }));
      expect(raised).toMatchObject({ alarms: [alarm], header: { revision: 1 } });
    }
    const list = (type?: "corrupt"): Promise<object> =>
      world.complete("a list", leader.alarm({ action: "get", ...(type === undefined ? {} : { type }) }));
    expect(await list()).toMatchObject({ alarms: [corrupt, noSpace] });
    expect(await list("corrupt")).toMatchObject({ alarms: [corrupt] });
    expect((await errorOf(cluster, leader.compact({ revision: 1 }))).code).toBe("corrupt");
    await disarm(cluster, leader);
    expect(await list()).toMatchObject({ alarms: [] });
    expect(await world.complete("a put", put(leader, "a", ""))).toBe(2);
  });

  it("of a member whose id is none is refused", async () => {
    const cluster = await started(1);
    const alarm = { action: "activate", type: "noSpace", memberId: -1n } as const;
    expect((await errorOf(cluster, cluster.leader()!.alarm(alarm))).code).toBe("invalidArgument");
  });
});
