import { describe, expect, it } from "vitest";
import type { AppendEntriesResult, Entry } from "../../../../src/core/raft/index.ts";
import { appendEntries, command, entriesOf, OneNode } from "../one-node.ts";

/** A follower in term 4 whose log after the first entry has these terms. */
function follower(terms: number[] = [2, 2, 3], commit = 1): OneNode {
  return new OneNode({ log: entriesOf(terms), hardState: { term: 4, vote: null, commit } });
}

const answer = (node: OneNode): AppendEntriesResult => node.takeOnly("AppendEntriesResult");

/** The whole log after the first entry, as the disk has seen it written. */
function logOf(node: OneNode, initially: readonly Entry[]): string[] {
  const log = new Map(initially.map((entry) => [entry.index, entry]));
  for (const { entries } of node.readys) {
    const [first] = entries;
    if (first !== undefined) for (const index of log.keys()) if (index >= first.index) log.delete(index);
    for (const entry of entries) log.set(entry.index, entry);
  }
  return [...log.values()].map(({ index, term }) => `${index}/${term}`);
}

describe("Figure 2, AppendEntries RPC: arguments", () => {
  it("term, leaderId: so follower can redirect clients", () => {
    const node = follower();
    node.receive(appendEntries(3n, 4, [4, 3]));
    expect(node.status.leaderId).toBe(3n);
    expect(node.propose("x")).toEqual({ ok: false, rejection: { reason: "notLeader", leaderId: 3n } });
  });

  it("prevLogIndex, prevLogTerm: of the entry immediately preceding new ones; leaderCommit: leader's commitIndex", () => {
    const node = new OneNode({ log: entriesOf([1, 1]) }).lead();
    for (const from of [2n, 3n]) node.ack(from);
    node.take("AppendEntries");
    node.propose("x");
    expect(node.take("AppendEntries")).toMatchObject([
      { to: 2n, term: 2, prevLogIndex: 4, prevLogTerm: 2, leaderCommit: 4 },
      { to: 3n, term: 2, prevLogIndex: 4, prevLogTerm: 2, leaderCommit: 4 },
    ]);
  });

  it("entries[]: to store; may send more than one for efficiency", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    node.take("AppendEntries");
    node.propose("x", "y", "z");
    const [sent] = node.take("AppendEntries");
    expect(sent!.entries.map(({ index }) => index)).toEqual([3, 4, 5]);
  });

  it("entries[]: empty for heartbeat, which here is a message of its own that claims nothing about the log", () => {
    const node = follower();
    node.receive({ type: "Heartbeat", from: 2n, term: 4, leaderCommit: 2, round: 9, quiesce: false });
    expect(node.take("HeartbeatResult")).toMatchObject([{ to: 2n, term: 4, round: 9 }]);
    expect([node.status.commitIndex, node.status.leaderId]).toEqual([2, 2n]);
  });
});

describe("Figure 2, AppendEntries RPC: results", () => {
  it("term: currentTerm, for leader to update itself", () => {
    const node = follower();
    node.receive(appendEntries(2n, 3, [4, 3]));
    expect(answer(node).term).toBe(4);
    const leader = new OneNode().lead();
    leader.receive({ ...answerOf(4), from: 2n });
    expect([leader.status.role, leader.status.term]).toEqual(["follower", 4]);
  });

  it("success: true if follower contained entry matching prevLogIndex and prevLogTerm", () => {
    const node = follower();
    node.receive(appendEntries(2n, 4, [4, 3]));
    expect(answer(node)).toMatchObject({ success: true, matchIndex: 4 });
  });
});

describe("Figure 2, AppendEntries RPC: receiver implementation", () => {
  it("1. reply false if term < currentTerm (§5.1), and change nothing", () => {
    const node = follower();
    node.receive(appendEntries(2n, 3, [4, 3], [command(5, 3)], 4));
    expect(answer(node).success).toBe(false);
    expect([node.status.lastIndex, node.status.commitIndex, node.status.leaderId]).toEqual([4, 1, null]);
  });

  it.each([
    ["beyond the end of the log", 5, 3],
    ["far beyond the end of the log", 90, 3],
    ["with another term", 4, 2],
    ["with a later term", 3, 3],
  ])("2. reply false if log doesn't contain an entry at prevLogIndex %s (§5.3)", (_, index, term) => {
    const node = follower();
    node.receive(appendEntries(2n, 4, [index, term], [command(index + 1, 4)], 4));
    expect(answer(node)).toMatchObject({ success: false, matchIndex: index });
    expect([node.status.lastIndex, node.status.commitIndex]).toEqual([4, 1]);
  });

  it("2. a refusal says where the logs may agree at best, skipping terms later than the leader's (§5.3)", () => {
    const node = follower([2, 2, 3, 3, 3]);
    node.receive(appendEntries(2n, 4, [6, 2], []));
    expect(answer(node)).toMatchObject({ success: false, hintIndex: 3, hintTerm: 2 });
    node.receive(appendEntries(2n, 4, [30, 4], []));
    expect(answer(node)).toMatchObject({ success: false, hintIndex: 6, hintTerm: 3 });
  });

  it.each([
    ["at the first new entry", [1, 1], [command(2, 4)], ["2/4"]],
    ["in the middle", [2, 2], [command(3, 2), command(4, 4)], ["2/2", "3/2", "4/4"]],
    ["at the last entry", [3, 2], [command(4, 4), command(5, 4)], ["2/2", "3/2", "4/4", "5/4"]],
  ] as [string, [number, number], Entry[], string[]][])(
    "3. if an existing entry conflicts with a new one (same index but different terms) %s, delete it and all that follow it (§5.3)",
    (_, prev, entries, expected) => {
      const initially = entriesOf([2, 2, 3]);
      const node = follower();
      node.receive(appendEntries(2n, 4, prev, entries));
      expect(answer(node)).toMatchObject({ success: true, matchIndex: prev[0] + entries.length });
      expect(logOf(node, initially)).toEqual(expected);
    },
  );

  it("3. what does not conflict is kept: a delayed message with fewer entries does not shorten the log", () => {
    const node = follower();
    node.receive(appendEntries(2n, 4, [1, 1], [command(2, 2)]));
    expect(answer(node)).toMatchObject({ success: true, matchIndex: 2 });
    expect(node.status.lastIndex).toBe(4);
    expect(node.readys.flatMap(({ entries }) => entries)).toEqual([]);
  });

  it("4. append any new entries not already in the log", () => {
    const node = follower();
    node.receive(appendEntries(2n, 4, [3, 2], [command(4, 3), command(5, 4), command(6, 4)]));
    expect(answer(node)).toMatchObject({ success: true, matchIndex: 6 });
    expect(node.readys.flatMap(({ entries }) => entries.map(({ index }) => index))).toEqual([5, 6]);
  });

  it("4. twice the same message appends once", () => {
    const node = follower();
    const message = appendEntries(2n, 4, [4, 3], [command(5, 4)]);
    node.receive(message);
    node.receive(message);
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([5, 5]);
    expect(node.readys.flatMap(({ entries }) => entries.map(({ index }) => index))).toEqual([5]);
  });

  it.each([
    ["leaderCommit, when the new entries reach further", 3, [2, 2], [command(3, 2), command(4, 3)], 3],
    ["the last new entry, when leaderCommit lies beyond", 9, [2, 2], [command(3, 2)], 3],
    ["prevLogIndex, when nothing is new", 9, [2, 2], [], 2],
    ["nothing, when leaderCommit lies behind", 1, [2, 2], [command(3, 2)], 2],
  ] as [string, number, [number, number], Entry[], number][])(
    "5. if leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry): %s",
    (_, leaderCommit, prev, entries, expected) => {
      const node = follower([2, 2, 3, 3], 2);
      node.receive(appendEntries(2n, 4, prev, entries, leaderCommit));
      expect(node.status.commitIndex).toBe(expected);
    },
  );

  it("5. an entry beyond the last new one, which may be of another leader, is not committed by a heartbeat either", () => {
    const node = follower([2, 2, 3, 3], 2);
    const leader = new OneNode({
      id: 2n,
      log: entriesOf([2, 2, 2]),
      hardState: { term: 4, vote: null, commit: 4 },
    });
    leader.lead();
    leader.ack(1n, 3);
    leader.advance(100);
    const heartbeat = leader.take("Heartbeat").findLast(({ to }) => to === 1n)!;
    expect(heartbeat.leaderCommit).toBe(3);
    node.receive(heartbeat);
    expect(node.status.commitIndex).toBe(3);
  });

  it("what is committed here agrees with every leader: an older prevLogIndex is answered from the commit index", () => {
    const node = follower([2, 2, 3], 3);
    node.receive(appendEntries(2n, 4, [1, 1], [command(2, 2)]));
    expect(answer(node)).toMatchObject({ success: true, matchIndex: 3 });
  });
});

function answerOf(term: number): Omit<AppendEntriesResult, "to" | "from"> {
  return { type: "AppendEntriesResult", term, success: false, matchIndex: 0, hintIndex: 0, hintTerm: 0 };
}
