import type { NodeId, Ready, Term } from "../raft/index.ts";
import type { Meter } from "./observer.ts";

/** Follows, Ready by Ready, who leads, and in which terms this node stands for election. */
export class Lead {
  readonly #nodeId: NodeId;
  readonly #meter: Meter;
  readonly #changed: (leaderId: NodeId | null) => void;
  #leaderId: NodeId | null = null;
  /** No later election of this node's is known. */
  #electionTerm: Term;

  /**
   * @param term at which the node starts: it may have stood in it, before.
   * @param changed told when another leads, or nobody.
   */
  constructor(nodeId: NodeId, term: Term, meter: Meter, changed: (leaderId: NodeId | null) => void) {
    this.#nodeId = nodeId;
    this.#electionTerm = term;
    this.#meter = meter;
    this.#changed = changed;
  }

  get leaderId(): NodeId | null {
    return this.#leaderId;
  }

  follow({ hardState, softState }: Ready): void {
    // Whoever stands votes for itself before it asks anybody; what comes before that, PreVote, is no election.
    if (hardState?.vote === this.#nodeId && hardState.term > this.#electionTerm) {
      this.#electionTerm = hardState.term;
      this.#meter.record("elections", 1);
    }
    if (softState === null || softState.leaderId === this.#leaderId) return;
    this.#leaderId = softState.leaderId;
    // As etcd counts them: to have none is not another.
    if (softState.leaderId !== null) this.#meter.record("leaderChanges", 1);
    this.#changed(softState.leaderId);
  }
}
