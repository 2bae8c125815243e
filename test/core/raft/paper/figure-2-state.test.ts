import { describe, expect, it } from "vitest";
import { BOOTSTRAP, type HardState, Raft, simpleConfig } from "../../../../src/core/raft/index.ts";
import { appendEntries, command, entriesOf, OneNode } from "../one-node.ts";

/** A server that joins: it has never been anything. */
function firstBoot(): Raft {
  const nothing = { index: 0, term: 0 };
  const config = simpleConfig([]);
  const hardState: HardState = { term: 0, vote: null, commit: 0 };
  const compacted = { ...nothing, config };
  const state = { hardState, compacted, applied: 0, config, tailPrev: nothing, tail: [] };
  return new Raft({ nodeId: 4n }, state, { next: () => 0 }, 0);
}

const vote = { type: "RequestVote", lastLogIndex: 9, lastLogTerm: 9, leadershipTransfer: true } as const;

describe("Figure 2, State: persistent state on all servers (updated on stable storage before responding to RPCs)", () => {
  it("currentTerm: latest term server has seen (initialized to 0 on first boot, increases monotonically)", () => {
    expect(firstBoot().status().term).toBe(0);
    const node = new OneNode();
    const terms = [3, 2, 7, 7, 5, 8].map((term) => {
      node.receive({ type: "HeartbeatResult", from: 2n, term, round: 1 });
      return node.status.term;
    });
    expect(terms).toEqual([3, 3, 7, 7, 7, 8]);
    expect(node.hardState.term).toBe(8);
  });

  it("votedFor: candidateId that received vote in current term (or null if none)", () => {
    const node = new OneNode();
    expect(node.status.vote).toBeNull();
    node.receive({ ...vote, from: 2n, term: 2 });
    expect([node.status.vote, node.hardState.vote]).toEqual([2n, 2n]);
    node.receive(appendEntries(3n, 3, [1, 1]));
    expect([node.status.term, node.status.vote]).toEqual([3, null]);
  });

  it("votedFor survives the loss of leadership and of an election within the same term", () => {
    const node = new OneNode().lead();
    node.advance(5000);
    expect([node.status.role === "leader", node.status.term, node.status.vote]).toEqual([false, 2, 1n]);
    node.receive({ ...vote, from: 3n, term: 2 });
    expect(node.take("RequestVoteResult")[0]!.granted).toBe(false);
  });

  it("log[]: each entry contains command and the term when it was received by the leader", () => {
    const node = new OneNode().lead();
    node.propose("x", "y");
    const written = node.readys.flatMap(({ entries }) => entries);
    expect(written.map(({ kind, index, term }) => [kind, index, term])).toEqual([
      ["noop", 2, 2],
      ["command", 3, 2],
      ["command", 4, 2],
    ]);
    expect(written[1]).toMatchObject({ data: new TextEncoder().encode("x") });
  });

  it("is on stable storage before a vote is given", () => {
    const node = new OneNode();
    node.holdDisk = true;
    expect(node.receive({ ...vote, from: 2n, term: 2 })).toEqual([]);
    expect(node.writing.at(-1)!.hardState).toEqual({ term: 2, vote: 2n, commit: 1 });
    node.persistAll();
    expect(node.take("RequestVoteResult").map(({ granted }) => granted)).toEqual([true]);
  });

  it("is on stable storage before votes are asked for", () => {
    const node = new OneNode();
    node.holdDisk = true;
    node.campaign();
    expect(node.take("RequestVote")).toEqual([]);
    node.persistAll();
    expect(node.take("RequestVote").map(({ to }) => to)).toEqual([2n, 3n]);
  });

  it("is on stable storage before entries are acknowledged", () => {
    const node = new OneNode();
    node.holdDisk = true;
    expect(node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2)]))).toEqual([]);
    node.persistAll();
    expect(node.take("AppendEntriesResult").map(({ success }) => success)).toEqual([true]);
  });
});

describe("Figure 2, State: volatile state on all servers", () => {
  it("commitIndex: initialized low, increases monotonically", () => {
    const node = new OneNode({ log: entriesOf([2, 2, 2]), hardState: { term: 2, vote: null, commit: 1 } });
    const commits = [3, 2, 4, 1].map((leaderCommit) => {
      node.receive(appendEntries(2n, 2, [4, 2], [], leaderCommit));
      return node.status.commitIndex;
    });
    expect([BOOTSTRAP.index, ...commits]).toEqual([1, 3, 3, 4, 4]);
  });

  it("lastApplied: initialized low, increases monotonically, never beyond commitIndex", () => {
    const node = new OneNode();
    node.holdApply = true;
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2]), 2));
    expect([node.status.appliedIndex, node.applied.map(({ index }) => index)]).toEqual([1, [2]]);
    expect(() => node.raft.step({ type: "applied", index: 3 }, 0)).toThrow("commit index");
    node.step({ type: "applied", index: 2 });
    expect(() => node.raft.step({ type: "applied", index: 1 }, 0)).toThrow("applied grows");
  });
});

describe("Figure 2, State: volatile state on leaders (reinitialized after election)", () => {
  const progressOf = (node: OneNode, peer: bigint): [number, number] => {
    const { match, next } = node.status.progress.get(peer)!;
    return [match, next];
  };

  it("nextIndex[]: initialized to leader last log index + 1; matchIndex[]: initialized to 0", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) });
    node.lead();
    // Before the entry that marks the leader's own term, the log ended at 4.
    expect([progressOf(node, 2n), progressOf(node, 3n)]).toEqual([
      [0, 5],
      [0, 5],
    ]);
  });

  it("matchIndex[] increases monotonically", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    const matches = [3, 2, 5, 4].map((index) => {
      node.ack(2n, index);
      return progressOf(node, 2n)[0];
    });
    expect(matches).toEqual([3, 3, 5, 5]);
  });

  it("both are reinitialized after election", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    node.ack(2n);
    node.receive({ type: "HeartbeatResult", from: 3n, term: 7, round: 1 });
    expect(node.status.progress.size).toBe(0);
    node.lead();
    expect([node.status.term, progressOf(node, 2n)]).toEqual([8, [0, 6]]);
  });
});
