import type { Entry, LogIndex, NodeId, Term } from "../../src/core/raft/index.ts";

interface KnownEntry {
  readonly entry: Entry;
  readonly prevTerm: Term;
}

/**
 * What has ever been true of the group, over every restart and power loss: each fact is written once and compared
 * ever after. It belongs to nobody, so that no fault can touch it.
 */
export class Oracle {
  /** Who led in a term. */
  readonly leaders: Map<Term, NodeId> = new Map();
  /** The term of each entry that a leader has known to be committed, and of the leader that committed it. */
  readonly committed: Map<LogIndex, { readonly term: Term; readonly in: Term }> = new Map([
    [1, { term: 1, in: 1 }],
  ]);
  committedIndex: LogIndex = 1;
  /** Reads under way: what was committed when they began. */
  readonly reads: Map<bigint, { readonly floor: LogIndex; readonly lease: boolean }> = new Map();
  /** The newest membership change that each node has ever applied. */
  readonly appliedChange: Map<NodeId, LogIndex> = new Map();
  /** The hash of the state at a revision. */
  readonly hashes: Map<number, string> = new Map();
  /** By index, content and predecessor of every entry in every term. */
  readonly #entries: Map<LogIndex, KnownEntry[]> = new Map();
  readonly #durable: Map<NodeId, { term: Term; vote: NodeId | null }> = new Map();
  readonly #grants: Map<string, Set<NodeId>> = new Map();
  readonly #applied: Map<LogIndex, { readonly term: Term; readonly result: string }> = new Map();
  /** By leader's term, the terms of the entries that this leader sent. */
  readonly #sent: Map<Term, Map<LogIndex, Term>> = new Map();
  #appliedRevisions: { index: LogIndex; revision: number }[] = [];

  /** Up to where leaders of terms before this one have committed: what whoever leads in it must have. */
  committedBefore(term: Term): LogIndex {
    let index = this.committedIndex;
    while (index > 1 && (this.committed.get(index)?.in ?? 0) >= term) index--;
    return index;
  }

  /** Log matching by induction: one content and one predecessor for an index and term. Null, or what contradicts. */
  recordEntry(entry: Entry, prevTerm: Term): string | null {
    const known = this.#entries.get(entry.index);
    const name = `${entry.index}/${entry.term}`;
    if (known === undefined) {
      this.#entries.set(entry.index, [{ entry, prevTerm }]);
      return null;
    }
    const same = known.find((other) => other.entry.term === entry.term);
    if (same === undefined) known.push({ entry, prevTerm });
    else if (!isSameContent(same.entry, entry)) return `${name} is not the same everywhere`;
    else if (same.prevTerm !== prevTerm)
      return `${name} follows term ${prevTerm} here and ${same.prevTerm} elsewhere`;
    return null;
  }

  entry(index: LogIndex, term: Term): Entry | undefined {
    return this.#entries.get(index)?.find(({ entry }) => entry.term === term)?.entry;
  }

  /** What a node's disk says of its term and vote, compared with what it ever said. */
  recordDurable(node: NodeId, term: Term, vote: NodeId | null): string | null {
    const known = this.#durable.get(node);
    if (known !== undefined) {
      if (term < known.term) return `its durable term went from ${known.term} back to ${term}`;
      if (term === known.term && known.vote !== null && vote !== known.vote)
        return `voted for ${known.vote} and then ${vote} in term ${term}`;
    }
    this.#durable.set(node, { term, vote });
    return null;
  }

  recordGrant(term: Term, candidate: NodeId, voter: NodeId): void {
    const key = `${candidate}@${term}`;
    const grants = this.#grants.get(key);
    if (grants === undefined) this.#grants.set(key, new Set([voter]));
    else grants.add(voter);
  }

  grants(term: Term, candidate: NodeId): ReadonlySet<NodeId> {
    return this.#grants.get(`${candidate}@${term}`) ?? new Set();
  }

  /** A leader of `leaderTerm` sent an entry of `term` at `index`, or said that it precedes what it sent. */
  recordSent(leaderTerm: Term, index: LogIndex, term: Term): void {
    let sent = this.#sent.get(leaderTerm);
    if (sent === undefined) {
      sent = new Map();
      this.#sent.set(leaderTerm, sent);
    }
    sent.set(index, term);
  }

  sentTerm(leaderTerm: Term, index: LogIndex): Term | undefined {
    return this.#sent.get(leaderTerm)?.get(index);
  }

  hasApplied(index: LogIndex): boolean {
    return this.#applied.has(index);
  }

  /** One command and one result at an index, on every replica. */
  recordApplied(index: LogIndex, term: Term, revision: number, result: string): string | null {
    const known = this.#applied.get(index);
    if (known === undefined) {
      this.#applied.set(index, { term, result });
      const last = this.#appliedRevisions.at(-1);
      if (last === undefined || last.index < index) this.#appliedRevisions.push({ index, revision });
      return null;
    }
    if (known.term !== term) return `${index} was applied of term ${term} here and ${known.term} elsewhere`;
    if (known.result !== result) return `${index} gave ${result} here and ${known.result} elsewhere`;
    return null;
  }

  /** The store's revision once everything up to `index` is applied; 1 is the empty store's. */
  revisionAt(index: LogIndex): number {
    const found = this.#appliedRevisions.findLast((applied) => applied.index <= index);
    return found?.revision ?? 1;
  }
}

function isSameContent(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.kind === "command" && b.kind === "command") return isSameBytes(a.data, b.data);
  if (a.kind === "confChange" && b.kind === "confChange") {
    const text = (entry: typeof a): string =>
      entry.change.steps.map(({ type, node }) => `${type} ${node}`).join();
    return text(a) === text(b) && isSameBytes(a.change.context, b.change.context);
  }
  return a.kind === b.kind;
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
