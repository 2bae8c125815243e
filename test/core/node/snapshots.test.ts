import { describe, expect, test } from "vitest";
import { encodeFrame, decodeFrame } from "../../../src/core/node/codec/index.ts";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { bodyOf, FAST, getNow, kindOf, later, put, putNow } from "./support.ts";
import { checkFinalState, checkRegisters } from "./world/check.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import type { Verdict } from "./world/disk.ts";
import { History } from "./world/history.ts";
import type { SimNode } from "./world/sim-node.ts";

/** Nothing but the newest entry stays in memory, so that the log on disk, or a snapshot, must serve. */
const NO_TAIL = { ...FAST, tailBytes: 1 };

async function fill(cluster: Cluster, engine: KvEngine, from: number, to: number): Promise<void> {
  const puts: Promise<number>[] = [];
  for (let i = from; i <= to; i++) puts.push(put(engine, `k${i}`, `value ${i}`));
  await cluster.world.complete("the puts", Promise.all(puts));
}

function restored(node: SimNode): number {
  return node.lines.filter((line) => line.includes("snapshot restored")).length;
}

describe("taking one", () => {
  test("while writes go on: the log is shortened, and what follows is kept", async () => {
    const cluster = new Cluster({
      seed: 1,
      raft: FAST,
      tuning: { snapshotEntries: 20, trailingEntries: 5, snapshotChunkBytes: 64 },
    });
    const leader = await cluster.startAndElect();
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 2;
    const history = new History(cluster.world);
    for (let i = 0; i < 120; i++) {
      void history.write(cluster.node(leader.nodeId), `k${i % 30}`);
      await cluster.world.runFor(3);
    }
    await history.settled();
    await cluster.converged();
    await cluster.world.runFor(100);
    expect(history.writes.every(({ outcome }) => outcome === "ok")).toBe(true);
    for (const { disk } of cluster.nodes.values()) {
      const { snapshots } = disk.durable;
      expect(snapshots).toHaveLength(1);
      const { index } = snapshots[0]!.info.meta;
      expect(index).toBeGreaterThan(60);
      expect(disk.durable.bounds().firstIndex).toBe(index - 5 + 1);
    }
    const [hash] = cluster.stateHashes();
    cluster.crashAll();
    await cluster.startAndElect();
    await cluster.converged();
    expect(cluster.stateHashes()).toEqual([hash]);
    expect(await checkFinalState(history, cluster.leader()!)).toEqual([]);
  });

  test("by size, and on request", async () => {
    const cluster = new Cluster({
      seed: 2,
      founders: 1,
      tuning: { snapshotBytes: 2000, trailingEntries: 0 },
    });
    const engine = await cluster.startAndElect();
    const { disk } = cluster.node(1n);
    await putNow(cluster, engine, "small", "v");
    await cluster.world.runFor(50);
    expect(disk.durable.snapshots[0]!.info.meta.index).toBe(1);
    await putNow(cluster, engine, "large", "x".repeat(2500));
    await cluster.world.until("a snapshot", () => disk.durable.snapshots[0]!.info.meta.index > 1);
    await putNow(cluster, engine, "small", "w");
    const { meta } = await cluster.world.complete("a snapshot", engine.takeSnapshot());
    expect(meta.index).toBe(engine.status().appliedIndex);
    expect(engine.status().firstIndex).toBe(meta.index + 1);
  });

  test("counts what was applied before a restart too, or it would never be due in a node that often restarts", async () => {
    const cluster = new Cluster({
      seed: 3,
      founders: 1,
      tuning: { snapshotEntries: 30, trailingEntries: 0 },
    });
    for (let round = 0; round < 4; round++) {
      const engine = await cluster.startAndElect();
      await fill(cluster, engine, 1, 10);
      await cluster.world.runFor(50);
      await cluster.world.complete("the end", cluster.node(1n).stop());
    }
    expect(cluster.node(1n).disk.durable.snapshots[0]!.info.meta.index).toBeGreaterThan(1);
  });

  test("waits until the log on disk has got as far", async () => {
    const cluster = new Cluster({ seed: 4, raft: FAST, tuning: { trailingEntries: 0 } });
    const leader = await cluster.startAndElect();
    await cluster.announced();
    const { disk } = cluster.node(leader.nodeId);
    disk.latencyMs = (kind) => (kind.startsWith("snapshot") ? 0 : 300);
    // Acknowledged by the others' disks.
    await putNow(cluster, leader, "k", "v");
    expect(leader.status().appliedIndex).toBeGreaterThan(disk.durable.lastIndex);
    let ahead = 0;
    disk.onDurable = () => {
      const [newest] = disk.durable.snapshots;
      ahead = Math.max(ahead, newest!.info.meta.index - disk.durable.lastIndex);
    };
    const { meta } = await cluster.world.complete("a snapshot", leader.takeSnapshot());
    expect(ahead).toBe(0);
    expect(disk.durable.snapshots[0]!.info.meta).toEqual(meta);
    expect(leader.isStopped).toBe(false);
  });
});

describe("a follower that was away", () => {
  async function behind(
    options: ClusterOptions,
  ): Promise<{ cluster: Cluster; away: SimNode; leader: KvEngine }> {
    const cluster = new Cluster({ raft: NO_TAIL, ...options });
    await cluster.startAndElect();
    await cluster.announced();
    const leader = cluster.leader()!;
    const away = cluster.node(cluster.others(leader.nodeId)[0]!);
    away.crash();
    await fill(cluster, leader, 1, 60);
    return { cluster, away, leader };
  }

  test("gets entries from the leader's store when they have left its memory", async () => {
    const { cluster, away, leader } = await behind({ seed: 5, raft: { ...NO_TAIL, maxAppendBytes: 200 } });
    for (const { disk } of cluster.nodes.values()) disk.readLatencyMs = () => 2;
    await cluster.world.complete("the start", away.start());
    await cluster.converged();
    expect(cluster.stateHashes()).toHaveLength(1);
    expect(restored(away)).toBe(0);
    expect(leader.status().role).toBe("leader");
  });

  test("gets a snapshot when they have left the store as well", async () => {
    const { cluster, away, leader } = await behind({ seed: 6, tuning: { trailingEntries: 0 } });
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    await fill(cluster, leader, 61, 70);
    await cluster.world.complete("the start", away.start());
    await cluster.converged();
    expect(cluster.stateHashes()).toHaveLength(1);
    expect(restored(away)).toBe(1);
    // And with it everything about the members.
    const { members } = await cluster.world.complete("the members", away.engine!.memberList());
    expect(members).toEqual((await cluster.world.complete("the members", leader.memberList())).members);
  });

  test("gets its entries though they are compacted while they are read", async () => {
    const { cluster, away, leader } = await behind({
      seed: 7,
      raft: { ...NO_TAIL, maxAppendBytes: 100 },
      tuning: { trailingEntries: 0 },
    });
    cluster.node(leader.nodeId).disk.readLatencyMs = () => 4;
    await cluster.world.complete("the start", away.start());
    await cluster.world.runFor(30);
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    await cluster.converged();
    expect(leader.isStopped).toBe(false);
    expect(cluster.stateHashes()).toHaveLength(1);
  });

  test("goes on where a transfer broke off", async () => {
    const { cluster, away, leader } = await behind({
      seed: 8,
      tuning: { trailingEntries: 0, snapshotChunkBytes: 64 },
    });
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    const { size } = cluster.node(leader.nodeId).disk.durable.snapshots[0]!.info;
    let delivered = 0;
    let cut = false;
    const sent: number[] = [];
    cluster.network.onFrame = (travelling) => {
      const body = bodyOf(travelling);
      if (body.type !== "snapshotChunk") return "pass";
      if (delivered > size / 2 && !cut) cut = true;
      if (cut) return "drop";
      delivered += body.data.length;
      return "pass";
    };
    await cluster.world.complete("the start", away.start());
    await cluster.world.until("the cut", () => cut);
    // Long enough for the sender to give up.
    await cluster.world.runFor(2000);
    expect(away.engine!.status().appliedIndex).toBeLessThan(leader.status().firstIndex);
    cluster.network.onFrame = (travelling) => {
      const body = bodyOf(travelling);
      if (body.type === "snapshotChunk") sent.push(body.data.length);
      return "pass";
    };
    await cluster.converged();
    expect(restored(away)).toBe(1);
    const again = sent.reduce((sum, length) => sum + length, 0);
    expect(again).toBeGreaterThan(0);
    expect(again).toBeLessThanOrEqual(size - delivered + 64);
  });

  test("refuses a snapshot whose bytes are not those announced, and takes the next one", async () => {
    const { cluster, away, leader } = await behind({ seed: 9, tuning: { trailingEntries: 0 } });
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    let forged = 0;
    cluster.network.onFrame = (travelling) => {
      const { header, body } = decodeFrame(travelling.frame);
      if (body.type !== "snapshotChunk" || body.data.length === 0 || forged > 0) return "pass";
      forged++;
      const data = body.data.slice();
      data[data.length >> 1]! ^= 1;
      return encodeFrame(header, { ...body, data });
    };
    await cluster.world.complete("the start", away.start());
    await cluster.converged();
    expect(forged).toBe(1);
    expect(away.lines.some((line) => line.includes("does not have its checksum"))).toBe(true);
    expect(restored(away)).toBe(1);
    expect(cluster.stateHashes()).toHaveLength(1);
  });

  test("gets one, though new ones are taken faster than it can be sent", async () => {
    const { cluster, away, leader } = await behind({
      seed: 10,
      tuning: { trailingEntries: 0, snapshotEntries: 5, snapshotChunkBytes: 64 },
    });
    cluster.network.conditions = { ...cluster.network.conditions, minDelayMs: 5, maxDelayMs: 6 };
    const transfers = new Set<bigint>();
    cluster.network.observe((travelling) => {
      const body = bodyOf(travelling);
      if (body.type === "snapshotChunk") transfers.add(body.transferId);
    });
    await cluster.world.complete("the start", away.start());
    let writes = 0;
    while (restored(away) === 0 && writes < 400) {
      await putNow(cluster, leader, `k${writes++ % 60}`, "again");
    }
    expect(restored(away)).toBe(1);
    expect(transfers.size).toBe(1);
    // And from there on the log is enough.
    for (let i = 0; i < 30; i++) await putNow(cluster, leader, `k${i}`, "and again");
    await cluster.converged();
    expect(restored(away)).toBe(1);
  });

  test("is not told by a leader of before, whose transfer goes on, that it leads still", async () => {
    const { cluster, away, leader } = await behind({
      seed: 12,
      tuning: { trailingEntries: 0, snapshotChunkBytes: 64 },
    });
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    const { term } = leader.status();
    const terms: number[] = [];
    cluster.network.onFrame = (travelling) => {
      const body = bodyOf(travelling);
      // The answers take long, so that one is on its way when the leader changes.
      if (body.type === "snapshotChunkResult") return [40];
      if (body.type === "snapshotChunk" && travelling.from === leader.nodeId) terms.push(body.term);
      // Who leads next can say so, but not help: the old transfer would have nothing left to do.
      const helps = kindOf(travelling) === "AppendEntries" && travelling.from !== leader.nodeId;
      return helps ? "drop" : "pass";
    };
    await cluster.world.complete("the start", away.start());
    await cluster.world.until("the middle", () => terms.length > 5);
    const [next] = cluster.others(leader.nodeId).filter((id) => id !== away.id) as [bigint];
    await cluster.world.complete("a transfer", leader.transferLeadership(next));
    await cluster.world.runFor(1000);
    cluster.network.onFrame = () => "pass";
    await cluster.converged();
    expect(new Set(terms)).toEqual(new Set([term]));
    expect(away.isUp).toBe(true);
    expect(cluster.stateHashes()).toHaveLength(1);
  });

  const verdicts: Verdict[] = ["crashBefore", "crashTorn", "crashAfter"];

  test.each([true, false])(
    "recovers from a crash at any write of the installation (one store: %s)",
    async (hasCommit) => {
      let crashes = 0;
      for (const verdict of verdicts) {
        for (let at = 1; at <= 18; at++) {
          const { cluster, away, leader } = await behind({
            seed: 11,
            hasCommit,
            tuning: { trailingEntries: 0, snapshotChunkBytes: 200 },
          });
          await cluster.world.complete("a snapshot", leader.takeSnapshot());
          // A log of its own that the snapshot must replace.
          await cluster.world.complete("the start", away.start());
          const first = away.disk.writes;
          for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 1;
          away.disk.decide = (_kind, count) => (count === first + at ? verdict : "ok");
          await cluster.world.runFor(400);
          if (away.life === null) {
            crashes++;
            await cluster.world.complete("the restart", away.start());
          }
          await putNow(cluster, leader, "after", "v");
          await cluster.converged();
          expect(cluster.stateHashes(), `${verdict} at ${at}`).toHaveLength(1);
        }
      }
      // The enumeration reaches past the end of the installation.
      expect(crashes).toBeGreaterThan(20);
      expect(crashes).toBeLessThan(3 * 18);
    },
  );
});

test("a crash at any write of taking a snapshot loses nothing", async () => {
  let crashes = 0;
  for (const verdict of ["crashBefore", "crashTorn", "crashAfter"] satisfies Verdict[]) {
    for (let at = 1; at <= 12; at++) {
      const cluster = new Cluster({
        seed: at,
        founders: 1,
        hasCommit: at % 2 === 0,
        tuning: { trailingEntries: 1, snapshotChunkBytes: 100 },
      });
      const history = new History(cluster.world);
      const node = cluster.node(1n);
      node.onCrash = () => history.crashed(1n);
      const engine = await cluster.startAndElect();
      await fill(cluster, engine, 1, 10);
      await cluster.world.complete("a snapshot", engine.takeSnapshot());
      const first = node.disk.writes;
      node.disk.decide = (_kind, count) => (count === first + at ? verdict : "ok");
      node.disk.latencyMs = () => 1;
      void later(engine.takeSnapshot());
      for (let i = 0; i < 3; i++) void history.write(node, `h${i}`);
      await cluster.world.runFor(60);
      node.disk.decide = () => "ok";
      if (!node.isUp) {
        crashes++;
        await cluster.startAndElect();
      }
      await history.settled();
      // Whoever has just begun to lead does not know at once what is committed.
      await putNow(cluster, cluster.leader()!, "last", "v");
      expect(checkRegisters(history), `${verdict} at ${at}`).toEqual([]);
      expect(await checkFinalState(history, cluster.leader()!), `${verdict} at ${at}`).toEqual([]);
      for (let i = 1; i <= 10; i++) {
        expect(await getNow(cluster, cluster.leader()!, `k${i}`)).toMatchObject({ value: `value ${i}` });
      }
    }
  }
  expect(crashes).toBeGreaterThan(20);
});

test("a peer's announcement of a snapshot without its bytes is not believed", async () => {
  const cluster = new Cluster({ seed: 30, raft: FAST });
  const leader = await cluster.startAndElect();
  const [follower] = cluster.followers();
  const config = { voters: [9n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const { term } = leader.status();
  let forged = false;
  cluster.network.onFrame = (travelling) => {
    const { header, body } = decodeFrame(travelling.frame);
    const isHeartbeat = body.type === "raft" && kindOf(travelling) === "Heartbeat";
    if (!isHeartbeat || travelling.to !== follower!.nodeId || forged) return "pass";
    forged = true;
    const snapshot = { index: 10_000, term, config };
    const message = { type: "InstallSnapshot", from: header.from, to: header.to, term, snapshot } as const;
    return encodeFrame(header, { type: "raft", message });
  };
  await cluster.world.runFor(200);
  expect(forged).toBe(true);
  await putNow(cluster, leader, "k", "v");
  await cluster.converged();
  expect(follower!.isStopped).toBe(false);
  expect(follower!.status().lastIndex).toBeLessThan(10_000);
});
