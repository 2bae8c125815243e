import type { Term } from "../raft/index.ts";
import type { ProposalId } from "./frames.ts";

/** How far behind the newest one a forwarded proposal may arrive and still be taken. */
const WINDOW = 65536;
/** Proposers remembered within one term: every member's every start, and room to spare. */
const MAX_PROPOSERS = 1024;

/**
 * Makes sure that a forwarded proposal is taken at most once, although frames may be repeated and reordered. The
 * memory lasts for one term of leadership, and a forward names the term it is for, so that is enough.
 */
export class ForwardWindow {
  /** What was taken before this start, up to this term, is forgotten. */
  readonly #startTerm: Term;
  #term: Term = 0;
  readonly #taken: Map<bigint, { newest: number; sequences: Set<number> }> = new Map();

  /** @param startTerm the node's term when it started. */
  constructor(startTerm: Term) {
    this.#startTerm = startTerm;
  }

  /** Whether to take it: true at most once for each id in a term. */
  take(term: Term, { proposer, sequence }: ProposalId): boolean {
    if (term !== this.#term) {
      this.#term = term;
      this.#taken.clear();
    }
    let window = this.#taken.get(proposer);
    if (window === undefined) {
      if (this.#taken.size >= MAX_PROPOSERS) return false;
      window = { newest: 0, sequences: new Set() };
      this.#taken.set(proposer, window);
    }
    if (sequence <= window.newest - WINDOW || window.sequences.has(sequence)) return false;
    window.sequences.add(sequence);
    window.newest = Math.max(window.newest, sequence);
    if (window.sequences.size > 2 * WINDOW) this.#prune(window);
    return true;
  }

  /** Whether it is certain that this node, which does not lead in that term now, never took it. */
  neverTook(term: Term, { proposer, sequence }: ProposalId): boolean {
    if (term <= this.#startTerm || term < this.#term) return false;
    if (term > this.#term) return true;
    const window = this.#taken.get(proposer);
    return window === undefined || (sequence > window.newest - WINDOW && !window.sequences.has(sequence));
  }

  #prune(window: { newest: number; sequences: Set<number> }): void {
    for (const sequence of window.sequences) {
      if (sequence <= window.newest - WINDOW) window.sequences.delete(sequence);
    }
  }
}
