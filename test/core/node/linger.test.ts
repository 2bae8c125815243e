import { expect, test } from "vitest";
import { later, put } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

/** One put in each of `count` times 10 ms, at the leader and at the followers in turn; says what they cost. */
async function paced(cluster: Cluster, count: number): Promise<{ writes: number[]; longestMs: number }> {
  const { world } = cluster;
  const engines = [cluster.leader()!, ...cluster.followers()];
  const disks = engines.map(({ nodeId }) => cluster.node(nodeId).disk);
  const before = disks.map(({ writes }) => writes);
  let longestMs = 0;
  const puts: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const sentMs = world.nowMs;
    const done = put(engines[i % engines.length]!, `key ${i}`, "value").then(() => {
      longestMs = Math.max(longestMs, world.nowMs - sentMs);
    });
    puts.push(later(done));
    await world.runFor(10);
  }
  await world.complete("the puts", Promise.all(puts));
  return { writes: disks.map(({ writes }, i) => (writes - before[i]!) / count), longestMs };
}

test("proposals gather at the leader, wherever they were made, and go into one write on each node", async () => {
  const cluster = new Cluster({ tuning: { lingerMs: 50 } });
  await cluster.startAndElect();
  await cluster.announced();
  const { writes, longestMs } = await paced(cluster, 200);
  for (const perPut of writes) expect(perPut).toBeLessThanOrEqual(0.2);
  // As much longer as was asked for, and not until the leader has something else to do.
  const unhurried = new Cluster({});
  await unhurried.startAndElect();
  await unhurried.announced();
  const direct = await paced(unhurried, 200);
  for (const perPut of direct.writes) expect(perPut).toBeGreaterThan(0.9);
  expect(longestMs).toBeLessThanOrEqual(direct.longestMs + 50 + 10);
});

test("what is gathering when the leadership ends is not lost", async () => {
  const cluster = new Cluster({ tuning: { lingerMs: 200 } });
  const leader = await cluster.startAndElect();
  await cluster.announced();
  const pending = later(put(leader, "key", "value"));
  await cluster.world.runFor(10);
  const [follower] = cluster.followers();
  await cluster.world.complete("the transfer", leader.transferLeadership(follower!.nodeId));
  await cluster.world.complete("the put", pending);
  expect(cluster.leader()?.nodeId).toBe(follower!.nodeId);
});

test("a proposal that stays alone waits for no other, and for nothing else that is due", async () => {
  // Heartbeats, and looks at requests that wait, come seldom enough not to help.
  const raft = { electionTimeoutMs: 6000, heartbeatIntervalMs: 2000, clockDriftBoundMs: 100 };
  const cluster = new Cluster({ tuning: { lingerMs: 10 }, raft });
  const leader = await cluster.startAndElect();
  await cluster.announced();
  await cluster.world.runFor(5000);
  const sentMs = cluster.world.nowMs;
  await cluster.world.complete("the put", put(leader, "key", "value"));
  expect(cluster.world.nowMs - sentMs).toBeGreaterThanOrEqual(10);
  expect(cluster.world.nowMs - sentMs).toBeLessThan(45);
});

test("a store that gathers writes by itself is given what is proposed at once, and not behind four others", async () => {
  const meanMs = async (gathersWrites: boolean): Promise<number> => {
    const cluster = new Cluster({ founders: 1 });
    const { disk } = cluster.node(1n);
    disk.gathersWrites = gathersWrites;
    const leader = await cluster.startAndElect();
    await cluster.announced();
    const { world } = cluster;
    // All that is there at the next hundred goes together.
    disk.latencyMs = () => 100 - (world.nowMs % 100);
    let totalMs = 0;
    const puts: Promise<void>[] = [];
    for (let i = 0; i < 200; i++) {
      const sentMs = world.nowMs;
      const done = put(leader, `key ${i}`, "value").then(() => {
        totalMs += world.nowMs - sentMs;
      });
      puts.push(later(done));
      await world.runFor(10);
    }
    await world.complete("the puts", Promise.all(puts));
    return totalMs / 200;
  };
  expect(await meanMs(false)).toBeGreaterThan(80);
  expect(await meanMs(true)).toBeLessThan(65);
});
