// A node that knows that it owes no leader its silence: it slept when it stopped, or is new.

import { describe, expect, it } from "vitest";
import { ET, OneNode } from "./one-node.ts";

const TERM = 1;
const preVote = { type: "PreVote", from: 2n, term: TERM + 1, lastLogIndex: 1, lastLogTerm: 1 } as const;
const requestVote = {
  ...preVote,
  type: "RequestVote",
  leadershipTransfer: false,
} as const;

describe("a rested node", () => {
  it("sleeps on until something happens", () => {
    const node = new OneNode({ rested: true });
    expect(node.raft.nextDeadlineMs()).toBeNull();
    node.advance(100 * ET);
    expect(node.sent).toEqual([]);
    expect(node.status.asleep).toBe(true);
  });

  it("campaigns at once when it is asked for something, since there is no leader that it would wait for", () => {
    const node = new OneNode({ rested: true });
    node.step({ type: "wake" });
    node.advance(0);
    expect(node.take("PreVote").map(({ to }) => to)).toEqual([2n, 3n]);
  });

  it("does so as well when a member takes it for the leader that it was", () => {
    const node = new OneNode({ rested: true });
    node.receive({ type: "ReadIndexRequest", from: 2n, term: TERM, readId: 1n, lease: false });
    node.advance(0);
    expect(node.take("PreVote")).toHaveLength(2);
  });

  it("votes at once, and lets the other finish", () => {
    const node = new OneNode({ rested: true });
    expect(node.receive(preVote)).toMatchObject([{ type: "PreVoteResult", granted: true }]);
    expect(node.receive(requestVote)).toMatchObject([{ type: "RequestVoteResult", granted: true }]);
    node.advance(ET - 1);
    expect(node.sent.filter(({ type }) => type === "PreVote")).toEqual([]);
    node.advance(1);
    expect(node.take("PreVote")).toHaveLength(2);
  });

  it("keeps a promise that it makes when it is awake", () => {
    const node = new OneNode({ rested: true });
    node.receive({ type: "Heartbeat", from: 3n, term: TERM, leaderCommit: 1, round: 1, quiesce: false });
    expect(node.takeOnly("HeartbeatResult").round).toBe(1);
    node.advance(ET - 1);
    expect(node.receive(requestVote)).toEqual([]);
  });

  it("is nothing that a node may believe that was awake when it stopped", () => {
    const node = new OneNode();
    expect(node.receive(preVote)).toEqual([]);
    expect(node.receive(requestVote)).toEqual([]);
    node.advance(ET - 1);
    expect(node.sent).toEqual([]);
  });
});

describe("a follower", () => {
  const heartbeat = { type: "Heartbeat", from: 3n, term: TERM, leaderCommit: 1 } as const;

  it("goes to sleep when its leader says so", () => {
    const node = new OneNode({ rested: true });
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    expect(node.status.asleep).toBe(true);
  });

  it("sleeps on when that comes twice", () => {
    const node = new OneNode({ rested: true });
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    expect(node.status.asleep).toBe(true);
  });

  it("does not before it knows that nobody relies on what it promised before it started", () => {
    const node = new OneNode();
    node.advance(ET - 1);
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    expect(node.status.asleep).toBe(false);
    node.advance(1);
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    expect(node.status.asleep).toBe(true);
  });

  it("stays awake when that was said before something that it has promised since", () => {
    const node = new OneNode({ rested: true });
    node.receive({ ...heartbeat, round: 5, quiesce: false });
    node.receive({ ...heartbeat, round: 4, quiesce: true });
    expect(node.status.asleep).toBe(false);
    node.receive({ ...heartbeat, round: 6, quiesce: true });
    expect(node.status.asleep).toBe(true);
  });
});

describe("a leader that asks for votes", () => {
  const followerOf = (leader: bigint): OneNode => {
    const node = new OneNode();
    node.receive({ type: "Heartbeat", from: leader, term: TERM, leaderCommit: 1, round: 1, quiesce: false });
    node.take("HeartbeatResult");
    return node;
  };

  it("leads no more, so that nobody owes it silence towards itself", () => {
    const node = followerOf(2n);
    expect(node.receive(preVote)).toMatchObject([{ type: "PreVoteResult", granted: true }]);
    expect(node.receive(requestVote)).toMatchObject([{ type: "RequestVoteResult", granted: true }]);
  });

  it("is the only one to be heard", () => {
    const node = followerOf(3n);
    expect(node.receive(preVote)).toEqual([]);
    expect(node.receive(requestVote)).toEqual([]);
  });
});
