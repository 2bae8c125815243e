import { describe, expect, it } from "vitest";
import { simpleConfig } from "../../../../src/core/raft/index.ts";
import { Cluster } from "../harness/cluster.ts";
import { appendEntries, entriesOf, ET, OneNode } from "../one-node.ts";

/** Node 1 leads three and has committed in its term; nothing is under way. */
function leading(options = {}): OneNode {
  const node = new OneNode({ options }).lead();
  for (const from of [2n, 3n]) node.ack(from);
  node.advance(0);
  node.sent = [];
  return node;
}

/** The round that the newest heartbeat to a node began. */
function roundTo(node: OneNode, peer: bigint): number {
  return node.take("Heartbeat").findLast(({ to }) => to === peer)!.round;
}

describe("Thesis §6.2 Routing requests to the leader", () => {
  it("a leader steps down if an election timeout elapses without a successful round of heartbeats to a majority", () => {
    const node = leading();
    node.advance(ET - 1);
    expect(node.status.role).toBe("leader");
    node.advance(1);
    expect([node.status.role, node.status.leaderId, node.status.term]).toEqual(["follower", null, 2]);
    expect(node.propose("x")).toMatchObject({
      ok: false,
      rejection: { reason: "notLeader", leaderId: null },
    });
  });

  it("hearing from one of two others is enough, since the leader counts itself; in five it is not", () => {
    const role = (voters: bigint[]): string => {
      const node = new OneNode({ config: simpleConfig(voters) }).lead();
      for (let i = 0; i < 15; i++) {
        node.advance(100);
        for (const { to, round } of node.take("Heartbeat")) if (to === 2n) node.heartbeatAck(to, round);
      }
      return node.status.role;
    };
    expect(role([1n, 2n, 3n])).toBe("leader");
    expect(role([1n, 2n, 3n, 4n, 5n])).not.toBe("leader");
  });

  it("so clients of a leader that is cut off move on: both sides say so, and only one side works", () => {
    const cluster = new Cluster();
    const old = cluster.elect();
    cluster.isolate(old.id);
    cluster.propose(old.id, "lost");
    const { readId } = cluster.read(old.id);
    cluster.advance(3 * ET);
    expect([old.status.role === "leader", old.reads.get(readId)]).toEqual([false, null]);
    const next = cluster.leader()!;
    expect(next.id).not.toBe(old.id);
    cluster.propose(next.id, "kept");
    cluster.settle();
    expect(next.machine.commands).toEqual(["kept"]);
  });

  it("a follower names the leader, to which a client can turn", () => {
    const node = new OneNode();
    node.receive(appendEntries(3n, 2, [1, 1]));
    expect(node.propose("x")).toEqual({ ok: false, rejection: { reason: "notLeader", leaderId: 3n } });
    expect(
      node.readys.at(-1)!.softState ?? node.readys.find(({ softState }) => softState !== null)!.softState,
    ).toEqual({
      role: "follower",
      leaderId: 3n,
    });
  });
});

describe("Thesis §6.4 Processing read-only queries more efficiently", () => {
  it("1. a leader that has not committed an entry of its term waits: it may not know the newest commit", () => {
    const node = new OneNode({ log: entriesOf([1, 1]) }).lead();
    node.advance(0);
    node.read(1n);
    node.heartbeatAck(2n, roundTo(node, 2n));
    node.advance(100);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.readStates).toEqual([]);
    node.ack(2n);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.readStates).toEqual([{ readId: 1n, index: 4 }]);
  });

  it("1. its no-op entry at the start of the term makes that soon", () => {
    const node = new OneNode().lead();
    expect(node.readys.flatMap(({ entries }) => entries)).toMatchObject([
      { kind: "noop", index: 2, term: 2 },
    ]);
  });

  it("2. the readIndex is the commit index when the read came, though more is committed before it is confirmed", () => {
    const node = leading();
    node.read(1n);
    node.propose("x");
    node.ack(2n);
    expect(node.status.commitIndex).toBe(3);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.readStates).toEqual([{ readId: 1n, index: 2 }]);
  });

  it("3. the leader issues a new round of heartbeats at once, and waits for a majority", () => {
    const five = new OneNode({ config: simpleConfig([1n, 2n, 3n, 4n, 5n]) }).lead();
    for (const from of [2n, 3n, 4n, 5n]) five.ack(from);
    five.sent = [];
    five.read(1n);
    const round = roundTo(five, 2n);
    five.heartbeatAck(2n, round);
    expect(five.readStates).toEqual([]);
    five.heartbeatAck(2n, round);
    expect(five.readStates).toEqual([]);
    five.heartbeatAck(5n, round);
    expect(five.readStates).toEqual([{ readId: 1n, index: 2 }]);
  });

  it("3. answers to rounds that began before the read confirm nothing", () => {
    const node = leading();
    node.advance(100);
    const before = roundTo(node, 2n);
    node.read(1n);
    node.heartbeatAck(2n, before);
    node.heartbeatAck(3n, before);
    expect(node.readStates).toEqual([]);
    node.heartbeatAck(3n, roundTo(node, 3n));
    expect(node.readStates.length).toBe(1);
  });

  it("3. nor do answers to rounds that this leader never began", () => {
    const node = leading();
    node.read(1n);
    node.heartbeatAck(2n, 1000);
    expect([node.readStates, node.status.hasLease]).toEqual([[], false]);
  });

  it("4. the read index is handed out before it is applied: who serves it waits for lastApplied", () => {
    const node = leading();
    node.holdApply = true;
    node.propose("x");
    node.ack(2n);
    node.read(1n);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect([node.readStates, node.status.appliedIndex]).toEqual([[{ readId: 1n, index: 3 }], 2]);
  });

  it("one round of heartbeats serves any number of reads that have gathered", () => {
    const node = leading();
    node.read(1n);
    node.read(2n);
    node.read(3n);
    const first = node.take("Heartbeat");
    expect(first.length).toBe(2);
    node.heartbeatAck(2n, first[0]!.round);
    // The first is answered; the others share the next round.
    expect(node.readStates.map(({ readId }) => readId)).toEqual([1n]);
    const beats = node.take("Heartbeat");
    expect(beats.length).toBe(2);
    node.heartbeatAck(3n, beats[0]!.round);
    expect(node.readStates.map(({ readId }) => readId)).toEqual([1n, 2n, 3n]);
  });

  it("followers help: they ask the leader for a readIndex, and answer from their own state", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    const follower = cluster.up.find((node) => node !== leader)!;
    cluster.propose(leader.id, "x");
    cluster.settle();
    const { readId, outcome } = cluster.read(follower.id);
    expect(outcome.ok).toBe(true);
    cluster.settle();
    expect(follower.reads.get(readId)).toBe(leader.status.commitIndex);
  });

  it("a read that was asked of a leader when it loses its place fails; it is never answered by guess", () => {
    const node = leading();
    node.read(1n);
    node.receive({ type: "ReadIndexRequest", from: 3n, term: 2, readId: 7n, lease: false });
    node.sent = [];
    node.receive(appendEntries(2n, 3, [2, 2]));
    expect(node.readStates).toEqual([{ readId: 1n, index: null }]);
    expect(node.take("ReadIndexResult")).toMatchObject([{ to: 3n, readId: 7n, index: null }]);
  });

  it("one who does not lead says so to whoever asks, and refuses when it knows no leader", () => {
    const node = new OneNode();
    expect(node.read(1n)).toEqual({ ok: false, rejection: { reason: "noLeader" } });
    for (const asked of [node, new OneNode().campaign()]) {
      asked.receive({ type: "ReadIndexRequest", from: 3n, term: asked.status.term, readId: 7n, lease: true });
      expect(asked.takeOnly("ReadIndexResult")).toMatchObject({ readId: 7n, index: null });
    }
  });

  it("reads beyond the bound are refused, and taken again when others are answered", () => {
    const node = leading({ maxPendingReads: 2 });
    expect([1n, 2n, 3n].map((id) => node.read(id).ok)).toEqual([true, true, false]);
    node.receive({ type: "ReadIndexRequest", from: 3n, term: 2, readId: 9n, lease: false });
    expect(node.takeOnly("ReadIndexResult").index).toBeNull();
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.read(4n).ok).toBe(true);
  });

  it("a learner's answers confirm nothing", () => {
    const node = new OneNode({ config: simpleConfig([1n, 2n, 3n], [4n]) }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    node.read(1n);
    node.heartbeatAck(4n, roundTo(node, 4n));
    expect(node.readStates).toEqual([]);
  });

  it("an old leader that does not know of the new one cannot confirm its reads", () => {
    const cluster = new Cluster({ voters: 5 });
    const old = cluster.elect();
    const friend = cluster.up.find((node) => node !== old)!;
    const rest = cluster.up.filter((node) => node !== old && node !== friend);
    cluster.partition(
      [old.id, friend.id],
      rest.map(({ id }) => id),
    );
    cluster.advance(900);
    const { readId } = cluster.read(old.id);
    cluster.advance(3 * ET);
    expect(old.reads.get(readId)).toBeNull();
    expect(rest.map(({ id }) => id)).toContain(cluster.leader()!.id);
  });
});

describe("Thesis §6.4.1 Using clocks to reduce messaging for read-only queries", () => {
  const options = { clockDriftBoundMs: 200 };

  it("a round that a majority acknowledges extends the lease, from the time when the round *began*", () => {
    const node = leading(options);
    node.advance(100);
    const round = roundTo(node, 2n);
    expect(node.status.hasLease).toBe(false);
    node.nowMs += 90;
    node.heartbeatAck(2n, round);
    expect(node.status.hasLease).toBe(true);
    // The round began 90 ms ago: election timeout − drift bound − 90 are left.
    node.nowMs += ET - 200 - 90 - 1;
    expect(node.raft.leaseReadIndex(node.nowMs)).toBe(2);
    expect(node.raft.leaseReadIndex(node.nowMs + 1)).toBeNull();
  });

  it("during the lease the leader replies without communication", () => {
    const node = leading(options);
    node.advance(100);
    node.heartbeatAck(2n, roundTo(node, 2n));
    node.sent = [];
    node.read(1n, true);
    expect([node.readStates, node.sent]).toEqual([[{ readId: 1n, index: 2 }], []]);
  });

  it("without it the same read confirms the lead as always", () => {
    const node = leading(options);
    node.advance(500);
    node.sent = [];
    node.read(1n, true);
    expect(node.readStates).toEqual([]);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.readStates).toEqual([{ readId: 1n, index: 2 }]);
  });

  it("a linearizable read does not use it", () => {
    const node = leading(options);
    node.advance(100);
    node.heartbeatAck(2n, roundTo(node, 2n));
    node.read(1n, false);
    expect([node.status.hasLease, node.readStates]).toEqual([true, []]);
  });

  it("a leader that has not committed in its term has none", () => {
    const node = new OneNode().lead();
    node.advance(0);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.status.hasLease).toBe(false);
    node.ack(2n);
    expect(node.status.hasLease).toBe(true);
  });

  it("a leader that transfers leadership gives it up, for the rest of the term (§6.4.1, §3.10)", () => {
    const node = leading(options);
    node.advance(100);
    node.heartbeatAck(2n, roundTo(node, 2n));
    node.step({ type: "transferLeadership", target: 2n });
    expect(node.status.hasLease).toBe(false);
    for (let i = 0; i < 15; i++) {
      node.advance(100);
      node.heartbeatAck(3n, roundTo(node, 3n));
    }
    expect([node.status.transferTarget, node.status.role, node.status.hasLease]).toEqual([
      null,
      "leader",
      false,
    ]);
  });

  it("a pause longer than the lease voids it before the next read is looked at", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    cluster.advance(300);
    expect(leader.status.hasLease).toBe(true);
    cluster.pause(leader.id);
    cluster.advance(5 * ET);
    const next = cluster.up.find((node) => node !== leader && node.status.role === "leader")!;
    cluster.propose(next.id, "newer");
    cluster.advance(100);
    // It wakes up; a client is the first to speak to it.
    leader.paused = false;
    const { readId } = cluster.read(leader.id, true);
    expect(leader.reads.get(readId) ?? null).toBeNull();
    expect(leader.status.role).not.toBe("leader");
  });

  it("a clock that runs slow within the bound still ends the lease in time", () => {
    const cluster = new Cluster({ raft: { clockDriftBoundMs: 100 } });
    const leader = cluster.elect();
    cluster.advance(300);
    // Slower by almost a tenth of the election timeout.
    leader.clock.setRate(0.91, cluster.nowMs);
    cluster.isolate(leader.id);
    for (let i = 0; i < 60; i++) {
      cluster.advance(50);
      const other = cluster.up.find((node) => node !== leader && node.status.role === "leader");
      if (other !== undefined) cluster.propose(other.id, `${i}`);
      // The checker compares every answer with what was committed before the read began.
      cluster.read(leader.id, true);
    }
    expect(cluster.up.some((node) => node.machine.commands.length > 0)).toBe(true);
    expect(leader.status.role).not.toBe("leader");
  });

  it("no lease survives the loss of the lead and its return", () => {
    const node = leading(options);
    node.advance(100);
    node.heartbeatAck(2n, roundTo(node, 2n));
    node.receive(appendEntries(2n, 3, [2, 2]));
    expect([node.status.hasLease, node.raft.leaseReadIndex(node.nowMs)]).toEqual([false, null]);
    node.lead();
    for (const from of [2n, 3n]) node.ack(from);
    expect([node.status.role, node.status.hasLease]).toEqual(["leader", false]);
  });

  it("a new voter in the configuration counts only with rounds that it has answered", () => {
    const node = new OneNode({ config: simpleConfig([1n]) }).lead();
    expect(node.status.hasLease).toBe(true);
    node.change(["addVoter", 2n]);
    expect([node.status.config.voters, node.status.hasLease]).toEqual([[1n, 2n], false]);
    node.advance(0);
    node.heartbeatAck(2n, roundTo(node, 2n));
    expect(node.status.hasLease).toBe(true);
  });
});
