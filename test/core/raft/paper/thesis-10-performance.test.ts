import { describe, expect, it } from "vitest";
import { type Outcome, type Ready, simpleConfig } from "../../../../src/core/raft/index.ts";
import { Cluster } from "../harness/cluster.ts";
import { appendEntries, command, entriesOf, ET, OneNode } from "../one-node.ts";

function leading(options = {}): OneNode {
  const node = new OneNode({ options }).lead();
  for (const from of [2n, 3n]) node.ack(from);
  node.sent = [];
  return node;
}

describe("Thesis §10.2.1 Writing to the leader's disk in parallel", () => {
  it("the leader replicates its entries while it still writes them to its own disk", () => {
    const node = leading();
    node.holdDisk = true;
    node.propose("x");
    expect(node.take("AppendEntries").map(({ to, entries }) => [to, entries.length])).toEqual([
      [2n, 1],
      [3n, 1],
    ]);
    expect(node.status.persistedIndex).toBe(2);
  });

  it("the leader may commit, and apply, before its own write is done, when a majority of followers has it", () => {
    const node = leading();
    node.holdDisk = true;
    node.propose("x");
    node.ack(2n, 3);
    expect(node.status.commitIndex).toBe(2);
    node.ack(3n, 3);
    expect([node.status.commitIndex, node.status.persistedIndex, node.applied.at(-1)!.index]).toEqual([
      3, 2, 3,
    ]);
  });

  it("the leader counts itself only when its own write is done", () => {
    const node = leading();
    node.holdDisk = true;
    node.propose("x");
    node.ack(2n, 3);
    expect(node.status.commitIndex).toBe(2);
    node.persistAll();
    expect(node.status.commitIndex).toBe(3);
  });

  it("several of its writes may be under way; the oldest counts first", () => {
    const node = leading();
    node.holdDisk = true;
    for (const text of ["x", "y", "z"]) node.propose(text);
    node.ack(2n, 5);
    const commits = node.writing.map(() => {
      node.persistNext();
      return node.status.commitIndex;
    });
    expect(commits.filter((commit, i) => commit !== commits[i - 1])).toEqual([3, 4, 5]);
  });

  it("a leader that goes down with a write undone, after the entry was committed, gets the entry back", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    leader.auto.persist = false;
    cluster.propose(leader.id, "x");
    cluster.settle();
    expect(leader.machine.commands).toEqual(["x"]);
    leader.crash(0);
    expect(leader.disk.log.lastIndex).toBe(2);
    leader.auto.persist = true;
    leader.start();
    cluster.elect();
    cluster.advance(ET);
    for (const node of cluster.up) expect(node.machine.commands).toEqual(["x"]);
  });

  it("a follower acknowledges only what it has written (with however slow a disk)", () => {
    const node = new OneNode();
    node.holdDisk = true;
    node.receive(appendEntries(2n, 2, [1, 1], entriesOf([2, 2])));
    expect(node.take("AppendEntriesResult")).toEqual([]);
    // Its heartbeats do not wait for entries once the term is on disk.
    node.persistNext();
    node.receive(appendEntries(2n, 2, [3, 2], [command(4, 2)]));
    node.receive({ type: "Heartbeat", from: 2n, term: 2, leaderCommit: 1, round: 4, quiesce: false });
    expect(node.take("HeartbeatResult").map(({ round }) => round)).toEqual([4]);
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([3]);
  });
});

describe("Thesis §10.2.2 Batching and pipelining", () => {
  it("batching: what gathered since the last Ready goes into one message and one write", () => {
    const node = leading();
    for (const text of ["x", "y", "z"]) {
      node.raft.step({ type: "propose", commands: [new TextEncoder().encode(text)] }, node.nowMs);
    }
    node.pump();
    expect(node.readys.at(-1)!.entries.length).toBe(3);
    expect(node.take("AppendEntries").map(({ to, entries }) => [to, entries.length])).toEqual([
      [2n, 3],
      [3n, 3],
    ]);
  });

  it("batches are bounded in bytes, but one entry always fits", () => {
    const node = leading({ maxAppendBytes: 100 });
    node.propose("a".repeat(40), "b".repeat(40), "c".repeat(500), "d");
    const toTwo = node.take("AppendEntries").filter(({ to }) => to === 2n);
    expect(toTwo.map(({ entries }) => entries.map(({ index }) => index))).toEqual([[3], [4], [5], [6]]);
    const roomy = leading({ maxAppendBytes: 150 });
    roomy.propose("a".repeat(40), "b".repeat(40), "c".repeat(40));
    const batches = roomy.take("AppendEntries").filter(({ to }) => to === 2n);
    expect(batches.map(({ entries }) => entries.length)).toEqual([2, 1]);
  });

  it("pipelining: the leader does not wait for an acknowledgement to send the next entry", () => {
    const node = leading();
    for (const text of ["x", "y", "z"]) node.propose(text);
    const toTwo = node.take("AppendEntries").filter(({ to }) => to === 2n);
    expect(toTwo.map(({ prevLogIndex, entries }) => [prevLogIndex, entries.length])).toEqual([
      [2, 1],
      [3, 1],
      [4, 1],
    ]);
    expect(node.status.progress.get(2n)).toMatchObject({ match: 2, next: 6, inflightMessages: 3 });
  });

  it("pipelining is bounded in messages: the window opens as acknowledgements come", () => {
    const node = leading({ maxInflightMessages: 2 });
    for (const text of ["a", "b", "c", "d", "e"]) node.propose(text);
    const sentTo2 = (): number[] =>
      node
        .take("AppendEntries")
        .filter(({ to, entries }) => to === 2n && entries.length > 0)
        .map(({ prevLogIndex }) => prevLogIndex);
    expect(sentTo2()).toEqual([2, 3]);
    node.ack(2n, 3);
    expect(sentTo2()).toEqual([4]);
    expect(node.status.progress.get(2n)!.inflightMessages).toBe(2);
  });

  it("pipelining is bounded in bytes as well: a full window sends nothing, one with room a last message", () => {
    const node = leading({ maxInflightBytes: 200 });
    for (const text of ["a", "b", "c", "d", "e"]) node.propose(text.repeat(100));
    expect(node.status.progress.get(2n)).toMatchObject({ inflightMessages: 2, inflightBytes: 264 });
    node.ack(2n, 4);
    expect(node.status.progress.get(2n)).toMatchObject({
      inflightMessages: 1,
      inflightBytes: 396,
      next: 8,
    });
  });

  it("until it knows where the logs agree, a leader sends one message at a time", () => {
    const node = new OneNode().lead();
    for (const text of ["x", "y", "z"]) node.propose(text);
    const toTwo = node.take("AppendEntries").filter(({ to }) => to === 2n);
    expect(toTwo.length).toBe(1);
    expect(node.status.progress.get(2n)!.state).toBe("probe");
    node.ack(2n, 2);
    expect(node.take("AppendEntries").map(({ to, entries }) => [to, entries.length])).toEqual([[2n, 3]]);
  });

  it("messages that arrive out of order are refused by the consistency check, and repaired by retrying", () => {
    const node = new OneNode();
    node.receive(appendEntries(2n, 2, [2, 2], [command(3, 2)]));
    expect(node.takeOnly("AppendEntriesResult")).toMatchObject({
      success: false,
      matchIndex: 2,
      hintIndex: 1,
    });
    node.receive(appendEntries(2n, 2, [1, 1], [command(2, 2)]));
    node.receive(appendEntries(2n, 2, [2, 2], [command(3, 2)]));
    expect(node.take("AppendEntriesResult").map(({ matchIndex }) => matchIndex)).toEqual([2, 3]);
  });

  it("when one of the pipelined messages is lost, the refusal of the next sets nextIndex back", () => {
    const node = leading();
    for (const text of ["x", "y", "z"]) node.propose(text);
    node.sent = [];
    node.refuse(2n, 3, 2, 2);
    expect(
      node.take("AppendEntries").map(({ prevLogIndex, entries }) => [prevLogIndex, entries.length]),
    ).toEqual([[2, 3]]);
    // The refusal of the third, behind it, is stale by then.
    node.refuse(2n, 4, 2, 2);
    expect(node.take("AppendEntries")).toEqual([]);
  });

  it("any order of delivery, with losses, ends with equal logs", () => {
    const cluster = new Cluster({ voters: 3, seed: 5, raft: { maxAppendBytes: 80, maxInflightMessages: 8 } });
    const leader = cluster.elect();
    let draw = 7;
    for (let i = 0; i < 60; i++) {
      cluster.propose(leader.id, `command ${i}`);
      for (let j = 0; j < 8 && cluster.network.packets.length > 0; j++) {
        draw = (draw * 1103515245 + 12345) % 2147483648;
        const packet = cluster.network.packets[draw % cluster.network.packets.length]!;
        if (draw % 7 === 0) cluster.drop(packet);
        else cluster.deliver(packet);
      }
    }
    cluster.advance(ET);
    for (const node of cluster.up) expect(node.machine.commands).toEqual(leader.machine.commands);
    expect(leader.machine.commands.length).toBe(60);
  });

  it("back-pressure: uncommitted bytes are bounded, freed by commitment, and one proposal always fits", () => {
    const node = leading({ maxUncommittedBytes: 100 });
    expect(node.propose("a".repeat(500)).ok).toBe(true);
    expect(node.propose("b")).toEqual({
      ok: false,
      rejection: { reason: "backPressure", uncommittedBytes: 532 },
    });
    node.ack(2n);
    expect(node.status.uncommittedBytes).toBe(0);
    expect(node.propose("b").ok).toBe(true);
  });

  it("back-pressure also where the quorum is quick and this node's own state machine is not", () => {
    const node = new OneNode({ config: simpleConfig([1n]), options: { maxUnappliedBytes: 1000 } }).lead();
    const propose = (): Outcome =>
      node.raft.step({ type: "propose", commands: [new Uint8Array(600)] }, node.nowMs);
    // Committed and handed out, but nobody says that it was applied.
    const carryOut = (): Ready | null => {
      const ready = node.raft.ready();
      if (ready !== null) node.raft.step({ type: "persisted", number: ready.number }, node.nowMs);
      return ready;
    };
    expect(propose().ok).toBe(true);
    let index = 0;
    for (let ready = carryOut(); ready !== null; ready = carryOut())
      index = ready.committed.at(-1)?.index ?? index;
    expect(propose()).toMatchObject({ ok: false, rejection: { reason: "backPressure" } });
    node.raft.step({ type: "applied", index }, node.nowMs);
    expect(propose().ok).toBe(true);
  });

  it("back-pressure is counted anew by each leader, from what it really has uncommitted", () => {
    const node = leading({ maxUncommittedBytes: 100 });
    node.propose("a".repeat(60));
    node.receive(
      appendEntries(2n, 3, [2, 2], [command(3, 3, "b".repeat(20)), command(4, 3, "c".repeat(20))], 3),
    );
    expect(node.status.uncommittedBytes).toBe(0);
    node.lead();
    // Entry 4 and its own first entry.
    expect(node.status.uncommittedBytes).toBe(32 + 20 + 32);
    for (const from of [2n, 3n]) node.ack(from);
    expect(node.status.uncommittedBytes).toBe(0);
  });
});
