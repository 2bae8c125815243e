import { describe, expect, it } from "vitest";
import { Rounds } from "../../../src/core/raft/rounds.ts";
import { simpleConfig } from "../../../src/core/raft/index.ts";
import { appendEntries, command, confChange, entriesOf, ET, OneNode, snapshotAt } from "./one-node.ts";

/** Small traps in which a node, a member or a request could wait for ever. */

describe("A single voter", () => {
  it("needs no waking at all while it leads alone: null, not a time that never comes", () => {
    const node = new OneNode({ config: simpleConfig([1n]) }).lead();
    expect([node.status.role, node.raft.nextDeadlineMs()]).toEqual(["leader", null]);
  });

  it("answers a read that a heartbeat took along, though the only peer is a learner that is down", () => {
    const node = new OneNode({ config: simpleConfig([1n], [2n]) }).lead();
    // The read and the next heartbeat fall between two Readys.
    node.raft.step({ type: "readIndex", readId: 1n, lease: false }, node.nowMs);
    node.raft.step({ type: "wake" }, node.raft.nextDeadlineMs()!);
    node.pump();
    expect(node.readStates).toEqual([{ readId: 1n, index: 2 }]);
  });
});

describe("Rounds", () => {
  it("are forgotten as they are confirmed: a leader keeps the sending time of one", () => {
    const rounds = new Rounds();
    for (let i = 1; i <= 5; i++) {
      rounds.begin(i, null);
      rounds.confirm(Number.POSITIVE_INFINITY);
    }
    expect([1, 4, 5].map((round) => rounds.sentAtMs(round))).toEqual([undefined, undefined, 5]);
  });
});

describe("News of a commit that is held back", () => {
  const options = { heartbeatIntervalMs: 100, commitNewsDelayMs: 40 };

  it("is not put off by a heartbeat that could not take it along", () => {
    const node = new OneNode({ options }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    node.advance(80);
    node.propose("a");
    node.ack(2n);
    node.sent = [];
    // Member 3 is not known to hold the entry: the heartbeat must not say that it is committed.
    node.advance(39);
    const told = node.take("Heartbeat").map(({ to, leaderCommit }) => [to, leaderCommit]);
    expect(told).toContainEqual([3n, 2]);
    expect(node.take("AppendEntries")).toEqual([]);
    node.advance(1);
    const appends = node.take("AppendEntries").filter(({ to }) => to === 3n);
    expect(appends.map(({ entries, leaderCommit }) => [entries.length, leaderCommit])).toEqual([[0, 3]]);
  });

  it("is forgotten where the log would have to be read for it, and wakes nobody", () => {
    const node = new OneNode({ options: { ...options, tailBytes: 0 } }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    node.propose("a");
    node.ack(2n);
    // What member 3 lacks, by what it says, has left the memory.
    node.refuse(3n, 3, 1, 1);
    expect(node.logReads.at(-1)).toMatchObject({ to: 3n });
    node.advance(90);
    expect(node.raft.nextDeadlineMs()!).toBeGreaterThan(node.nowMs);
  });
});

describe("Reading older entries for a member", () => {
  /** A leader whose tail in memory is nearly empty, and a member in replication that needs entry 2. */
  function leaderReading(): OneNode {
    const node = new OneNode({ log: entriesOf([1, 1, 1, 1, 1, 1]), options: { tailBytes: 0 } });
    node.lead();
    node.ack(2n);
    expect(node.status.tailStart).toBe(9);
    node.refuse(3n, 7, 1, 1);
    return node;
  }

  it("goes on when an acknowledgement has made the read pointless meanwhile", () => {
    const node = leaderReading();
    expect(node.logReads).toEqual([{ to: 3n, from: 2, maxBytes: expect.any(Number) as number }]);
    // Entries sent to it before arrive after all, one by one.
    node.ack(3n, 1);
    expect(node.logReads.at(-1)!.from).toBe(2);
    node.ack(3n, 4);
    node.step({ type: "logRead", to: 3n, from: 2, prevTerm: 1, entries: entriesOf([1, 1, 1]) });
    expect(node.logReads.at(-1)!.from).toBe(5);
    node.step({ type: "logRead", to: 3n, from: 5, prevTerm: 1, entries: [command(5, 1), command(6, 1)] });
    const sent = node
      .take("AppendEntries")
      .filter(({ to }) => to === 3n)
      .at(-1)!;
    expect([sent.prevLogIndex, sent.entries.length]).toEqual([4, 2]);
  });

  it("turns to a snapshot when the store has dropped them", () => {
    const node = leaderReading();
    node.step({ type: "compacted", snapshot: snapshotAt(5, 1) });
    node.step({ type: "logReadCompacted", to: 3n, from: 2 });
    expect(node.take("InstallSnapshot").map(({ to, snapshot }) => [to, snapshot.index])).toEqual([[3n, 5]]);
    expect(node.status.progress.get(3n)!.state).toBe("snapshot");
  });
});

describe("A follower that has taken in more than it has applied", () => {
  const options = { maxUnappliedBytes: 100 };

  it("takes no more while something is there to be applied, and goes on afterwards", () => {
    const node = new OneNode({ options });
    node.holdApply = true;
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2, 2, 2]), 3));
    expect(node.take("AppendEntriesResult").length).toBe(1);
    node.receive(appendEntries(2n, 2, [5, 2], [command(6, 2)], 3));
    expect([node.status.lastIndex, node.take("AppendEntriesResult")]).toEqual([5, []]);
    for (const entry of node.applied) node.apply(entry);
    node.receive(appendEntries(2n, 2, [5, 2], [command(6, 2)], 3));
    expect(node.status.lastIndex).toBe(6);
  });

  it("takes the entry by which a new leader can commit the rest, else nothing would ever be applied", () => {
    const node = new OneNode({ options });
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2, 2, 2]), 1));
    node.receive(appendEntries(3n, 3, [5, 2], [command(6, 3)], 1));
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([5, 6]);
  });

  it("takes the entries that replace a long branch that nobody wants any more", () => {
    const node = new OneNode({ options });
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2, 2, 2]), 1));
    node.receive(appendEntries(3n, 3, [1, 1], [command(2, 3)], 1));
    expect([node.status.lastIndex, node.status.lastTerm]).toEqual([2, 3]);
  });
});

describe("A snapshot that overtakes the application of older entries", () => {
  it("has the last word on the configuration: what was handed out before it changes nothing any more", () => {
    const node = new OneNode();
    node.holdApply = true;
    const change = confChange([["addLearner", 4n]]);
    node.receive(appendEntries(2n, 2, [1, 1], [{ kind: "confChange", index: 2, term: 2, change }], 2));
    expect(node.applied.map(({ kind }) => kind)).toEqual(["confChange"]);
    // Node 4 was added, and removed again since.
    const config = simpleConfig([1n, 2n, 3n], [5n]);
    node.receive({ type: "InstallSnapshot", from: 2n, term: 2, snapshot: snapshotAt(9, 2, config) });
    expect(node.step({ type: "applyConfChange", change })).toEqual({ ok: true, config });
    node.step({ type: "applied", index: 2 });
    expect(node.status.config).toEqual(config);
    node.step({ type: "applied", index: 9 });
    node.step({ type: "applyConfChange", change });
    expect(node.status.config.learners).toEqual([4n, 5n]);
  });

  it("may fail to fit the change altogether, which is no reason to stop", () => {
    const node = new OneNode();
    node.holdApply = true;
    const change = confChange([["remove", 3n]]);
    node.receive(appendEntries(2n, 2, [1, 1], [{ kind: "confChange", index: 2, term: 2, change }], 2));
    const joint = { ...simpleConfig([1n, 2n, 4n]), votersOutgoing: [1n, 2n], autoLeave: true };
    node.receive({ type: "InstallSnapshot", from: 2n, term: 2, snapshot: snapshotAt(9, 2, joint) });
    expect(node.step({ type: "applyConfChange", change })).toEqual({ ok: true, config: joint });
  });
});

describe("Reads", () => {
  it("asked of the old leader are answered though this node has taken over meanwhile", () => {
    const node = new OneNode();
    node.receive(appendEntries(2n, 2, [1, 1]));
    node.read(7n);
    expect(node.take("ReadIndexRequest").map(({ to }) => to)).toEqual([2n]);
    node.receive({ type: "TimeoutNow", from: 2n, term: 2 });
    for (const from of [2n, 3n]) node.receive({ type: "RequestVoteResult", from, term: 3, granted: true });
    expect(node.status.role).toBe("leader");
    node.receive({ type: "ReadIndexResult", from: 2n, term: 2, readId: 7n, index: 1 });
    expect(node.readStates).toEqual([{ readId: 7n, index: 1 }]);
  });
});

describe("A campaign on demand", () => {
  it("keeps the promise to a leader just heard, on which the leader's lease rests (thesis §6.4.1)", () => {
    const node = new OneNode({ jitter: 0.9 });
    node.advance(500);
    node.receive({ type: "Heartbeat", from: 2n, term: 2, leaderCommit: 1, round: 1, quiesce: false });
    node.step({ type: "campaign" });
    expect(node.status.role).toBe("follower");
    node.advance(ET - 1);
    expect(node.status.role).toBe("follower");
    // But it does not wait for the random part of the timeout.
    node.advance(1);
    expect(node.status.role).toBe("preCandidate");
  });
});

describe("A sleeping group", () => {
  const options = { quiesceAfterMs: 1500, heartbeatIntervalMs: 100 };

  function asleep(): OneNode {
    const node = new OneNode({ options }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    for (let i = 0; i < 20 && !node.status.asleep; i++) {
      node.advance(100);
      for (const { to, round } of node.take("Heartbeat")) node.heartbeatAck(to, round);
    }
    expect([node.status.asleep, node.raft.nextDeadlineMs()]).toEqual([true, null]);
    node.sent = [];
    return node;
  }

  it("is not woken by the news that its last heartbeat did not reach a member that is down", () => {
    const node = asleep();
    node.step({ type: "unreachable", node: 3n });
    expect([node.status.asleep, node.sent]).toEqual([true, []]);
  });

  it.each([
    ["a proposal", (node: OneNode): unknown => node.propose("a")],
    ["a read", (node: OneNode): unknown => node.read(1n)],
    [
      "a question from a peer",
      (node: OneNode): unknown =>
        node.receive({ type: "PreVote", from: 3n, term: 3, lastLogIndex: 2, lastLogTerm: 2 }),
    ],
    ["the driver", (node: OneNode): unknown => node.step({ type: "wake" })],
  ])("is woken by %s, and its members with it", (_, event) => {
    const node = asleep();
    event(node);
    expect(node.status.asleep).toBe(false);
    expect(node.take("Heartbeat").map(({ to, quiesce }) => [to, quiesce])).toContainEqual([2n, false]);
    expect(node.status.hasLease).toBe(false);
    node.advance(ET);
    expect(node.status.role).toBe("follower");
  });
});
