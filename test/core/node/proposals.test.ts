import { describe, expect, test } from "vitest";
import { Meter } from "../../../src/core/node/observer.ts";
import type { Payload } from "../../../src/core/node/proposals.ts";
import { Proposals } from "../../../src/core/node/proposals.ts";
import type { ProposalId } from "../../../src/core/node/frames.ts";
import { errorOf, FAST, getNow, kindOf, later, put, putNow } from "./support.ts";
import { checkFinalState, checkRegisters } from "./world/check.ts";
import { HandClock } from "./watch/hub-fixture.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import type { Verdict } from "./world/disk.ts";
import { History } from "./world/history.ts";

const SILENT = new Meter(new HandClock(), null);
const COMMAND: Payload = { type: "command", command: new Uint8Array(1) };

interface Run {
  readonly cluster: Cluster;
  readonly history: History;
}

async function begin(options: ClusterOptions): Promise<Run> {
  const cluster = new Cluster({ raft: FAST, ...options });
  const history = new History(cluster.world);
  for (const node of cluster.nodes.values()) node.onCrash = () => history.crashed(node.id);
  await cluster.startAndElect();
  await cluster.announced();
  return { cluster, history };
}

/** Writes through all nodes, some of it while others wait. */
async function load({ cluster, history }: Run, count: number): Promise<void> {
  const nodes = [...cluster.nodes.values()];
  for (let i = 0; i < count; i++) {
    void history.write(nodes[i % nodes.length]!, i % 3 === 0 ? "register" : `unique${i}`);
    await cluster.world.runFor(cluster.world.random.int(8));
  }
}

/** Starts what is down, waits for everything to end and become the same, and gives what is wrong. */
async function reckon({ cluster, history }: Run): Promise<string[]> {
  const { world } = cluster;
  for (const node of cluster.nodes.values()) {
    node.disk.decide = () => "ok";
    node.disk.latencyMs = () => 0;
    if (node.isUp) continue;
    if (node.life?.isAlive === true) node.crash();
    await world.complete("a start", node.start());
  }
  await cluster.elected();
  await history.settled();
  await putNow(cluster, cluster.leader()!, "last", "v");
  await cluster.converged();
  expect(cluster.stateHashes()).toHaveLength(1);
  return [...checkRegisters(history), ...(await checkFinalState(history, cluster.leader()!))];
}

test("a write that was sent when its node stopped names the log entry that may hold it", async () => {
  const proposals = new Proposals<string>(7n, 10, 1000, SILENT);
  const [sent, unsent] = [proposals.submit(COMMAND, {}, 0), proposals.submit(COMMAND, {}, 0)];
  const ended = Promise.allSettled([sent, unsent]);
  proposals.offer(1, (batch) => batch.map(({ id }) => (id.sequence === 1 ? "sent" : "later")));
  proposals.stop();
  const [first, second] = await ended;
  expect(first).toMatchObject({ reason: { code: "stopped", proposal: { proposer: 7n, sequence: 1 } } });
  expect(second).toMatchObject({ reason: { code: "proposalDropped", proposal: undefined } });
});

describe("what is acknowledged survives", () => {
  const verdicts: Verdict[] = ["crashBefore", "crashTorn", "crashAfter", "fail"];

  test.each([true, false])("a crash at any write of any one node (one store: %s)", async (hasCommit) => {
    const wrong: string[] = [];
    let acknowledged = 0;
    for (const verdict of verdicts) {
      for (let at = 1; at <= 12; at++) {
        const run = await begin({ seed: at, hasCommit });
        const victim = run.cluster.node(BigInt(1 + (at % 3)));
        const first = victim.disk.writes;
        for (const { disk } of run.cluster.nodes.values()) disk.latencyMs = () => 1 + (disk.writes % 3);
        victim.disk.decide = (_kind, count) => (count === first + at ? verdict : "ok");
        await load(run, 12);
        wrong.push(...(await reckon(run)).map((what) => `${verdict} at ${at}: ${what}`));
        acknowledged += run.history.writes.filter(({ outcome }) => outcome === "ok").length;
      }
    }
    expect(wrong).toEqual([]);
    expect(acknowledged).toBeGreaterThan(200);
  });

  test.each([1, 3])("power loss of all %i nodes at once, at any moment", async (founders) => {
    const wrong: string[] = [];
    let acknowledged = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const run = await begin({ seed, founders, hasCommit: seed % 2 === 0 });
      for (const { disk } of run.cluster.nodes.values()) {
        disk.latencyMs = () => run.cluster.world.random.int(10);
      }
      for (let round = 0; round < 3; round++) {
        await load(run, 10);
        run.cluster.crashAll();
        await run.cluster.world.complete("the start", run.cluster.start());
      }
      wrong.push(...(await reckon(run)).map((what) => `seed ${seed}: ${what}`));
      acknowledged += run.history.writes.filter(({ outcome }) => outcome === "ok").length;
    }
    expect(wrong).toEqual([]);
    expect(acknowledged).toBeGreaterThan(50);
  });

  test("transfers of leadership, by which writes are neither lost nor doubled", async () => {
    const run = await begin({ seed: 5 });
    const { cluster } = run;
    for (let round = 1; round <= 6; round++) {
      const target = BigInt(1 + (round % 3));
      await load(run, 6);
      const leader = cluster.leader()!;
      const handedOver = leader.nodeId === target ? Promise.resolve() : leader.transferLeadership(target);
      await load(run, 6);
      await cluster.world.complete("a transfer", handedOver);
      expect(cluster.leader()!.nodeId).toBe(target);
    }
    await run.history.settled();
    expect(await reckon(run)).toEqual([]);
    expect(run.history.writes.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  });
});

describe("what fails says whether it happened", () => {
  test("without a leader a write has definitely not happened, and never does", async () => {
    const { cluster, history } = await begin({ seed: 6 });
    const leader = cluster.leader()!;
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).crash();
    await cluster.world.until("nobody to lead", () => leader.leaderId === null);
    const record = history.write(cluster.node(leader.nodeId), "k", { timeoutMs: 400 });
    const { outcome, error } = await cluster.world.complete("the write", record);
    expect(outcome).toBe("failed");
    expect(error).toMatchObject({ code: "proposalDropped", grpcCode: 9 });
    cluster.network.heal();
    expect(await reckon({ cluster, history })).toEqual([]);
    expect(await getNow(cluster, cluster.leader()!, "k")).toBeNull();
  });

  test("what a cut-off leader took is unknown", async () => {
    const { cluster } = await begin({ seed: 7 });
    const leader = cluster.leader()!;
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const error = await errorOf(cluster, put(leader, "k", "v", { timeoutMs: 400 }));
    expect(error.grpcCode).toBe(14);
    expect(error.code).toBe("timeoutLeaderFail");
  });

  test("the caller's own deadline and signal end the wait, and nothing else", async () => {
    const { cluster } = await begin({ seed: 8 });
    const leader = cluster.leader()!;
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 100;
    const began = cluster.world.nowMs;
    expect((await errorOf(cluster, put(leader, "a", "v", { timeoutMs: 20 }))).code).toBe("timeout");
    expect(cluster.world.nowMs - began).toBeLessThan(100);
    const controller = new AbortController();
    const given = later(put(leader, "b", "v", { signal: controller.signal }));
    await cluster.world.runFor(10);
    controller.abort();
    expect((await errorOf(cluster, given)).code).toBe("canceled");
    const late = AbortSignal.abort();
    expect((await errorOf(cluster, put(leader, "c", "v", { signal: late }))).code).toBe("canceled");
    await cluster.world.runFor(1000);
    // They had been sent, and took effect all the same; but not what was given up before it began.
    expect(await getNow(cluster, leader, "a")).toEqual({ value: "v", version: 1 });
    expect(await getNow(cluster, leader, "b")).toEqual({ value: "v", version: 1 });
    expect(await getNow(cluster, leader, "c")).toBeNull();
  });

  test("more requests than may wait are refused, with advice", async () => {
    const { cluster } = await begin({ seed: 9, tuning: { maxPendingRequests: 3 } });
    const leader = cluster.leader()!;
    const taken = [1, 2, 3].map((i) => put(leader, `k${i}`, "v"));
    const error = await errorOf(cluster, put(leader, "k4", "v"));
    expect(error).toMatchObject({ code: "tooManyRequests", grpcCode: 8 });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    await cluster.world.complete("those taken", Promise.all(taken));
    await putNow(cluster, leader, "k4", "v");
  });

  test("back-pressure refuses with advice, here and through a follower, and what it refused never happens", async () => {
    const run = await begin({ seed: 10, raft: { ...FAST, maxUncommittedBytes: 400 } });
    const { cluster, history } = run;
    const leader = cluster.leader()!;
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 60;
    // Each frame of a follower comes again, when there is room.
    cluster.network.onFrame = (travelling) => (kindOf(travelling) === "forward" ? [1, 130, 400] : "pass");
    for (let i = 0; i < 30; i++) {
      void history.write(cluster.node(BigInt(1 + (i % 3))), `k${i}`);
      await cluster.world.runFor(3);
    }
    await history.settled();
    const refused = history.writes.filter(({ error }) => error?.code === "tooManyRequests");
    const nodes = new Set(refused.map(({ node }) => node));
    expect(nodes.has(leader.nodeId)).toBe(true);
    expect(nodes.size).toBeGreaterThan(1);
    for (const { error } of refused) expect(error!.retryAfterMs).toBeGreaterThan(0);
    await cluster.world.runFor(500);
    expect(await reckon(run)).toEqual([]);
  });
});

describe("a follower's write", () => {
  test("is applied once, though every frame comes several times and in any order", async () => {
    const run = await begin({ seed: 20 });
    const { cluster, history } = run;
    cluster.network.conditions = { ...cluster.network.conditions, maxDelayMs: 40, duplicateRate: 0.7 };
    for (let i = 0; i < 60; i++) {
      void history.write(cluster.node(BigInt(1 + (i % 3))), `k${i}`);
      await cluster.world.runFor(10);
      if (i % 20 === 10)
        void cluster
          .leader()
          ?.transferLeadership(BigInt(1 + (i % 3)))
          .catch(() => {});
    }
    await history.settled();
    expect(await reckon(run)).toEqual([]);
    expect(history.writes.filter(({ outcome }) => outcome === "ok").length).toBeGreaterThan(50);
  });

  test("that the old leader took is not called refused by a late copy of its frame", async () => {
    const run = await begin({ seed: 21 });
    const { cluster, history } = run;
    const old = cluster.leader()!;
    const [follower, next] = cluster.others(old.nodeId).map((id) => cluster.node(id));
    // The follower hears nothing of the log; a copy of its frame arrives when the old leader leads no more.
    cluster.network.onFrame = (travelling) => {
      const kind = kindOf(travelling);
      if (kind === "forward" && travelling.from === follower!.id) return [1, 300];
      const isNews = travelling.to === follower!.id && kind !== "forwardRejected";
      return isNews ? "drop" : "pass";
    };
    void history.write(follower!, "k", { timeoutMs: 3000 });
    await cluster.world.until("the write", () => next!.engine!.status().revision > 1);
    await cluster.world.complete("a transfer", old.transferLeadership(next!.id));
    await cluster.world.runFor(500);
    cluster.network.onFrame = () => "pass";
    await history.settled();
    expect(await reckon(run)).toEqual([]);
    expect(await getNow(cluster, cluster.leader()!, "k")).toEqual({ value: "v1", version: 1 });
  });

  test("that nobody took before the leader changed goes to the next one", async () => {
    const { cluster, history } = await begin({ seed: 22 });
    const old = cluster.leader()!;
    const [follower, next] = cluster.others(old.nodeId).map((id) => cluster.node(id));
    cluster.network.onFrame = (travelling) => (kindOf(travelling) === "forward" ? "drop" : "pass");
    const record = history.write(follower!, "k");
    await cluster.world.runFor(20);
    cluster.network.onFrame = () => "pass";
    await cluster.world.complete("a transfer", old.transferLeadership(next!.id));
    expect((await cluster.world.complete("the write", record)).outcome).toBe("ok");
  });

  test("that a snapshot may contain ends as unknown, and does not wait for ever (openraft 1762)", async () => {
    const { cluster, history } = await begin({
      seed: 23,
      tuning: { trailingEntries: 0 },
      raft: { ...FAST, tailBytes: 1 },
    });
    const leader = cluster.leader()!;
    const [follower] = cluster.others(leader.nodeId).map((id) => cluster.node(id));
    const toFollower = follower!.id;
    cluster.network.onFrame = ({ to }) => (to === toFollower ? "drop" : "pass");
    const record = history.write(follower!, "k", { timeoutMs: 3_600_000 });
    await cluster.world.until("the write", () => leader.status().revision > 1);
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    // The log that the follower needs is gone; only the snapshot is left.
    expect(leader.status().firstIndex).toBeGreaterThan(follower!.engine!.status().lastIndex);
    cluster.network.onFrame = () => "pass";
    const { outcome, error } = await cluster.world.complete("the write", record, 10_000);
    expect(outcome).toBe("unknown");
    expect(error).toMatchObject({ code: "leaderChanged" });
    expect(follower!.lines.some((line) => line.includes("snapshot restored"))).toBe(true);
  });
});

describe("the names of attempts", () => {
  function offered(proposals: Proposals<string>, term: number): ProposalId[] {
    const ids: ProposalId[] = [];
    proposals.offer(term, (batch) => {
      ids.push(...batch.map(({ id }) => id));
      return batch.map(() => "sent");
    });
    return ids;
  }

  test("a refusal that comes again says nothing about the next attempt", async () => {
    const proposals = new Proposals<string>(7n, 10, 1000, SILENT);
    const result = proposals.submit(COMMAND, {}, 0);
    const [first] = offered(proposals, 1);
    proposals.refused(first!, "notLeader", "", 0);
    proposals.release();
    const [second] = offered(proposals, 2);
    expect(second).not.toEqual(first);
    proposals.refused(first!, "notLeader", "", 0);
    proposals.refused(first!, "tooManyRequests", "", 0);
    proposals.release();
    expect(proposals.hasUnsent).toBe(false);
    proposals.applied(second!, "done", 0);
    await expect(result).resolves.toBe("done");
  });

  test("another node's ids mean nothing here", async () => {
    const proposals = new Proposals<string>(7n, 10, 1000, SILENT);
    const result = proposals.submit(COMMAND, {}, 0);
    const [{ sequence }] = offered(proposals, 1) as [ProposalId];
    proposals.applied({ proposer: 8n, sequence }, "theirs", 0);
    proposals.refused({ proposer: 8n, sequence }, "tooManyRequests", "", 0);
    proposals.applied({ proposer: 7n, sequence }, "mine", 0);
    await expect(result).resolves.toBe("mine");
  });

  test("what was given up without a leader is forgotten", async () => {
    const proposals = new Proposals<string>(7n, 1, 100, SILENT);
    for (let i = 0; i < 5; i++) {
      const result = proposals.submit(COMMAND, {}, i * 1000);
      proposals.sweep(i * 1000 + 100, null);
      await expect(result).rejects.toMatchObject({ code: "proposalDropped" });
    }
    expect(proposals.size).toBe(0);
    expect(proposals.hasUnsent).toBe(false);
  });
});
