import { describe, expect, test } from "vitest";
import type { Clock, KvEngine, Measurement, NodeObserver } from "../../../src/core/node/index.ts";
import { Meter } from "../../../src/core/node/observer.ts";
import { bytes, errorOf, FAST, get, later, put, putNow } from "./support.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";

/** What one node has measured. */
class Measured {
  readonly #values: Map<Measurement, number[]> = new Map();

  readonly observer: NodeObserver = (measurement, value) => {
    this.of(measurement).push(value);
  };

  of(measurement: Measurement): number[] {
    const values = this.#values.get(measurement) ?? [];
    this.#values.set(measurement, values);
    return values;
  }

  total(measurement: Measurement): number {
    return this.of(measurement).reduce((sum, value) => sum + value, 0);
  }

  forget(): void {
    this.#values.clear();
  }
}

interface Run {
  readonly cluster: Cluster;
  readonly leader: KvEngine;
  readonly follower: KvEngine;
  /** By the id of the node. */
  readonly measured: ReadonlyMap<bigint, Measured>;
  readonly ofLeader: Measured;
  readonly ofFollower: Measured;
}

/** Three nodes that have elected one of them, and have nothing to do. */
async function begin(options: ClusterOptions = {}): Promise<Run> {
  const cluster = new Cluster({ raft: FAST, ...options });
  const measured = new Map([...cluster.nodes.keys()].map((id) => [id, new Measured()]));
  const starts = [...measured].map(([id, { observer }]) => cluster.node(id).start({ observer }));
  await cluster.world.complete("the start", Promise.all(starts));
  const leader = await cluster.elected();
  await cluster.announced();
  const follower = cluster.up().find(({ nodeId }) => nodeId !== leader.nodeId)!;
  const ofLeader = measured.get(leader.nodeId)!;
  const ofFollower = measured.get(follower.nodeId)!;
  return { cluster, leader, follower, measured, ofLeader, ofFollower };
}

describe("what a node measures", () => {
  test("a proposal: until it was committed, and until it was applied, where its caller waits", async () => {
    const { cluster, leader, follower, ofLeader, ofFollower } = await begin();
    ofLeader.forget();
    ofFollower.forget();
    const startMs = cluster.world.nowMs;
    await putNow(cluster, follower, "k", "v");
    const tookSeconds = (cluster.world.nowMs - startMs) / 1000;
    const [committed] = ofFollower.of("proposeToCommit");
    const [applied] = ofFollower.of("proposeToApply");
    expect(committed).toBeGreaterThan(0);
    expect(committed).toBeLessThanOrEqual(applied!);
    expect(applied).toBeLessThanOrEqual(tookSeconds + 1e-9);
    expect(ofFollower.of("proposeToApply")).toHaveLength(1);
    expect(ofLeader.of("proposeToCommit")).toEqual([]);
    await putNow(cluster, leader, "k", "v");
    expect(ofLeader.of("proposeToCommit")).toHaveLength(1);
  });

  test("a flush lasts as long as the disk takes, on every member that writes", async () => {
    const { cluster, leader, ofLeader, ofFollower } = await begin();
    ofLeader.forget();
    ofFollower.forget();
    for (const { id, disk } of cluster.nodes.values())
      disk.latencyMs = () => (id === leader.nodeId ? 70 : 20);
    await putNow(cluster, leader, "k", "v");
    await cluster.world.runFor(1000);
    expect(ofLeader.of("logFlush")).toEqual([expect.closeTo(0.07, 6)]);
    expect(ofFollower.of("logFlush")).toEqual([expect.closeTo(0.02, 6)]);
  });

  test("what is applied: as many commands as there were, together what came together", async () => {
    const { cluster, leader, ofLeader, ofFollower } = await begin();
    ofLeader.forget();
    ofFollower.forget();
    const puts = Array.from({ length: 20 }, (_, i) => put(leader, `k${i}`, "v"));
    await cluster.world.complete("the puts", Promise.all(puts));
    await cluster.world.runFor(1000);
    for (const measured of [ofLeader, ofFollower]) {
      expect(measured.total("applyBatch")).toBe(20);
      expect(Math.max(...measured.of("applyBatch"))).toBeGreaterThan(5);
      expect(measured.of("applyDuration")).toHaveLength(measured.of("applyBatch").length);
    }
  });

  test("a snapshot, its bytes, and on the member that gets it how long restoring took", async () => {
    const { cluster, leader, follower, measured, ofLeader } = await begin({
      raft: { ...FAST, tailBytes: 1 },
      tuning: { trailingEntries: 0 },
    });
    const { nodeId } = follower;
    cluster.node(nodeId).crash();
    for (let i = 0; i < 10; i++) await putNow(cluster, leader, `k${i}`, "v");
    cluster.node(leader.nodeId).disk.latencyMs = (kind) => (kind.startsWith("snapshot") ? 30 : 0);
    const { size } = await cluster.world.complete("the snapshot", leader.takeSnapshot());
    expect(ofLeader.of("snapshotBytes")).toEqual([size]);
    expect(ofLeader.of("snapshotDuration")).toHaveLength(1);
    expect(ofLeader.of("snapshotDuration")[0]).toBeGreaterThanOrEqual(0.03 - 1e-9);
    const { observer } = measured.get(nodeId)!;
    measured.get(nodeId)!.forget();
    await cluster.world.complete("the start", cluster.node(nodeId).start({ observer }));
    await cluster.world.until("it has caught up", () => cluster.engine(nodeId).status().revision >= 11);
    expect(measured.get(nodeId)!.of("restoreDuration")).toHaveLength(1);
    expect(ofLeader.of("restoreDuration")).toEqual([]);
  });

  test("elections by whoever stands, and every leader that is seen", async () => {
    const { cluster, leader, measured } = await begin();
    const sum = (measurement: Measurement): number =>
      [...measured.values()].reduce((total, each) => total + each.total(measurement), 0);
    expect(sum("elections")).toBeGreaterThanOrEqual(1);
    expect(sum("leaderChanges")).toBe(3);
    for (const each of measured.values()) each.forget();
    // Its vote is written again, with what is committed; that is no other election.
    await putNow(cluster, leader, "k", "v");
    await cluster.world.runFor(2000);
    await putNow(cluster, leader, "k", "v");
    expect(sum("elections") + sum("leaderChanges")).toBe(0);
    cluster.node(leader.nodeId).crash();
    const next = await cluster.elected();
    expect(measured.get(next.nodeId)!.total("elections")).toBeGreaterThanOrEqual(1);
    expect(sum("leaderChanges")).toBe(2);
  });

  test("proposals that are refused, by the member that has too many and by the leader that writes too slowly", async () => {
    const few = await begin({ tuning: { maxPendingRequests: 3 } });
    for (let i = 0; i < 5; i++) void later(put(few.follower, `k${i}`, "v"));
    expect(few.follower.status().pendingProposals).toBe(3);
    await few.cluster.world.runFor(1000);
    expect(few.follower.status().pendingProposals).toBe(0);
    expect(few.ofFollower.total("rejectedProposals")).toBe(2);
    expect(few.ofLeader.total("rejectedProposals")).toBe(0);

    const slow = await begin({ raft: { ...FAST, maxUncommittedBytes: 2000 } });
    const puts = Array.from({ length: 100 }, (_, i) => put(slow.follower, `k${i}`, "v".repeat(200)));
    const outcomes = await slow.cluster.world.complete("the puts", Promise.allSettled(puts));
    const refused = outcomes.filter(({ status }) => status === "rejected").length;
    expect(refused).toBeGreaterThan(0);
    expect(slow.ofLeader.total("rejectedProposals")).toBe(refused);
  });

  test("reads and questions that are refused", async () => {
    const { cluster, follower, ofFollower } = await begin({ tuning: { maxPendingRequests: 3 } });
    for (let i = 0; i < 4; i++) void later(get(follower, "k"));
    expect((await errorOf(cluster, get(follower, "k"))).code).toBe("tooManyRequests");
    expect(ofFollower.total("rejectedReads")).toBe(2);
    for (let i = 0; i < 4; i++) void later(follower.leaseKeepAlive(7n));
    await cluster.world.runFor(1000);
    expect(ofFollower.total("rejectedReads")).toBe(3);
  });

  test("nothing where nobody wants to know: not even the clock is looked at", () => {
    const clock: Clock = {
      nowMs: () => {
        throw new Error("looked at");
      },
      wallMs: () => 0,
      setTimer: () => () => {},
    };
    const meter = new Meter(clock, null);
    meter.since("logFlush", meter.nowMs());
    meter.between("logFlush", 1, 2);
    meter.record("logFlush", 1);
    const seen: number[] = [];
    const watched = new Meter({ ...clock, nowMs: () => 1500 }, (_, value) => seen.push(value));
    watched.since("logFlush", 1000);
    watched.between("logFlush", watched.nowMs(), 1750);
    expect(seen).toEqual([0.5, 0.25]);
  });

  test("leases, and how far the watch is behind that is furthest behind", async () => {
    const { cluster, leader } = await begin();
    await putNow(cluster, leader, "k", "v");
    const { revision } = leader.status();
    const stream = leader.watch();
    stream.create({ key: bytes("k") });
    await stream.next();
    expect(leader.status().watchLag()).toBe(0);
    for (let i = 0; i < 3; i++) await putNow(cluster, leader, "k", `${i}`);
    expect(leader.status().watchLag()).toBe(leader.status().revision - revision);
    await cluster.world.complete("the events", stream.next());
    expect(leader.status().watchLag()).toBe(0);
    expect(leader.status().leases).toBe(0);
    await cluster.world.complete("the lease", leader.leaseGrant({ ttlSeconds: 60 }));
    expect(leader.status().leases).toBe(1);
  });
});
