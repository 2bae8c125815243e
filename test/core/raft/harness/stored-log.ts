import type { Entry, LogIndex, SnapshotMeta, Term } from "../../../../src/core/raft/index.ts";

/** A log as a store keeps it: everything up to `base` is gone, a snapshot stands in for it. */
export class StoredLog {
  base: SnapshotMeta;
  #entries: Entry[];

  constructor(base: SnapshotMeta, entries: readonly Entry[] = []) {
    this.base = base;
    this.#entries = [...entries];
  }

  get lastIndex(): LogIndex {
    return this.base.index + this.#entries.length;
  }

  get lastTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.base.term;
  }

  term(index: LogIndex): Term | undefined {
    return index === this.base.index ? this.base.term : this.entry(index)?.term;
  }

  entry(index: LogIndex): Entry | undefined {
    return this.#entries[index - this.base.index - 1];
  }

  /** Entries from `from` up to and including `to`. */
  slice(from: LogIndex, to: LogIndex = this.lastIndex): Entry[] {
    return this.#entries.slice(Math.max(0, from - this.base.index - 1), Math.max(0, to - this.base.index));
  }

  /** Appends; the first entry may overwrite a suffix. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.base.index || first.index > this.lastIndex + 1) {
      throw new Error(`a hole in the log: ${first.index} after ${this.base.index}..${this.lastIndex}`);
    }
    this.#entries.length = first.index - this.base.index - 1;
    for (const entry of entries) {
      if (entry.index !== this.lastIndex + 1) throw new Error(`entry ${entry.index} is out of order`);
      this.#entries.push(entry);
    }
  }

  /** Drops everything up to `to.index`, keeping what follows. */
  compact(to: SnapshotMeta): void {
    this.#entries = this.slice(to.index + 1);
    this.base = to;
  }

  /** Drops everything: a snapshot has replaced it. */
  reset(to: SnapshotMeta): void {
    this.#entries = [];
    this.base = to;
  }

  clone(): StoredLog {
    return new StoredLog(this.base, this.#entries);
  }
}
