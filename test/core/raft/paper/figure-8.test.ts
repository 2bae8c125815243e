import { describe, expect, it } from "vitest";
import type { Message } from "../../../../src/core/raft/index.ts";
import { Cluster } from "../harness/cluster.ts";
import { deliverWhere, dropAll, electWith, termsOf } from "./staging.ts";

/** Between these two, append entries up to this index and the answers to them. */
function appendsBetween(a: number, b: number, upTo: number): (message: Message) => boolean {
  const pair = [BigInt(a), BigInt(b)];
  return (message) => {
    if (!pair.includes(message.from) || !pair.includes(message.to)) return false;
    if (message.type === "AppendEntries")
      return message.prevLogIndex + message.entries.length <= upTo && message.entries.length > 0;
    return message.type === "AppendEntriesResult" && message.matchIndex <= upTo;
  };
}

/**
 * The figure's state (c): S1 leads term 4, and a majority (S1, S2, S3) holds its entry of term 2, at index 2 here.
 * S5 has another, of term 3, at the same index.
 */
function stateC(): Cluster {
  const cluster = new Cluster({ voters: 5, jitter: () => 0.5, raft: { maxAppendBytes: 1 } });
  // (a) S1 is leader and partially replicates the log entry at index 2.
  electWith(cluster, 1, [2, 3]);
  deliverWhere(cluster, appendsBetween(1, 2, 2));
  expect(cluster.node(1).status.commitIndex).toBe(1);
  // (b) S1 crashes; S5 is elected leader for term 3 with votes from S3, S4 and itself, and accepts a different entry.
  cluster.node(1).crash();
  electWith(cluster, 5, [3, 4]);
  expect(cluster.nodes.get(5n)!.status.term).toBe(3);
  dropAll(cluster);
  // (c) S5 crashes; S1 restarts, is elected leader, and continues replication.
  cluster.node(5).crash();
  cluster.node(1).start();
  // A node that has just started keeps quiet for an election timeout.
  cluster.nowMs += 1000;
  electWith(cluster, 1, [2, 3]);
  return cluster;
}

describe("Figure 8 (§5.4.2): a leader cannot determine commitment using log entries from older terms", () => {
  it("(c) an entry of term 2 on a majority is not committed by the leader of term 4", () => {
    const cluster = stateC();
    replicateTerm2(cluster);
    expect([1, 2, 3].map((id) => termsOf(cluster.node(id))[0])).toEqual([2, 2, 2]);
    expect(cluster.node(1).status.term).toBe(4);
    expect(cluster.node(1).status.commitIndex).toBe(1);
  });

  it("(d) if S1 crashes then, S5 can be elected, with votes from S2, S3 and S4, and overwrites the entry", () => {
    const cluster = stateC();
    replicateTerm2(cluster);
    cluster.node(1).crash();
    cluster.node(5).start();
    cluster.nowMs += 1000;
    const { term } = electWith(cluster, 5, [2, 3, 4]).status;
    expect(term).toBeGreaterThan(4);
    cluster.node(1).start();
    cluster.advance(500);
    for (const node of cluster.up) expect(termsOf(node)).toEqual([3, term]);
    for (const node of cluster.up) expect(node.status.commitIndex).toBe(3);
  });

  it("(e) if S1 replicates an entry from its current term on a majority first, both are committed and S5 cannot win", () => {
    const cluster = stateC();
    replicateTerm2(cluster);
    for (const peer of [2, 3]) deliverWhere(cluster, appendsBetween(1, peer, 3));
    expect(cluster.node(1).status.commitIndex).toBe(3);
    cluster.node(1).crash();
    cluster.node(5).start();
    cluster.nowMs += 1000;
    expect(() => electWith(cluster, 5, [2, 3, 4])).toThrow(/node 5 is/);
    cluster.node(1).start();
    const leader = cluster.elect();
    cluster.advance(500);
    expect(leader.id === 5n || leader.id === 4n).toBe(false);
    for (const node of cluster.up) expect(termsOf(node).slice(0, 2)).toEqual([2, 4]);
  });
});

/** S1 brings its entry of term 2, and nothing after it, to S2 and S3. */
function replicateTerm2(cluster: Cluster): void {
  for (const peer of [2, 3]) {
    // The first probe comes before the entry and is refused where it is missing.
    deliverWhere(
      cluster,
      (message) =>
        [message.from, message.to].every((id) => id === 1n || id === BigInt(peer)) &&
        (appendsBetween(1, peer, 2)(message) ||
          (message.type === "AppendEntries" && message.prevLogIndex >= 2 && peer === 3) ||
          (message.type === "AppendEntriesResult" && !message.success)),
    );
  }
}
