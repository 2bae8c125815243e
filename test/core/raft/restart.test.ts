import { describe, expect, it } from "vitest";
import { BOOTSTRAP, Raft, simpleConfig } from "../../../src/core/raft/index.ts";
import { appendEntries, command, entriesOf, ET, OneNode } from "./one-node.ts";

describe("A node that starts again", () => {
  it("hands out what it knows to be committed and has not applied, once", () => {
    const hardState = { term: 2, vote: null, commit: 4 };
    const node = new OneNode({ hardState, log: entriesOf([2, 2, 2, 2]), applied: 2 });
    expect(node.applied.map(({ index }) => index)).toEqual([3, 4]);
  });

  it("takes what its state machine has applied for committed, whatever the hard state still says", () => {
    const hardState = { term: 2, vote: null, commit: 1 };
    const node = new OneNode({ hardState, log: entriesOf([2, 2, 2, 2]), applied: 3 });
    expect([node.status.commitIndex, node.applied]).toEqual([3, []]);
  });

  it("starts when the commit index became durable and the entries of the same Ready did not", () => {
    // A follower is sent an entry together with the news that it is committed…
    const before = new OneNode();
    before.holdDisk = true;
    before.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2)], 3));
    const { hardState, entries } = before.writing[0]!;
    expect([hardState!.commit, entries.length]).toEqual([3, 2]);
    // …and goes down between the two writes, of which the hard state comes first.
    const node = new OneNode({ hardState: hardState! });
    expect([node.status.commitIndex, node.status.term]).toEqual([1, 2]);
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2), command(3, 2)], 3));
    expect(node.applied.map(({ index }) => index)).toEqual([2, 3]);
  });

  it("keeps its vote: asked again in the same term, it grants only to the same candidate", () => {
    const hardState = { term: 5, vote: 2n, commit: 1 };
    const ask = (from: bigint): boolean => {
      const node = new OneNode({ hardState });
      node.advance(ET - 1);
      const request = {
        type: "RequestVote",
        lastLogIndex: 9,
        lastLogTerm: 4,
        leadershipTransfer: true,
      } as const;
      node.receive({ ...request, from, term: 5 });
      return node.take("RequestVoteResult")[0]!.granted;
    };
    expect([ask(2n), ask(3n)]).toEqual([true, false]);
  });

  it("refuses to vote for an election timeout: it may have promised that to a leader (thesis §6.4.1)", () => {
    const node = new OneNode({ jitter: 0.9 });
    const request = { type: "RequestVote", from: 2n, term: 2, lastLogIndex: 1, lastLogTerm: 1 } as const;
    node.advance(ET - 1);
    expect(node.receive({ ...request, leadershipTransfer: false })).toEqual([]);
    node.advance(1);
    node.receive({ ...request, leadershipTransfer: false });
    expect(node.take("RequestVoteResult")[0]!.granted).toBe(true);
  });

  it("does not campaign before the membership changes that it knows to be committed are applied", () => {
    const change = {
      steps: [{ type: "addVoter", node: 2n }],
      transition: "auto",
      context: new Uint8Array(0),
    } as const;
    const node = new Raft(
      { nodeId: 1n, electionTimeoutMs: ET },
      {
        hardState: { term: 2, vote: 1n, commit: 2 },
        compacted: { ...BOOTSTRAP, config: simpleConfig([1n]) },
        applied: 1,
        config: simpleConfig([1n]),
        tailPrev: BOOTSTRAP,
        tail: [{ kind: "confChange", index: 2, term: 2, change }],
      },
      { next: () => 0 },
      0,
    );
    node.step({ type: "wake" }, 10 * ET);
    node.step({ type: "campaign" }, 10 * ET);
    expect(node.status().role).toBe("follower");
    node.ready();
    node.step({ type: "applyConfChange", change }, 10 * ET);
    node.step({ type: "applied", index: 2 }, 10 * ET);
    node.step({ type: "wake" }, 20 * ET);
    expect(node.status().role).toBe("preCandidate");
    expect(node.ready()!.messages.map(({ type, to }) => [type, to])).toEqual([["PreVote", 2n]]);
  });

  it("leads at once as the only voter, but commits and reads nothing before its disk says so", () => {
    const node = new OneNode({
      config: simpleConfig([1n]),
      log: entriesOf([2]),
      hardState: { term: 2, vote: 1n, commit: 1 },
    });
    node.holdDisk = true;
    node.advance(0);
    expect([node.status.role, node.status.term]).toEqual(["candidate", 3]);
    node.persistNext();
    expect([node.status.role, node.status.commitIndex]).toEqual(["leader", 1]);
    node.read(1n);
    node.read(2n, true);
    expect([node.readStates, node.status.hasLease]).toEqual([[], false]);
    node.persistAll();
    expect([node.status.commitIndex, node.status.hasLease]).toEqual([3, true]);
    expect(node.readStates).toEqual([
      { readId: 1n, index: 3 },
      { readId: 2n, index: 3 },
    ]);
  });
});
