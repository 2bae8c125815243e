import { describe, expect, test } from "vitest";
import type { KvEngine, Member } from "../../../src/core/node/index.ts";
import { errorOf, FAST, getNow, kindOf, later, putNow } from "./support.ts";
import { checkFinalState, checkRegisters } from "./world/check.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import { History } from "./world/history.ts";
import type { SimNode } from "./world/sim-node.ts";

async function begin(options: ClusterOptions): Promise<{ cluster: Cluster; leader: KvEngine }> {
  const cluster = new Cluster({ raft: FAST, ...options });
  await cluster.startAndElect();
  await cluster.announced();
  return { cluster, leader: cluster.leader()! };
}

async function membersOf(cluster: Cluster, engine: KvEngine): Promise<readonly Member[]> {
  return (await cluster.world.complete("the members", engine.memberList())).members;
}

function ids(members: readonly Member[]): bigint[] {
  return members.map(({ id }) => id);
}

let urls = 0;
function newUrl(): string {
  return `http://new${++urls}:2380`;
}

/** Adds a learner and starts it. */
async function addLearner(cluster: Cluster, leader: KvEngine): Promise<SimNode> {
  const added = leader.memberAdd({ peerUrls: [newUrl()], isLearner: true });
  const { member } = await cluster.world.complete("adding a learner", added);
  const joiner = cluster.addJoiner(member.id);
  await cluster.world.complete("its start", joiner.start());
  return joiner;
}

/** Promotes it as soon as it has caught up. */
async function promote(cluster: Cluster, leader: KvEngine, id: bigint): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const error = await cluster.world.complete(
      "a promotion",
      leader.memberPromote(id).then(
        () => null,
        (refusal: unknown) => refusal,
      ),
    );
    if (error === null) return;
    expect(error).toMatchObject({ code: "learnerNotReady" });
    await cluster.world.runFor(20);
  }
  throw new Error("the learner does not catch up");
}

describe("from one member to three", () => {
  test("while writes go on", async () => {
    const { cluster, leader } = await begin({
      seed: 1,
      founders: 1,
      tuning: { snapshotEntries: 20, trailingEntries: 3 },
    });
    const history = new History(cluster.world);
    let isWriting = true;
    const write = (): void => {
      if (!isWriting) return;
      void history.write(cluster.node(1n), `k${history.writes.length % 40}`);
      cluster.world.schedule(5, null, write);
    };
    write();
    await cluster.world.runFor(300);
    for (let i = 0; i < 2; i++) {
      const joiner = await addLearner(cluster, leader);
      await promote(cluster, leader, joiner.id);
      await cluster.world.runFor(50);
    }
    isWriting = false;
    await history.settled();
    await cluster.converged();
    expect(history.writes.every(({ outcome }) => outcome === "ok")).toBe(true);
    expect(checkRegisters(history)).toEqual([]);
    expect(cluster.stateHashes()).toHaveLength(1);
    const members = await membersOf(cluster, leader);
    expect(members).toHaveLength(3);
    expect(members.every(({ isLearner }) => !isLearner)).toBe(true);
    // Now it survives the loss of the founder.
    cluster.node(1n).crash();
    const next = await cluster.elected();
    await putNow(cluster, next, "without the founder", "v");
    expect(await checkFinalState(history, next)).toEqual([]);
  });

  test("broken off anywhere by power loss, and carried on", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { cluster, leader } = await begin({ seed, founders: 1, hasCommit: seed % 2 === 0 });
      for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 2;
      await putNow(cluster, leader, "k", "v");
      const joiner = await addLearner(cluster, leader);
      joiner.disk.latencyMs = () => 2;
      void later(promote(cluster, leader, joiner.id));
      await cluster.world.runFor(seed * 3);
      cluster.crashAll();
      await cluster.start();
      await cluster.world.until("a leader", () => cluster.leader() !== null);
      const next = cluster.leader()!;
      const members = await cluster.world.complete(
        "the members",
        next.memberList({ consistency: "linearizable" }),
      );
      expect(ids(members.members)).toContain(joiner.id);
      const { isLearner } = members.members.find(({ id }) => id === joiner.id)!;
      if (isLearner) await promote(cluster, next, joiner.id);
      await putNow(cluster, cluster.leader()!, "k", "w");
      await cluster.converged();
      expect(cluster.stateHashes()).toHaveLength(1);
      for (const engine of cluster.up()) expect(engine.status().isLearner).toBe(false);
    }
  });

  test("a learner that is not there, or far behind, is not promoted", async () => {
    const { cluster, leader } = await begin({ seed: 3, founders: 1, raft: { ...FAST, promotionMaxLag: 5 } });
    const added = leader.memberAdd({ peerUrls: [newUrl()], isLearner: true });
    const { member } = await cluster.world.complete("adding a learner", added);
    const error = await errorOf(cluster, leader.memberPromote(member.id));
    expect(error).toMatchObject({ code: "learnerNotReady", grpcCode: 9, retryAfterMs: expect.any(Number) });
    expect((await errorOf(cluster, leader.memberPromote(1n))).code).toBe("memberNotLearner");
    expect((await errorOf(cluster, leader.memberPromote(99n))).code).toBe("memberNotFound");
  });
});

describe("removing", () => {
  test("the leader: another takes over, and writes go on", async () => {
    const { cluster, leader } = await begin({ seed: 4 });
    const began = cluster.world.nowMs;
    const { members } = await cluster.world.complete("the removal", leader.memberRemove(leader.nodeId));
    expect(ids(members)).toEqual(cluster.others(leader.nodeId));
    // By handing over, not by an election that somebody had to wait for.
    expect(cluster.world.nowMs - began).toBeLessThan(FAST.electionTimeoutMs);
    const next = await cluster.elected(cluster.others(leader.nodeId));
    expect(next.nodeId).not.toBe(leader.nodeId);
    await putNow(cluster, next, "k", "v");
    const { term } = next.status();
    // Whoever was removed disturbs nobody.
    await cluster.world.runFor(3000);
    expect(cluster.leader()!.status().term).toBe(term);
  });

  test("the leader through a follower", async () => {
    const { cluster, leader } = await begin({ seed: 5 });
    const [follower] = cluster.followers() as [KvEngine];
    await cluster.world.complete("the removal", follower.memberRemove(leader.nodeId));
    const next = await cluster.elected(cluster.others(leader.nodeId));
    expect(ids(await membersOf(cluster, next))).toEqual(cluster.others(leader.nodeId));
    await putNow(cluster, next, "k", "v");
  });

  test("somebody who is down, but not so many that too few would be left", async () => {
    const { cluster, leader } = await begin({ seed: 6 });
    const [gone, present] = cluster.others(leader.nodeId) as [bigint, bigint];
    cluster.node(gone).crash();
    await cluster.world.runFor(300);
    // Of those two only one is known to be there.
    const error = await errorOf(cluster, leader.memberRemove(present));
    expect(error).toMatchObject({ code: "unhealthy", grpcCode: 14 });
    await cluster.world.complete("the removal", leader.memberRemove(gone));
    expect(ids(await membersOf(cluster, leader))).toHaveLength(2);
    expect((await errorOf(cluster, leader.memberRemove(gone))).code).toBe("memberNotFound");
  });
});

describe("strict reconfiguration", () => {
  test("refuses a voter who cannot be there yet, where that would cost the quorum", async () => {
    const { cluster, leader } = await begin({ seed: 7 });
    const [gone] = cluster.others(leader.nodeId) as [bigint];
    cluster.node(gone).crash();
    await cluster.world.runFor(300);
    const adding = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    expect((await errorOf(cluster, adding)).code).toBe("unhealthy");
    expect(await membersOf(cluster, leader)).toHaveLength(3);
    await putNow(cluster, leader, "k", "v");
  });

  test("takes no new voter while one is away, though a quorum would be left, but a learner", async () => {
    const { cluster, leader } = await begin({ seed: 9, founders: 5 });
    const [gone] = cluster.others(leader.nodeId) as [bigint];
    cluster.node(gone).crash();
    await cluster.world.runFor(300);
    const adding = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    expect((await errorOf(cluster, adding)).code).toBe("unhealthy");
    const learner = leader.memberAdd({ peerUrls: [newUrl()], isLearner: true });
    const { members } = await cluster.world.complete("adding a learner", learner);
    expect(members).toHaveLength(6);
    // Back, it is counted again.
    await cluster.world.complete("its start", cluster.node(gone).start());
    await cluster.world.runFor(300);
    const again = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    expect((await cluster.world.complete("adding a voter", again)).members).toHaveLength(7);
  });

  test("counts who has run, and not who has only been added", async () => {
    const { cluster, leader } = await begin({ seed: 10, founders: 2 });
    const [present] = cluster.others(leader.nodeId) as [bigint];
    const adding = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    await cluster.world.complete("adding", adding);
    await cluster.world.runFor(300);
    const next = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    expect(await errorOf(cluster, next)).toMatchObject({ code: "notEnoughStarted", grpcCode: 9 });
    const error = await errorOf(cluster, leader.memberRemove(present));
    expect(error).toMatchObject({ code: "notEnoughStarted", grpcCode: 9 });
    expect(await membersOf(cluster, leader)).toHaveLength(3);
  });

  test("does not take a lost leader for there, because the next one has only just begun to listen", async () => {
    const { cluster, leader } = await begin({ seed: 11 });
    cluster.node(leader.nodeId).crash();
    const left = cluster.others(leader.nodeId);
    const next = await cluster.elected(left);
    const present = left.find((id) => id !== next.nodeId)!;
    await cluster.world.complete("a read", next.range({ key: new Uint8Array([1]) }));
    expect((await errorOf(cluster, next.memberRemove(present))).code).toBe("unhealthy");
    await cluster.world.complete("the removal", next.memberRemove(leader.nodeId));
  });

  test("lets one voter become two", async () => {
    const { cluster, leader } = await begin({ seed: 8, founders: 1 });
    const adding = leader.memberAdd({ peerUrls: [newUrl()], isLearner: false });
    const { member, members } = await cluster.world.complete("adding", adding);
    expect(member.isLearner).toBe(false);
    expect(members).toHaveLength(2);
    // Both are needed now.
    const joiner = cluster.addJoiner(member.id);
    await cluster.world.complete("its start", joiner.start());
    await cluster.elected();
    await putNow(cluster, cluster.leader()!, "k", "v");
  });

  test("of two changes at once the second is refused, and can be tried again", async () => {
    const { cluster, leader } = await begin({ seed: 9 });
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 10;
    const add = (): Promise<unknown> => leader.memberAdd({ peerUrls: [newUrl()], isLearner: true });
    const [first, second] = [later(add()), later(add())];
    const error = await errorOf(cluster, second);
    expect(error).toMatchObject({ code: "confChangePending", grpcCode: 9 });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    await cluster.world.complete("the first", first);
    await cluster.world.runFor(error.retryAfterMs!);
    await cluster.world.complete("the second, again", add());
    expect(await membersOf(cluster, leader)).toHaveLength(5);
    expect((await errorOf(cluster, add())).code).toBe("tooManyLearners");
  });

  test("a promotion that a removal overtakes does not bring the member back", async () => {
    const { cluster, leader } = await begin({ seed: 15 });
    const { id } = await addLearner(cluster, leader);
    await cluster.converged();
    const follower = cluster.followers().find(({ nodeId }) => nodeId !== id)!;
    cluster.network.onFrame = ({ from }) => (from === follower.nodeId ? [40] : "pass");
    // It finds the learner there, and its proposal is on its way when the learner goes.
    const promotion = later(follower.memberPromote(id));
    await cluster.world.runFor(55);
    await cluster.world.complete("the removal", leader.memberRemove(id));
    expect((await errorOf(cluster, promotion)).code).toBe("memberNotFound");
    expect(ids(await membersOf(cluster, leader))).toEqual([1n, 2n, 3n]);
  });

  test("the same through followers", async () => {
    const { cluster } = await begin({ seed: 10 });
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 10;
    const adding = cluster
      .followers()
      .map((engine) => later(engine.memberAdd({ peerUrls: [newUrl()], isLearner: true })));
    const outcomes = await cluster.world.complete("both", Promise.allSettled(adding));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(outcomes.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { code: "confChangePending" },
    });
  });
});

describe("names and addresses", () => {
  test("of each member are known to all once it has started", async () => {
    const { cluster } = await begin({ seed: 11 });
    for (const engine of cluster.up()) {
      const members = await membersOf(cluster, engine);
      expect(members.map(({ name }) => name)).toEqual(["n1", "n2", "n3"]);
      expect(members.map(({ clientUrls }) => clientUrls)).toEqual([
        ["http://n1:2379"],
        ["http://n2:2379"],
        ["http://n3:2379"],
      ]);
    }
  });

  test("are announced anew when they change, and then no more", async () => {
    const { cluster } = await begin({ seed: 12 });
    const [{ nodeId }] = cluster.followers() as [KvEngine];
    const node = cluster.node(nodeId);
    await cluster.world.complete("the end", node.stop());
    node.clientUrls = ["http://moved:2379"];
    await cluster.world.complete("the start", node.start());
    await cluster.world.runFor(2000);
    for (const engine of cluster.up()) {
      const member = (await membersOf(cluster, engine)).find(({ id }) => id === nodeId);
      expect(member?.clientUrls).toEqual(["http://moved:2379"]);
    }
    const { lastIndex } = cluster.leader()!.status();
    await cluster.world.runFor(10_000);
    expect(cluster.leader()!.status().lastIndex).toBe(lastIndex);
  });

  test("peer URLs are updated through any member, reach every transport, and survive a restart", async () => {
    const { cluster } = await begin({ seed: 13 });
    const [follower] = cluster.followers() as [KvEngine];
    const heard: bigint[] = [];
    cluster.leader()!.onMembershipChange((members) => {
      if (members.some(({ peerUrls }) => peerUrls.includes("http://elsewhere:2380"))) heard.push(1n);
    });
    const update = follower.memberUpdate(2n, ["http://elsewhere:2380"]);
    const { members } = await cluster.world.complete("the update", update);
    expect(members.find(({ id }) => id === 2n)?.peerUrls).toEqual(["http://elsewhere:2380"]);
    await cluster.converged();
    for (const { id } of cluster.nodes.values()) {
      expect(cluster.network.peersOf(id)?.get(2n)).toEqual(["http://elsewhere:2380"]);
    }
    expect(heard).toHaveLength(1);
    cluster.crashAll();
    await cluster.startAndElect();
    await putNow(cluster, cluster.leader()!, "k", "v");
    await cluster.converged();
    for (const engine of cluster.up()) {
      const member = (await membersOf(cluster, engine)).find(({ id }) => id === 2n);
      expect(member?.peerUrls).toEqual(["http://elsewhere:2380"]);
    }
  });

  test("that make no sense are refused", async () => {
    const { cluster, leader } = await begin({ seed: 14 });
    for (const peerUrls of [[], ["ftp://x"], ["http://"], ["nonsense"]]) {
      const adding = leader.memberAdd({ peerUrls, isLearner: true });
      expect((await errorOf(cluster, adding)).code).toBe("badMemberUrls");
      expect((await errorOf(cluster, leader.memberUpdate(1n, peerUrls))).code).toBe("badMemberUrls");
    }
    const taken = ["http://n2:2380"];
    const adding = leader.memberAdd({ peerUrls: taken, isLearner: true });
    expect((await errorOf(cluster, adding)).code).toBe("peerUrlExists");
    expect((await errorOf(cluster, leader.memberUpdate(1n, taken))).code).toBe("peerUrlExists");
    expect((await errorOf(cluster, leader.memberUpdate(99n, [newUrl()]))).code).toBe("memberNotFound");
  });
});

describe("leadership", () => {
  test("is handed only to a voter, and by the leader", async () => {
    const { cluster, leader } = await begin({ seed: 15 });
    const learner = await addLearner(cluster, leader);
    for (const target of [learner.id, 99n]) {
      expect((await errorOf(cluster, leader.transferLeadership(target))).code).toBe("badLeaderTransferee");
    }
    const [follower, other] = cluster.followers() as [KvEngine, KvEngine];
    const refusal = await errorOf(cluster, follower.transferLeadership(other.nodeId));
    // And says whom to ask.
    const leaderUrls = [`http://n${leader.nodeId}:2379`];
    expect(refusal).toMatchObject({ code: "notLeader", leaderId: leader.nodeId, leaderUrls });
    // To whoever leads already: done.
    await cluster.world.complete("nothing", leader.transferLeadership(leader.nodeId));
  });

  test("stays where it is when the target cannot be reached, and writes go on", async () => {
    const { cluster, leader } = await begin({ seed: 16 });
    const [target] = cluster.others(leader.nodeId) as [bigint];
    cluster.node(target).crash();
    const transfer = leader.transferLeadership(target, { timeoutMs: 400 });
    expect((await errorOf(cluster, transfer)).code).toBe("timeout");
    await putNow(cluster, leader, "k", "v");
    expect(cluster.leader()).toBe(leader);
  });

  test("listeners hear of every change, until they stop listening", async () => {
    const { cluster, leader } = await begin({ seed: 17 });
    const [target] = cluster.others(leader.nodeId) as [bigint];
    const heard: (bigint | null)[] = [];
    const stop = leader.onLeaderChange((id) => heard.push(id));
    await cluster.world.complete("a transfer", leader.transferLeadership(target));
    expect(heard.at(-1)).toBe(target);
    stop();
    const { length } = heard;
    await cluster.world.complete("a transfer", cluster.engine(target).transferLeadership(leader.nodeId));
    expect(heard).toHaveLength(length);
  });
});

test("a member that is removed while its news is lost does not keep the others from anything", async () => {
  const { cluster, leader } = await begin({ seed: 18 });
  const [removed] = cluster.others(leader.nodeId) as [bigint];
  cluster.network.onFrame = (travelling) =>
    travelling.to === removed && kindOf(travelling) === "AppendEntries" ? "drop" : "pass";
  await cluster.world.complete("the removal", leader.memberRemove(removed));
  cluster.network.onFrame = () => "pass";
  await cluster.world.runFor(3000);
  const rest = cluster.others(removed);
  const next = await cluster.elected(rest);
  await putNow(cluster, next, "k", "v");
  expect(await getNow(cluster, cluster.engine(rest[0]!), "k")).toMatchObject({ value: "v" });
});
