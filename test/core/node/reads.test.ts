import { describe, expect, test } from "vitest";
import type { KvEngine } from "../../../src/core/node/index.ts";
import type { Message } from "../../../src/core/raft/index.ts";
import { bodyOf, bytes, errorOf, FAST, get, getNow, later, put, putNow } from "./support.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import type { Travelling } from "./world/network.ts";

async function begin(options: ClusterOptions): Promise<{ cluster: Cluster; leader: KvEngine }> {
  const cluster = new Cluster({ raft: FAST, ...options });
  await cluster.startAndElect();
  await cluster.announced();
  const leader = cluster.leader()!;
  await putNow(cluster, leader, "k", "old");
  await cluster.converged();
  return { cluster, leader };
}

function messageOf(travelling: Travelling): Message | null {
  const body = bodyOf(travelling);
  return body.type === "raft" ? body.message : null;
}

/** The other side of a cut elects a leader of its own, and writes there. */
async function writeBehindItsBack(cluster: Cluster, old: KvEngine): Promise<KvEngine> {
  const others = cluster.others(old.nodeId);
  const newer = (): KvEngine | undefined =>
    others.map((id) => cluster.engine(id)).find((engine) => engine.status().role === "leader");
  await cluster.world.until("a new leader", () => newer() !== undefined);
  await putNow(cluster, newer()!, "k", "new");
  return newer()!;
}

describe("a leader that was cut off", () => {
  test("serves what it has only to those who want no more", async () => {
    const { cluster, leader } = await begin({ seed: 1 });
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const linearizable = later(get(leader, "k", { consistency: "linearizable", timeoutMs: 2000 }));
    await writeBehindItsBack(cluster, leader);
    const lease = get(leader, "k", { consistency: "lease", timeoutMs: 500 });
    for (const error of [await errorOf(cluster, lease), await errorOf(cluster, linearizable)]) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(noLeader|timeout)$/), grpcCode: 14 });
    }
    expect(await getNow(cluster, leader, "k", { consistency: "eventual" })).toMatchObject({ value: "old" });
  });

  test("answers nobody from its lease once another may lead", async () => {
    const { cluster, leader } = await begin({ seed: 2 });
    const framesBefore = cluster.network.framesSent;
    expect(await getNow(cluster, leader, "k", { consistency: "lease" })).toMatchObject({ value: "old" });
    // From memory, without a word to anybody.
    expect(cluster.network.framesSent).toBe(framesBefore);
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    // Whenever it still answers, the others cannot have elected anybody.
    const others = cluster.others(leader.nodeId).map((id) => cluster.engine(id));
    let served = 0;
    for (let i = 0; i < 200; i++) {
      await cluster.world.runFor(1);
      void get(leader, "k", { consistency: "lease", timeoutMs: 1 }).then(
        () => {
          served++;
          expect(others.some((engine) => engine.status().role === "leader")).toBe(false);
        },
        () => {},
      );
    }
    expect(served).toBeGreaterThan(50);
    expect(served).toBeLessThan(150);
  });

  test("has no lease any more after a pause, though nothing told it so", async () => {
    const { cluster, leader } = await begin({ seed: 3 });
    const node = cluster.node(leader.nodeId);
    node.pause();
    await writeBehindItsBack(cluster, leader);
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    await cluster.world.runFor(20);
    node.resume();
    expect(leader.status().role).toBe("leader");
    for (const consistency of ["lease", "linearizable"] as const) {
      const read = get(leader, "k", { consistency, timeoutMs: 500 });
      expect((await errorOf(cluster, read)).grpcCode).toBe(14);
    }
    cluster.network.heal();
    await cluster.elected();
    expect(await getNow(cluster, leader, "k", { consistency: "lease" })).toMatchObject({ value: "new" });
  });
});

describe("a follower asks the leader for a read index", () => {
  test("again and under another name, for as long as answers are lost", async () => {
    const { cluster, leader } = await begin({ seed: 4 });
    const [follower] = cluster.followers();
    const asked: bigint[] = [];
    cluster.network.onFrame = (travelling) => {
      const message = messageOf(travelling);
      if (message?.type === "ReadIndexRequest") asked.push(message.readId);
      return message?.type === "ReadIndexResult" && asked.length < 4 ? "drop" : "pass";
    };
    await putNow(cluster, leader, "k", "new");
    expect(await getNow(cluster, follower!, "k")).toMatchObject({ value: "new" });
    expect(asked).toHaveLength(4);
    expect(new Set(asked).size).toBe(4);
  });

  test("and one of its own state asks as well, when it is as of a revision that is not there yet", async () => {
    const { cluster, leader } = await begin({ seed: 9 });
    const [follower] = cluster.followers();
    // The entries are there, the news that they are committed comes with the next heartbeat.
    cluster.network.onFrame = (travelling) =>
      travelling.to === follower!.nodeId && messageOf(travelling)?.type === "Heartbeat" ? "drop" : "pass";
    const revision = await cluster.world.complete("the write", put(leader, "k", "new"));
    const ahead = { key: new TextEncoder().encode("k"), revision };
    const range = follower!.range(ahead, { consistency: "eventual" });
    const [kv] = (await cluster.world.complete("the read", range)).kvs;
    expect(new TextDecoder().decode(kv!.value)).toBe("new");
    const never = follower!.range({ ...ahead, revision: revision + 1 }, { consistency: "eventual" });
    await expect(cluster.world.complete("the read", never)).rejects.toMatchObject({ code: "futureRevision" });
  });

  test("and does not take a late answer to an earlier question for one to this (etcd 20418)", async () => {
    const { cluster, leader } = await begin({ seed: 5 });
    const [follower] = cluster.followers();
    // The first answer stays on its way, until the index it names is no longer the newest.
    let results = 0;
    cluster.network.onFrame = (travelling) =>
      messageOf(travelling)?.type === "ReadIndexResult" && ++results === 1 ? "hold" : "pass";
    expect(await getNow(cluster, follower!, "k")).toMatchObject({ value: "old" });
    cluster.network.onFrame = (travelling) =>
      travelling.to === follower!.nodeId && messageOf(travelling)?.type === "ReadIndexResult"
        ? "drop"
        : "pass";
    const stale = later(get(follower!, "k", { timeoutMs: 2000 }));
    // The follower must not learn of the write by itself.
    const before = cluster.network.onFrame;
    cluster.network.onFrame = (travelling) =>
      travelling.to === follower!.nodeId && messageOf(travelling)?.type === "AppendEntries"
        ? "drop"
        : before(travelling);
    await cluster.world.complete("the write", put(leader, "k", "new"));
    expect(cluster.network.releaseHeld()).toBe(1);
    await cluster.world.runFor(200);
    cluster.network.onFrame = () => "pass";
    expect(await cluster.world.complete("the read", stale)).toMatchObject({ value: "new" });
  });

  test("and one to a question from before its restart neither", async () => {
    const { cluster, leader } = await begin({ seed: 6 });
    const [{ nodeId }] = cluster.followers() as [KvEngine];
    const toFollower = (travelling: Travelling, type: Message["type"]): boolean =>
      travelling.to === nodeId && messageOf(travelling)?.type === type;
    cluster.network.onFrame = (travelling) => (toFollower(travelling, "ReadIndexResult") ? "hold" : "pass");
    void later(get(cluster.engine(nodeId), "k"));
    await cluster.world.runFor(60);
    cluster.node(nodeId).crash();
    await cluster.world.complete("the restart", cluster.node(nodeId).start());
    await cluster.world.until("its leader", () => cluster.engine(nodeId).leaderId === leader.nodeId);
    // It knows of no write and gets no new answers, only the old ones.
    cluster.network.onFrame = (travelling) =>
      toFollower(travelling, "ReadIndexResult") || toFollower(travelling, "AppendEntries") ? "drop" : "pass";
    await putNow(cluster, leader, "k", "new");
    const read = later(get(cluster.engine(nodeId), "k", { timeoutMs: 1500 }));
    await cluster.world.runFor(5);
    expect(cluster.network.releaseHeld()).toBeGreaterThan(0);
    expect((await errorOf(cluster, read)).grpcCode).toBe(14);
  });

  test("and waits until it has applied what it was told", async () => {
    const { cluster, leader } = await begin({ seed: 14 });
    const [follower] = cluster.followers() as [KvEngine];
    cluster.network.onFrame = (travelling) =>
      travelling.to === follower.nodeId && messageOf(travelling)?.type === "AppendEntries" ? "drop" : "pass";
    await putNow(cluster, leader, "k", "new");
    let answered = false;
    const read = later(get(follower, "k"));
    void later(read.then(() => (answered = true)));
    await cluster.world.runFor(300);
    expect(answered).toBe(false);
    cluster.network.onFrame = () => "pass";
    expect(await cluster.world.complete("the read", read)).toMatchObject({ value: "new" });
  });

  test.each(["linearizable", "lease"] as const)("for %s reads", async (consistency) => {
    const { cluster, leader } = await begin({ seed: 7 });
    const [follower] = cluster.followers();
    await putNow(cluster, leader, "k", "new");
    expect(await getNow(cluster, follower!, "k", { consistency })).toMatchObject({ value: "new" });
  });
});

describe("a read that cannot be served fails", () => {
  test("with a typed error, within its time, under every policy but eventual", async () => {
    const { cluster, leader } = await begin({ seed: 8 });
    for (const id of cluster.others(leader.nodeId)) cluster.node(id).crash();
    await cluster.world.until("nobody to lead", () => leader.leaderId === null);
    for (const consistency of ["linearizable", "lease"] as const) {
      const began = cluster.world.nowMs;
      const error = await errorOf(cluster, get(leader, "k", { consistency, timeoutMs: 300 }));
      expect(error).toMatchObject({ code: "noLeader", grpcCode: 14 });
      expect(cluster.world.nowMs - began).toBeGreaterThanOrEqual(300);
      expect(cluster.world.nowMs - began).toBeLessThan(600);
    }
    expect(await getNow(cluster, leader, "k", { consistency: "eventual" })).toMatchObject({ value: "old" });
  });

  test("when its caller gives up", async () => {
    const { cluster, leader } = await begin({ seed: 9 });
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const controller = new AbortController();
    const read = later(get(leader, "k", { signal: controller.signal }));
    await cluster.world.runFor(10);
    controller.abort();
    expect((await errorOf(cluster, read)).code).toBe("canceled");
  });

  test("when too many wait already, with advice", async () => {
    const { cluster, leader } = await begin({ seed: 10, tuning: { maxPendingRequests: 2 } });
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const waiting = [1, 2].map(() => later(get(leader, "k", { timeoutMs: 300 })));
    const error = await get(leader, "k").catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ code: "tooManyRequests", grpcCode: 8, retryAfterMs: expect.any(Number) });
    for (const read of waiting) expect((await errorOf(cluster, read)).grpcCode).toBe(14);
  });

  test("on a learner, that serves eventual reads only", async () => {
    const { cluster, leader } = await begin({ seed: 11, founders: 1 });
    const added = leader.memberAdd({ peerUrls: ["http://learner:2380"], isLearner: true });
    const { member } = await cluster.world.complete("the learner", added);
    const learner = cluster.addJoiner(member.id);
    await cluster.world.complete("its start", learner.start());
    await cluster.converged();
    const engine = learner.engine!;
    expect(engine.status()).toMatchObject({ role: "learner", isLearner: true });
    for (const consistency of ["linearizable", "lease"] as const) {
      await expect(get(engine, "k", { consistency })).rejects.toMatchObject({
        code: "notSupportedForLearner",
        grpcCode: 9,
      });
    }
    await expect(put(engine, "k", "v")).rejects.toMatchObject({ code: "notSupportedForLearner" });
    expect(await getNow(cluster, engine, "k", { consistency: "eventual" })).toMatchObject({ value: "old" });
  });
});

test("a new leader answers no read before it has committed an entry of its own term", async () => {
  const { cluster, leader } = await begin({ seed: 12 });
  const [next] = cluster.followers() as [KvEngine];
  // Committed by the old leader, and acknowledged, but the next one does not know it yet.
  cluster.network.onFrame = (travelling) => {
    const message = messageOf(travelling);
    const tellsOfCommit =
      message !== null &&
      "leaderCommit" in message &&
      travelling.to === next.nodeId &&
      message.type === "AppendEntries";
    return tellsOfCommit && message.entries.length === 0 ? "drop" : "pass";
  };
  const acknowledged = put(leader, "k", "new");
  await cluster.world.complete("the write", acknowledged);
  expect(next.status().appliedIndex).toBeLessThan(leader.status().appliedIndex);
  const handedOver = leader.transferLeadership(next.nodeId);
  await cluster.world.until("the next leader", () => next.status().role === "leader");
  const reads = (["linearizable", "lease"] as const).map((consistency) => get(next, "k", { consistency }));
  for (const read of reads)
    expect(await cluster.world.complete("a read", read)).toMatchObject({ value: "new" });
  await cluster.world.complete("the transfer", handedOver);
});

test("a transaction that only reads is served like a range", async () => {
  const { cluster, leader } = await begin({ seed: 13 });
  const { lastIndex } = leader.status();
  const range = { type: "range", request: { key: bytes("k") } } as const;
  const { responses, header } = await cluster.world.complete(
    "the transaction",
    leader.txn({ compare: [], success: [range], failure: [] }),
  );
  expect(responses).toMatchObject([{ type: "range", response: { count: 1 } }]);
  expect(header.revision).toBe(leader.status().revision);
  expect(leader.status().lastIndex).toBe(lastIndex);
});
