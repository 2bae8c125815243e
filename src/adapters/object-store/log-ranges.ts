import { assert } from "../../core/errors/index.ts";
import type { LogIndex, Term } from "../../core/raft/index.ts";
import type { Place } from "./journal/walk.ts";
import type { Position, RecordHead, TermRun } from "./record.ts";

/** Entries `first` to `last` of the log are in the record at this place. */
export interface IndexRange {
  first: LogIndex;
  last: LogIndex;
  readonly place: Place;
  /** Of the whole record. */
  readonly bytes: number;
}

/** Where the log's entries are, and what terms they have: a few words for each record, none for an entry. */
export class LogRanges {
  #prev: Position;
  #ranges: IndexRange[] = [];
  /** Where a new term begins; in order. */
  #terms: Position[] = [];

  constructor(prev: Position) {
    this.#prev = prev;
  }

  get prev(): Position {
    return this.#prev;
  }

  get lastIndex(): LogIndex {
    return this.#ranges.at(-1)?.last ?? this.#prev.index;
  }

  get lastTerm(): Term {
    return this.#terms.at(-1)?.term ?? this.#prev.term;
  }

  /** The oldest place that is still needed; null when no entry is left. */
  get oldest(): Place | null {
    return this.#ranges[0]?.place ?? null;
  }

  reset(to: Position): void {
    this.#prev = to;
    this.#ranges = [];
    this.#terms = [];
  }

  /** Entries of a record take the place of everything from their first on. They do not reach before `prev`. */
  put(head: RecordHead, place: Place, bytes: number): void {
    const { first, runs } = head;
    assert(first > 0 && first <= this.lastIndex + 1, "a record continues the log or replaces its end");
    this.#truncate(first);
    const last = first + runs.reduce((sum, { count }) => sum + count, 0) - 1;
    if (last <= this.#prev.index) return;
    this.#putTerms(first, runs);
    this.#ranges.push({ first: Math.max(first, this.#prev.index + 1), last, place, bytes });
  }

  /** Forgets entries up to and including `to`, whose term stays known. */
  compact(to: Position): void {
    if (to.index <= this.#prev.index) return;
    const next = to.index + 1;
    if (next > this.lastIndex) return this.reset(to);
    const term = this.term(next);
    this.#terms = [{ index: next, term }, ...this.#terms.filter(({ index }) => index > next)];
    this.#ranges = this.#ranges.filter(({ last }) => last >= next);
    this.#ranges[0]!.first = Math.max(this.#ranges[0]!.first, next);
    this.#prev = to;
  }

  /** The term at `index`, from `prev.index` to `lastIndex`. */
  term(index: LogIndex): Term {
    if (index === this.#prev.index) return this.#prev.term;
    const at = lastAtMost(this.#terms, index, (run) => run.index);
    assert(at >= 0, "the index is in the log");
    return this.#terms[at]!.term;
  }

  /** Ranges that have entries from `from` to `to`, until together they have `maxBytes`; at least one. */
  covering(from: LogIndex, to: LogIndex, maxBytes: number): IndexRange[] {
    const found: IndexRange[] = [];
    let bytes = 0;
    const at = lastAtMost(this.#ranges, from, (range) => range.first);
    for (let i = at; i < this.#ranges.length && this.#ranges[i]!.first <= to; i++) {
      found.push(this.#ranges[i]!);
      // Of the first record perhaps only the end is wanted.
      if (i > at) bytes += this.#ranges[i]!.bytes;
      if (bytes >= maxBytes) break;
    }
    return found;
  }

  #truncate(from: LogIndex): void {
    while ((this.#ranges.at(-1)?.first ?? 0) >= from) this.#ranges.pop();
    const last = this.#ranges.at(-1);
    if (last !== undefined) last.last = Math.min(last.last, from - 1);
    while ((this.#terms.at(-1)?.index ?? 0) >= from) this.#terms.pop();
  }

  #putTerms(first: LogIndex, runs: readonly TermRun[]): void {
    let index = first;
    for (const { term, count } of runs) {
      const start = Math.max(index, this.#prev.index + 1);
      index += count;
      if (index > start && this.#terms.at(-1)?.term !== term) this.#terms.push({ index: start, term });
    }
  }
}

/** The last item whose key is at most `key`; -1 if there is none. */
function lastAtMost<T>(items: readonly T[], key: number, keyOf: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keyOf(items[middle]!) <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
