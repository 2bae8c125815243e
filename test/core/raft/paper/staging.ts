import type { Message, NodeId, Term } from "../../../../src/core/raft/index.ts";
import type { Cluster } from "../harness/cluster.ts";
import type { SimNode } from "../harness/sim-node.ts";
import { entriesOf } from "../one-node.ts";

/** Gives nodes logs to begin with, as if earlier leaders had left them so. All are in `term`, nothing is committed. */
export function stage(cluster: Cluster, term: Term, logs: ReadonlyMap<NodeId, readonly Term[]>): void {
  for (const [id, terms] of logs) {
    const node = cluster.node(id);
    node.crash();
    node.disk.log.append(entriesOf(terms));
    node.disk.hardState = { term, vote: null, commit: 1 };
    node.start();
  }
}

/** The terms of a node's durable log after its first entry. */
export function termsOf(node: SimNode): Term[] {
  return node.disk.log.slice(2).map(({ term }) => term);
}

/** Delivers what passes, and what follows from it and passes; the rest stays under way. */
export function deliverWhere(cluster: Cluster, passes: (message: Message) => boolean): void {
  for (let count = 0; count < 10_000; count++) {
    const packet = cluster.network.packets.find(({ message }) => passes(message));
    if (packet === undefined) return;
    cluster.deliver(packet);
  }
  throw new Error("there is always one more message");
}

/** Loses everything that is under way. */
export function dropAll(cluster: Cluster): void {
  while (cluster.network.packets.length > 0) cluster.drop(cluster.network.packets[0]!);
}

/** Makes one node campaign and win with the votes of these, and nothing else happen. */
export function electWith(cluster: Cluster, candidate: NodeId | number, voters: readonly number[]): SimNode {
  const node = cluster.node(candidate);
  // Past everybody's promise to an earlier leader, without a message delivered.
  cluster.nowMs += 1000;
  dropAll(cluster);
  const among = new Set([node.id, ...voters.map(BigInt)]);
  const votes = ["PreVote", "PreVoteResult", "RequestVote", "RequestVoteResult"];
  // The first attempt may only teach it the term of the others.
  for (let attempt = 1; attempt <= 3 && node.status.role !== "leader"; attempt++) {
    node.step({ type: "campaign" });
    deliverWhere(cluster, ({ type, from, to }) => votes.includes(type) && among.has(from) && among.has(to));
  }
  if (node.status.role !== "leader") throw new Error(`node ${candidate} is ${node.status.role}`);
  return node;
}
