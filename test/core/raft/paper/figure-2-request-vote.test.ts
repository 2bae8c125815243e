import { describe, expect, it } from "vitest";
import type { RequestVote, RequestVoteResult } from "../../../../src/core/raft/index.ts";
import { appendEntries, entriesOf, ET, OneNode } from "../one-node.ts";

/** A voter in term 4 with the log 2/2 3/2 4/3, whose promise to any leader has run out. */
function voter(vote: bigint | null = null): OneNode {
  const node = new OneNode({
    log: entriesOf([2, 2, 3]),
    hardState: { term: 4, vote, commit: 1 },
    jitter: 0.99,
  });
  node.advance(ET);
  return node;
}

function request(from: bigint, term: number, last: readonly [number, number]): Omit<RequestVote, "to"> {
  const [lastLogIndex, lastLogTerm] = last;
  return { type: "RequestVote", from, term, lastLogIndex, lastLogTerm, leadershipTransfer: false };
}

const answer = (node: OneNode): RequestVoteResult => node.takeOnly("RequestVoteResult");

describe("Figure 2, RequestVote RPC: arguments and results", () => {
  it("term, candidateId, lastLogIndex, lastLogTerm: the candidate's", () => {
    const node = new OneNode({ log: entriesOf([2, 2, 3]), hardState: { term: 4, vote: null, commit: 1 } });
    node.campaign();
    const asked = { from: 1n, term: 5, lastLogIndex: 4, lastLogTerm: 3, leadershipTransfer: false };
    expect(node.take("RequestVote")).toMatchObject([
      { to: 2n, ...asked },
      { to: 3n, ...asked },
    ]);
  });

  it("term: currentTerm, for candidate to update itself", () => {
    const node = voter();
    node.receive(request(2n, 3, [9, 9]));
    expect(answer(node)).toMatchObject({ term: 4, granted: false });
    const candidate = new OneNode().campaign();
    candidate.receive({ type: "RequestVoteResult", from: 2n, term: 9, granted: false });
    expect([candidate.status.role, candidate.status.term]).toEqual(["follower", 9]);
  });

  it("voteGranted: true means candidate received vote", () => {
    const node = voter();
    node.receive(request(2n, 5, [4, 3]));
    expect(answer(node)).toMatchObject({ to: 2n, term: 5, granted: true });
  });
});

describe("Figure 2, RequestVote RPC: receiver implementation", () => {
  it("1. reply false if term < currentTerm (§5.1)", () => {
    const node = voter();
    node.receive(request(2n, 3, [9, 3]));
    expect([answer(node).granted, node.status.vote]).toEqual([false, null]);
  });

  it("2. if votedFor is null, grant vote (§5.2)", () => {
    const node = voter();
    node.receive(request(2n, 4, [4, 3]));
    expect([answer(node).granted, node.hardState.vote]).toEqual([true, 2n]);
  });

  it("2. if votedFor is candidateId, grant vote again: the first answer may have been lost (§5.2)", () => {
    const node = voter(2n);
    node.receive(request(2n, 4, [4, 3]));
    expect(answer(node).granted).toBe(true);
  });

  it("2. if votedFor is another, do not: first-come-first-served, one vote a term (§5.2)", () => {
    const node = voter();
    node.receive(request(2n, 5, [4, 3]));
    node.receive(request(3n, 5, [9, 4]));
    expect(node.take("RequestVoteResult").map(({ to, granted }) => [to, granted])).toEqual([
      [2n, true],
      [3n, false],
    ]);
  });

  it("2. nor if this server votes for itself, or leads (§5.2)", () => {
    const node = new OneNode().campaign();
    node.receive(request(2n, 2, [9, 9]));
    expect(answer(node).granted).toBe(false);
    node.receive({ type: "RequestVoteResult", from: 3n, term: 2, granted: true });
    node.receive(request(2n, 2, [9, 9]));
    expect([node.status.role, answer(node).granted]).toEqual(["leader", false]);
  });

  it("2. nor once the term has a leader", () => {
    const node = voter();
    node.receive(appendEntries(2n, 4, [4, 3]));
    node.advance(ET);
    node.receive(request(3n, 4, [9, 4]));
    expect(answer(node).granted).toBe(false);
  });

  it.each([
    ["the same log", 4, 3, true],
    ["a longer log of the same last term", 5, 3, true],
    ["a shorter log of a later last term", 2, 4, true],
    ["a shorter log of the same last term", 3, 3, false],
    ["a longer log of an earlier last term", 9, 2, false],
  ])(
    "2. candidate's log at least as up-to-date as receiver's log: %s (§5.2, §5.4)",
    (_, index, term, granted) => {
      const node = voter();
      node.receive(request(2n, 5, [index, term]));
      expect([answer(node).granted, node.status.term]).toEqual([granted, 5]);
    },
  );
});
