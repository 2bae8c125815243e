import type { Message, NodeId, Term } from "../../src/core/raft/index.ts";

interface Answered {
  readonly term: Term;
  readonly round: number;
}

/** What followers have promised by answering heartbeats, and which of it leaders have given up by going to sleep. */
export class Silence {
  readonly #answered: Map<NodeId, Answered> = new Map();
  /** By term, the round by which its leader went to sleep last. */
  readonly #goodNights: Map<Term, number> = new Map();

  sending(message: Message): void {
    if (message.type === "Heartbeat" && message.quiesce) {
      this.#goodNights.set(message.term, message.round);
    } else if (message.type === "HeartbeatResult") {
      const { from, term, round } = message;
      const before = this.#answered.get(from);
      const isNewer =
        before === undefined || term > before.term || (term === before.term && round > before.round);
      if (isNewer) this.#answered.set(from, { term, round });
    }
  }

  /** Whether the leader of this term can rely on anybody since it went to sleep last. */
  isOwedByAny(nodes: readonly NodeId[], term: Term): boolean {
    return !this.#goodNights.has(term) || nodes.some((node) => this.isOwed(node, term));
  }

  /** Whether the leader of this term may rely on what the node said, for all that the node could know. */
  isOwed(node: NodeId, term: Term): boolean {
    const answered = this.#answered.get(node);
    return answered?.term === term && answered.round > (this.#goodNights.get(term) ?? 0);
  }
}
