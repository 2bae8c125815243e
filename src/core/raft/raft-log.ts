import { assert } from "../errors/index.ts";
import type { Entry, LogIndex, SnapshotMeta, Term } from "./types.ts";

/** What an entry is counted as, beyond its data. */
const ENTRY_OVERHEAD_BYTES = 32;

export function entryBytes(entry: Entry): number {
  if (entry.kind === "command") return entry.data.length + ENTRY_OVERHEAD_BYTES;
  if (entry.kind === "confChange") return entry.change.context.length + ENTRY_OVERHEAD_BYTES;
  return ENTRY_OVERHEAD_BYTES;
}

export function entriesBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  return bytes;
}

/** A place where two logs may agree. */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * The log as consensus sees it: the tail in memory, and markers into it.
 *
 *     offset ≤ applied ≤ commit ≤ last        compacted ≤ applied        persisted ≤ emitted ≤ last
 *
 * `offset` is where the tail begins: entries at or below it are only in the LogStore (down to `compacted`), or
 * gone. Everything not applied, and everything not persisted, is in the tail.
 */
export class RaftLog {
  #tail: Entry[];
  #tailBytes: number;
  #offset: LogIndex;
  #offsetTerm: Term;
  readonly #maxTailBytes: number;
  /** A snapshot stands in for everything up to here. */
  #compacted: SnapshotMeta;
  #commit: LogIndex;
  #applied: LogIndex;
  /** Given out to be applied. */
  #handedOut: LogIndex;
  /** Given out to be persisted. */
  #emitted: LogIndex;
  /** Known to be durable here. */
  #persisted: LogIndex;
  /** What was given out from here on has been replaced since, and the replacement is not given out; 0 = nothing. */
  #replacedFrom: LogIndex = 0;
  #unappliedBytes = 0;
  /** A snapshot that was accepted and is not restored yet: nothing after it may be applied. */
  #restoring: LogIndex = 0;

  /**
   * @param compacted where the stored log begins.
   * @param offset the position just before `tail`, which runs to the end of the log and is durable. Everything up
   *   to `applied` has been applied.
   */
  constructor(
    compacted: SnapshotMeta,
    offset: LogPosition,
    tail: readonly Entry[],
    commit: LogIndex,
    applied: LogIndex,
    maxTailBytes: number,
  ) {
    this.#compacted = compacted;
    this.#offset = offset.index;
    this.#offsetTerm = offset.term;
    this.#tail = [...tail];
    this.#tailBytes = entriesBytes(tail);
    this.#maxTailBytes = maxTailBytes;
    this.#commit = commit;
    this.#applied = applied;
    this.#handedOut = applied;
    this.#emitted = this.lastIndex;
    this.#persisted = this.lastIndex;
    assert(offset.index <= applied, "everything not applied is in the tail");
    assert(applied <= commit && commit <= this.lastIndex, "applied ≤ commit ≤ last");
    this.#unappliedBytes = entriesBytes(this.#slice(applied + 1, this.lastIndex));
  }

  get lastIndex(): LogIndex {
    return this.#offset + this.#tail.length;
  }

  get lastTerm(): Term {
    return this.#tail.length > 0 ? this.#tail[this.#tail.length - 1]!.term : this.#offsetTerm;
  }

  get commitIndex(): LogIndex {
    return this.#commit;
  }

  get appliedIndex(): LogIndex {
    return this.#applied;
  }

  get persistedIndex(): LogIndex {
    return this.#persisted;
  }

  /** Everything at or below its index is gone from the LogStore, or may go at any time. */
  get compacted(): SnapshotMeta {
    return this.#compacted;
  }

  /** Where the tail in memory begins: the first index in it. */
  get tailStart(): LogIndex {
    return this.#offset + 1;
  }

  get tailBytes(): number {
    return this.#tailBytes;
  }

  /** Bytes of entries that this node holds but has not applied. */
  get unappliedBytes(): number {
    return this.#unappliedBytes;
  }

  get isRestoring(): boolean {
    return this.#restoring > 0;
  }

  /** The term of the entry at `index`, or undefined where memory does not say. */
  term(index: LogIndex): Term | undefined {
    if (index > this.lastIndex) return undefined;
    if (index > this.#offset) return this.#tail[index - this.#offset - 1]!.term;
    if (index === this.#offset) return this.#offsetTerm;
    return index === this.#compacted.index ? this.#compacted.term : undefined;
  }

  /** Entry at an index within the tail. */
  entry(index: LogIndex): Entry {
    const entry = this.#tail[index - this.#offset - 1];
    assert(entry !== undefined, "the entry is in the tail");
    return entry;
  }

  /** A log is more up to date if its last term is higher, or the same and it is at least as long (paper §5.4.1). */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `from` on, at most `maxBytes` but at least one; undefined if `from` lies before the tail. */
  entriesFrom(from: LogIndex, maxBytes: number): readonly Entry[] | undefined {
    if (from <= this.#offset) return undefined;
    let bytes = 0;
    let end = from;
    while (end <= this.lastIndex) {
      bytes += entryBytes(this.entry(end));
      if (bytes > maxBytes && end > from) break;
      end++;
    }
    return this.#slice(from, end - 1);
  }

  /** Appends a leader's new entries. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, "entries are contiguous");
      assert(entry.term >= this.lastTerm, "terms never decrease along the log");
      const bytes = entryBytes(entry);
      this.#tail.push(entry);
      this.#tailBytes += bytes;
      this.#unappliedBytes += bytes;
    }
  }

  /**
   * Takes a leader's entries after `prev` (paper figure 2, AppendEntries 2-4). The last index now known to agree
   * with the leader's log, or undefined if `prev` does not agree. What is there already is kept, so a late
   * duplicate cannot shorten the log.
   *
   * @param onTruncate is told the first index that is being replaced.
   */
  tryAppend(
    prev: LogPosition,
    entries: readonly Entry[],
    onTruncate: (from: LogIndex) => void,
  ): LogIndex | undefined {
    if (this.term(prev.index) !== prev.term) return undefined;
    const lastNew = prev.index + entries.length;
    const conflict = entries.findIndex((entry) => this.term(entry.index) !== entry.term);
    if (conflict < 0) return lastNew;
    const from = entries[conflict]!.index;
    if (from <= this.lastIndex) {
      this.#truncate(from);
      onTruncate(from);
    }
    this.append(conflict === 0 ? entries : entries.slice(conflict));
    return lastNew;
  }

  #truncate(from: LogIndex): void {
    assert(from > this.#commit, "a committed entry is never replaced");
    const removed = this.#tail.splice(from - this.#offset - 1);
    const bytes = entriesBytes(removed);
    this.#tailBytes -= bytes;
    this.#unappliedBytes -= bytes;
    if (from <= this.#emitted) this.#replacedFrom = from;
    this.#emitted = Math.min(this.#emitted, from - 1);
    this.#persisted = Math.min(this.#persisted, from - 1);
  }

  /**
   * The largest position at or below `index`, and above `floor`, whose term is at most `term`: nothing between the
   * two can agree with a log that has `term` at `index`. Where memory does not know the term, the search ends, and
   * the place is given with term 0.
   */
  lastAgreementCandidate(index: LogIndex, term: Term, floor: LogIndex): LogPosition {
    let at = Math.min(index, this.lastIndex);
    while (at > floor) {
      const here = this.term(at);
      if (here === undefined || here <= term) break;
      at--;
    }
    return { index: at, term: this.term(at) ?? 0 };
  }

  /** Advances the commit index; never past the end, never back. True if it moved. */
  commitTo(index: LogIndex): boolean {
    if (index <= this.#commit) return false;
    assert(index <= this.lastIndex, "the commit index is inside the log");
    this.#commit = index;
    return true;
  }

  /**
   * The highest commit index that may be written together with what {@link takeUnpersisted} gives out next. A hard
   * state becomes durable no later than the entries written with it: after a crash between the two the disk still
   * holds what they were to replace, and must not take that for committed.
   */
  get writableCommit(): LogIndex {
    return this.#replacedFrom > 0 ? Math.min(this.#commit, this.#replacedFrom - 1) : this.#commit;
  }

  /**
   * Entries that have not been given out to be persisted. Those that replace others only up to a membership change:
   * what follows is given out next time, together with the knowledge that the change is committed, if it is.
   */
  takeUnpersisted(): readonly Entry[] {
    if (this.#emitted === this.lastIndex) return [];
    let end = this.lastIndex;
    if (this.#replacedFrom > 0) {
      end = this.#emitted + 1;
      while (end < this.lastIndex && this.entry(end).kind !== "confChange") end++;
    }
    this.#replacedFrom = 0;
    const entries = this.#slice(this.#emitted + 1, end);
    this.#emitted = end;
    return entries;
  }

  /** Everything has been given out to be persisted. */
  get isEmitted(): boolean {
    return this.#emitted === this.lastIndex;
  }

  /** Writes up to `index` are durable. */
  persistedTo(index: LogIndex): void {
    assert(index <= this.#emitted, "only what was given out can be durable");
    this.#persisted = Math.max(this.#persisted, index);
  }

  /**
   * Committed entries to be applied next, each given out once. Stops before a membership change whose commitment
   * is not durable here (at or below `durableCommit`): a node that applied one must not forget, over a restart,
   * that it was committed, or it could campaign in the configuration before it.
   */
  takeCommitted(maxBytes: number, durableCommit: LogIndex): readonly Entry[] {
    if (this.#restoring > 0 || this.#handedOut === this.#commit) return [];
    let bytes = 0;
    let end = this.#handedOut;
    while (end < this.#commit) {
      const entry = this.entry(end + 1);
      if (entry.kind === "confChange" && entry.index > durableCommit) break;
      bytes += entryBytes(entry);
      if (bytes > maxBytes && end > this.#handedOut) break;
      end++;
    }
    const entries = this.#slice(this.#handedOut + 1, end);
    this.#handedOut = end;
    return entries;
  }

  /** Whether applying waits only for the commit index to become durable. */
  awaitsDurableCommit(durableCommit: LogIndex): boolean {
    if (this.#restoring > 0 || this.#handedOut >= this.#commit) return false;
    const next = this.entry(this.#handedOut + 1);
    return next.kind === "confChange" && next.index > durableCommit;
  }

  /** Whether a committed membership change waits to be applied here; a snapshot being restored counts as one. */
  hasUnappliedConfChange(): boolean {
    if (this.#restoring > 0) return true;
    for (let index = this.#applied + 1; index <= this.#commit; index++) {
      if (this.entry(index).kind === "confChange") return true;
    }
    return false;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied && index <= this.#commit, "applied grows, up to the commit index");
    assert(index <= this.#handedOut, "only what was given out can be applied");
    for (let at = Math.max(this.#applied, this.#offset) + 1; at <= index; at++) {
      this.#unappliedBytes -= entryBytes(this.entry(at));
    }
    this.#applied = index;
    if (this.#restoring > 0 && index >= this.#restoring) this.#restoring = 0;
    this.#trimTail();
  }

  /** Forgets the oldest applied and durable entries beyond the tail's bound; the LogStore still has them. */
  #trimTail(): void {
    const limit = Math.min(this.#applied, this.#persisted);
    if (this.#tailBytes <= this.#maxTailBytes) return;
    let count = 0;
    let bytes = this.#tailBytes;
    // Down to three quarters, so that the array is not shifted for every entry.
    while (bytes > this.#maxTailBytes * 0.75 && this.#offset + count < limit)
      bytes -= entryBytes(this.#tail[count++]!);
    if (count === 0) return;
    this.#offsetTerm = this.#tail[count - 1]!.term;
    this.#offset += count;
    this.#tail = this.#tail.slice(count);
    this.#tailBytes = bytes;
  }

  /** The LogStore has dropped what `snapshot` stands for. The tail keeps what it has: it may still serve followers. */
  compactTo(snapshot: SnapshotMeta): void {
    assert(snapshot.index <= this.#applied, "only what is applied is compacted");
    if (snapshot.index > this.#compacted.index) this.#compacted = snapshot;
  }

  /** Everything is replaced by a snapshot; nothing after it is known. */
  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.#commit, "a snapshot to restore is newer than what is committed");
    this.#compacted = snapshot;
    this.#offset = snapshot.index;
    this.#offsetTerm = snapshot.term;
    this.#tail = [];
    this.#tailBytes = 0;
    this.#unappliedBytes = 0;
    this.#commit = snapshot.index;
    this.#handedOut = snapshot.index;
    this.#emitted = snapshot.index;
    this.#persisted = 0;
    this.#replacedFrom = 0;
    this.#restoring = snapshot.index;
  }

  #slice(from: LogIndex, to: LogIndex): readonly Entry[] {
    return this.#tail.slice(from - this.#offset - 1, to - this.#offset);
  }
}
