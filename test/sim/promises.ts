import type { LogIndex, Message, NodeId, Term } from "../../src/core/raft/index.ts";
import type { DiskImage } from "../core/node/world/disk-image.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { InvariantsHost } from "./invariants.ts";
import type { Oracle } from "./oracle.ts";

/** What leaves a node, against the disk that it rests on; and whether that disk is one to start from. */
export class Promises {
  readonly #host: InvariantsHost;
  readonly #oracle: Oracle;

  constructor(host: InvariantsHost, oracle: Oracle) {
    this.#host = host;
    this.#oracle = oracle;
  }

  #check(holds: boolean, rule: string, node: NodeId, detail: () => string): void {
    if (!holds) this.#host.report(rule, `node ${node}: ${detail()}`);
  }

  sending(message: Message): void {
    const node = this.#host.cluster.nodes.get(message.from);
    if (node === undefined || node.life === null || !node.life.isAlive) return;
    const problem = this.#promiseProblem(message, node);
    if (problem !== null) this.#host.report("S8 durable before sent", `node ${node.id}: ${problem}`);
    if (message.type === "AppendEntries") this.#recordSent(message);
    else if (message.type === "PreVote" || message.type === "RequestVote") this.#checkCampaign(message, node);
  }

  #promiseProblem(message: Message, node: SimNode): string | null {
    const { durable } = node.disk;
    const { term, vote } = durable.hardState ?? { term: 0, vote: null };
    switch (message.type) {
      case "AppendEntriesResult":
        if (!message.success) return null;
        if (term < message.term) return `acknowledges in term ${message.term}, its disk is at ${term}`;
        return this.#acknowledgedProblem(message.term, message.matchIndex, durable);
      case "RequestVoteResult":
        if (!message.granted) return null;
        this.#oracle.recordGrant(message.term, message.to, message.from);
        if (term < message.term || (term === message.term && vote !== message.to))
          return `gives ${message.to} its vote in ${message.term}, its disk says ${vote} in ${term}`;
        return null;
      case "RequestVote":
        if (term < message.term || (term === message.term && vote !== message.from))
          return `asks for votes in ${message.term}, its disk says ${vote} in ${term}`;
        return null;
      case "HeartbeatResult":
        return term < message.term ? `answers in term ${message.term}, its disk is at ${term}` : null;
      default:
        return null;
    }
  }

  #acknowledgedProblem(leaderTerm: Term, index: LogIndex, durable: DiskImage): string | null {
    if (durable.lastIndex < index) return `acknowledges ${index}, its disk ends at ${durable.lastIndex}`;
    const meant = this.#oracle.sentTerm(leaderTerm, index);
    if (meant === undefined || holds(durable, index, meant)) return null;
    // It may have been replaced meanwhile by a later leader; then the promise is broken by nobody.
    if ((durable.hardState?.term ?? 0) > leaderTerm) return null;
    return `acknowledges ${index}/${meant}, its disk has ${durable.term(index)} there`;
  }

  #recordSent(message: Extract<Message, { type: "AppendEntries" }>): void {
    this.#oracle.recordSent(message.term, message.prevLogIndex, message.prevLogTerm);
    for (const { index, term } of message.entries) this.#oracle.recordSent(message.term, index, term);
    const leader = this.#oracle.leaders.get(message.term);
    this.#check(
      leader === message.from,
      "S1 one leader",
      message.from,
      () => `sends entries in term ${message.term}, which ${leader ?? "nobody"} leads`,
    );
  }

  #checkCampaign({ from, term }: Message, node: SimNode): void {
    const status = node.engine?.status();
    // A request to vote may leave when the election that it belongs to is long over: it waited for the disk.
    if (status === undefined || status.role === "follower") return;
    for (let at = status.appliedIndex + 1; at <= status.commitIndex; at++) {
      const committed = this.#oracle.committed.get(at);
      if (committed === undefined) continue;
      this.#check(
        this.#oracle.entry(at, committed.term)?.kind !== "confChange",
        "S10 no campaign with a change unapplied",
        from,
        () => `campaigns for ${term} with ${at} committed and not applied`,
      );
    }
  }

  /**
   * A disk has made something durable: could the node be started from it, and does it still say what it said of term
   * and vote?
   */
  durable(node: SimNode): void {
    const { hardState, snapshots } = node.disk.durable;
    const { firstIndex, lastIndex, lastTerm } = node.disk.durable.bounds();
    const snapshotIndex = snapshots[0]?.info.meta.index ?? 0;
    this.#check(
      snapshotIndex >= firstIndex - 1,
      "S15 snapshot before log",
      node.id,
      () => `its log begins at ${firstIndex}, its newest snapshot is at ${snapshotIndex}`,
    );
    if (hardState === null) return;
    this.#check(
      lastIndex < firstIndex || lastTerm <= hardState.term,
      "S8 term before entries",
      node.id,
      () => `its disk holds ${lastIndex}/${lastTerm} and knows of term ${hardState.term} only`,
    );
    const conflict = this.#oracle.recordDurable(node.id, hardState.term, hardState.vote);
    if (conflict !== null) this.#host.report("S7 vote kept", `node ${node.id}: ${conflict}`);
  }
}

/** Whether the disk has the entry, or a snapshot in place of it. */
export function holds(disk: DiskImage | null, index: LogIndex, term: Term | undefined): boolean {
  if (disk === null || disk.lastIndex < index) return false;
  const { firstIndex } = disk.bounds();
  return index < firstIndex - 1 || disk.term(index) === term;
}
