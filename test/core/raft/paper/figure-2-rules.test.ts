import { describe, expect, it } from "vitest";
import { simpleConfig } from "../../../../src/core/raft/index.ts";
import { appendEntries, command, entriesOf, ET, OneNode } from "../one-node.ts";

const vote = { type: "RequestVote", lastLogIndex: 9, lastLogTerm: 9, leadershipTransfer: true } as const;

describe("Figure 2, Rules for servers: all servers", () => {
  it("if commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine (§5.3)", () => {
    const node = new OneNode();
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2, 2]), 1));
    expect(node.applied).toEqual([]);
    node.receive(appendEntries(2n, 2, [4, 2], [], 3));
    expect(node.applied.map(({ index }) => index)).toEqual([2, 3]);
    expect(node.status.appliedIndex).toBe(3);
  });

  it.each([
    ["leader", (): OneNode => new OneNode().lead()],
    ["candidate", (): OneNode => new OneNode().campaign()],
    ["follower", (): OneNode => new OneNode()],
  ])(
    "if RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower (§5.1): a %s",
    (_, make) => {
      const messages = [
        appendEntries(2n, 9, [1, 1]),
        { type: "Heartbeat", from: 2n, term: 9, leaderCommit: 1, round: 1, quiesce: false },
        {
          type: "AppendEntriesResult",
          from: 2n,
          term: 9,
          success: false,
          matchIndex: 0,
          hintIndex: 0,
          hintTerm: 0,
        },
        { type: "HeartbeatResult", from: 2n, term: 9, round: 1 },
        { ...vote, from: 2n, term: 9 },
        { type: "RequestVoteResult", from: 2n, term: 9, granted: false },
        { type: "PreVoteResult", from: 2n, term: 9, granted: false },
        {
          type: "InstallSnapshot",
          from: 2n,
          term: 9,
          snapshot: { index: 1, term: 1, config: simpleConfig([1n]) },
        },
      ] as const;
      for (const message of messages) {
        const node = make();
        node.receive(message);
        expect([message.type, node.status.role, node.status.term]).toEqual([message.type, "follower", 9]);
        expect(node.hardState.term).toBe(9);
      }
    },
  );

  it("but asking whether one would be elected changes nobody's term (thesis §9.6)", () => {
    for (const node of [new OneNode().lead(), new OneNode().campaign(), new OneNode({ jitter: 0.9 })]) {
      const { role, term } = node.status;
      node.receive({ type: "PreVote", from: 2n, term: 9, lastLogIndex: 9, lastLogTerm: 9 });
      expect([node.status.role, node.status.term]).toEqual([role, term]);
    }
  });
});

describe("Figure 2, Rules for servers: followers (§5.2)", () => {
  it("respond to RPCs from candidates and leaders", () => {
    const node = new OneNode({ jitter: 0.9 });
    node.receive(appendEntries(2n, 2, [1, 1]));
    node.receive({ type: "Heartbeat", from: 2n, term: 2, leaderCommit: 1, round: 1, quiesce: false });
    node.advance(ET);
    node.receive({ ...vote, from: 3n, term: 3 });
    node.advance(ET);
    node.receive({ type: "PreVote", from: 2n, term: 4, lastLogIndex: 1, lastLogTerm: 1 });
    expect(node.sent.map(({ type, to }) => [type, to])).toEqual([
      ["AppendEntriesResult", 2n],
      ["HeartbeatResult", 2n],
      ["RequestVoteResult", 3n],
      ["PreVoteResult", 2n],
    ]);
  });

  it.each([
    [
      "AppendEntries from current leader",
      (node: OneNode): unknown => node.receive(appendEntries(2n, 2, [1, 1])),
    ],
    ["granting vote to candidate", (node: OneNode): unknown => node.receive({ ...vote, from: 2n, term: 2 })],
  ])("if election timeout elapses without %s: convert to candidate", (_, event) => {
    const node = new OneNode({ jitter: 0.5 });
    node.advance(1400);
    event(node);
    node.advance(1499);
    expect(node.status.role).toBe("follower");
    node.advance(1);
    // Its first question is whether it could win (thesis §9.6).
    expect([node.status.role, node.status.term]).toEqual(["preCandidate", 2]);
    node.receive({ type: "PreVoteResult", from: 3n, term: 3, granted: true });
    expect([node.status.role, node.status.term]).toEqual(["candidate", 3]);
  });

  it("a refused vote does not reset the election timeout", () => {
    const node = new OneNode({ log: entriesOf([1, 1]), jitter: 0.5 });
    node.advance(1400);
    node.receive({ ...vote, from: 2n, term: 2, lastLogIndex: 1, lastLogTerm: 1 });
    expect(node.take("RequestVoteResult")[0]!.granted).toBe(false);
    node.advance(100);
    expect(node.status.role).toBe("preCandidate");
  });

  it("nor does a message of an earlier term", () => {
    const node = new OneNode({ hardState: { term: 5, vote: null, commit: 1 }, jitter: 0.5 });
    node.advance(1400);
    node.receive(appendEntries(2n, 4, [1, 1]));
    node.advance(100);
    expect(node.status.role).toBe("preCandidate");
  });
});

describe("Figure 2, Rules for servers: candidates (§5.2)", () => {
  it("on conversion: increment currentTerm, vote for self, reset election timer, send RequestVote to all others", () => {
    const node = new OneNode({ config: simpleConfig([1n, 2n, 3n, 4n], [5n]), jitter: 0.25 });
    node.campaign();
    expect([node.status.term, node.status.vote, node.hardState]).toEqual([
      2,
      1n,
      { term: 2, vote: 1n, commit: 1 },
    ]);
    expect(node.raft.nextDeadlineMs()).toBe(node.nowMs + 1250);
    expect(node.take("RequestVote").map(({ to }) => to)).toEqual([2n, 3n, 4n]);
  });

  it("if votes received from majority of servers: become leader, and not from fewer, nor from one twice", () => {
    const node = new OneNode({ config: simpleConfig([1n, 2n, 3n, 4n, 5n]) }).campaign();
    const granted = { type: "RequestVoteResult", term: 2, granted: true } as const;
    node.receive({ ...granted, from: 2n });
    node.receive({ ...granted, from: 2n });
    node.receive({ ...granted, from: 9n });
    node.receive({ ...granted, from: 3n, granted: false });
    expect(node.status.role).toBe("candidate");
    node.receive({ ...granted, from: 4n });
    expect([node.status.role, node.status.leaderId]).toEqual(["leader", 1n]);
  });

  it("a voter's first answer in a term counts: what comes after it is a repetition", () => {
    const node = new OneNode({ config: simpleConfig([1n, 2n, 3n, 4n, 5n]) }).campaign();
    const answer = { type: "RequestVoteResult", term: 2 } as const;
    node.receive({ ...answer, from: 2n, granted: true });
    node.receive({ ...answer, from: 2n, granted: false });
    node.receive({ ...answer, from: 3n, granted: true });
    expect(node.status.role).toBe("leader");
  });

  it("votes of an earlier term count for nothing", () => {
    const node = new OneNode().campaign();
    node.advance(ET);
    node.campaign();
    expect(node.status.term).toBe(3);
    node.receive({ type: "RequestVoteResult", from: 2n, term: 2, granted: true });
    expect(node.status.role).toBe("candidate");
  });

  it("a majority of refusals ends the candidacy, in the same term", () => {
    const node = new OneNode().campaign();
    node.receive({ type: "RequestVoteResult", from: 2n, term: 2, granted: false });
    expect(node.status.role).toBe("candidate");
    node.receive({ type: "RequestVoteResult", from: 3n, term: 2, granted: false });
    expect([node.status.role, node.status.term, node.status.vote]).toEqual(["follower", 2, 1n]);
  });

  it.each(["preCandidate", "candidate"] as const)(
    "if AppendEntries RPC received from new leader: convert to follower: a %s",
    (role) => {
      const node = new OneNode();
      if (role === "candidate") node.campaign();
      else node.advance(ET);
      expect(node.status.role).toBe(role);
      node.receive(appendEntries(3n, 2, [1, 1], [command(2, 2)]));
      expect([node.status.role, node.status.leaderId, node.status.lastIndex]).toEqual(["follower", 3n, 2]);
      expect(node.take("AppendEntriesResult")).toMatchObject([{ to: 3n, success: true, matchIndex: 2 }]);
    },
  );

  it("if election timeout elapses: start new election", () => {
    const node = new OneNode().campaign();
    node.sent = [];
    node.advance(ET);
    expect(node.take("PreVote").map(({ to, term }) => [to, term])).toEqual([
      [2n, 3],
      [3n, 3],
    ]);
    node.campaign();
    expect([node.status.term, node.take("RequestVote").length]).toEqual([3, 2]);
  });

  it("election timeouts are chosen from a fixed interval: one to two of them, by the random source (§5.2)", () => {
    const deadlines = [0, 0.5, 0.999].map((jitter) => new OneNode({ jitter }).raft.nextDeadlineMs());
    expect(deadlines).toEqual([ET, ET * 1.5, ET * 1.999]);
  });
});

describe("Figure 2, Rules for servers: leaders", () => {
  it("upon election: send initial AppendEntries and heartbeats to each server; repeat during idle periods (§5.2)", () => {
    const node = new OneNode().lead();
    expect(node.take("AppendEntries").map(({ to }) => to)).toEqual([2n, 3n]);
    node.advance(0);
    expect(node.take("Heartbeat").map(({ to }) => to)).toEqual([2n, 3n]);
    for (let i = 1; i <= 30; i++) {
      node.advance(100);
      const beats = node.take("Heartbeat");
      expect(beats.map(({ to }) => to)).toEqual([2n, 3n]);
      for (const { to, round } of beats) node.heartbeatAck(to, round);
    }
    expect(node.status.role).toBe("leader");
  });

  it("if command received from client: append entry to local log, respond after entry applied (§5.3)", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    expect(node.propose("x")).toEqual({ ok: true, index: 3 });
    expect([node.status.lastIndex, node.status.commitIndex, node.status.appliedIndex]).toEqual([3, 2, 2]);
    node.ack(3n);
    expect([node.status.commitIndex, node.status.appliedIndex]).toEqual([3, 3]);
    expect(node.applied.at(-1)).toMatchObject({ kind: "command", index: 3, term: 2 });
  });

  it("only a leader takes commands", () => {
    expect(new OneNode().propose("x")).toEqual({
      ok: false,
      rejection: { reason: "notLeader", leaderId: null },
    });
    expect(new OneNode().campaign().propose("x").ok).toBe(false);
  });

  it("if last log index ≥ nextIndex for a follower: send AppendEntries with log entries starting at nextIndex (§5.3)", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    node.take("AppendEntries");
    node.refuse(2n, 4, 2, 1);
    const [sent] = node.take("AppendEntries");
    expect([sent!.to, sent!.prevLogIndex, sent!.entries.map(({ index }) => index)]).toEqual([
      2n,
      2,
      [3, 4, 5],
    ]);
  });

  it("• if successful: update nextIndex and matchIndex for follower (§5.3)", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    node.ack(2n, 5);
    expect(node.status.progress.get(2n)).toMatchObject({ match: 5, next: 6, state: "replicate" });
  });

  it("• but an acknowledgement of more than the leader has is nobody's to give", () => {
    const node = new OneNode().lead();
    node.ack(2n, 3);
    expect([node.status.progress.get(2n)!.match, node.status.commitIndex]).toEqual([0, 1]);
    node.ack(2n, 2);
    expect([node.status.progress.get(2n)!.match, node.status.commitIndex]).toEqual([2, 2]);
  });

  it("• if it fails because of log inconsistency: decrement nextIndex and retry (§5.3)", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    const prevs = [4, 3, 2].map((refused) => {
      node.take("AppendEntries");
      node.refuse(2n, refused, refused - 1, 1);
      return node.take("AppendEntries").map(({ prevLogIndex }) => prevLogIndex);
    });
    expect(prevs).toEqual([[3], [2], [1]]);
  });

  it("• and skips whole terms that the follower cannot have (§5.3, conflict back-off by term)", () => {
    const node = new OneNode({
      log: entriesOf([1, 1, 4, 4, 4, 4]),
      hardState: { term: 4, vote: null, commit: 1 },
    });
    node.lead();
    node.take("AppendEntries");
    // The follower's log ends with terms 2 and 2: nothing of term 4 can be there.
    node.refuse(2n, 7, 5, 2);
    expect(node.take("AppendEntries").map(({ prevLogIndex }) => prevLogIndex)).toEqual([3]);
  });

  it("• if AppendEntries is lost, the next heartbeat's answer shows it, and it is sent again (§5.3: retries indefinitely)", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    node.propose("x");
    node.take("AppendEntries");
    node.advance(100);
    const round = node.take("Heartbeat").findLast(({ to }) => to === 2n)!.round;
    const probe = node.heartbeatAck(2n, round);
    expect(probe).toMatchObject([{ type: "AppendEntries", to: 2n, prevLogIndex: 3, entries: [] }]);
    node.refuse(2n, 3, 2, 2);
    const [again] = node.take("AppendEntries").slice(-1);
    expect([again!.prevLogIndex, again!.entries.map(({ index }) => index)]).toEqual([2, [3]]);
  });

  it("if there exists an N > commitIndex, a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm: set commitIndex = N (§5.3, §5.4)", () => {
    const node = new OneNode({
      config: simpleConfig([1n, 2n, 3n, 4n, 5n]),
      log: entriesOf([1, 1, 1]),
    }).lead();
    node.ack(2n, 4);
    node.ack(3n, 4);
    // A majority holds everything up to 4, but that is of term 1.
    expect(node.status.commitIndex).toBe(1);
    node.ack(2n, 5);
    expect(node.status.commitIndex).toBe(1);
    node.ack(3n, 5);
    expect(node.status.commitIndex).toBe(5);
  });

  it("the leader never overwrites or deletes entries in its log; it only appends (§5.3, Leader Append-Only)", () => {
    const node = new OneNode({ log: entriesOf([1, 1, 1]) }).lead();
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2)]));
    node.receive(appendEntries(2n, 1, [1, 1], [command(2, 1)]));
    expect([node.status.role, node.status.lastIndex, node.status.lastTerm]).toEqual(["leader", 5, 2]);
  });

  it("the new commit index reaches idle followers (§5.3), again if it was lost", () => {
    const node = new OneNode().lead();
    node.ack(2n);
    node.ack(3n);
    expect(node.take("AppendEntries").findLast(({ to }) => to === 2n)!.leaderCommit).toBe(2);
    node.advance(100);
    expect(node.take("Heartbeat").findLast(({ to }) => to === 2n)!.leaderCommit).toBe(2);
  });
});
