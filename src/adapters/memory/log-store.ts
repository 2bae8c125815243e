import { EngineError } from "../../core/errors/index.ts";
import type { Entry, LogIndex, Term } from "../../core/raft/index.ts";
import type { LogBounds, LogStore } from "../../core/node/index.ts";

/** The log as an array of entries. */
export class MemoryLogStore implements LogStore {
  readonly #ready: () => void;
  #prevIndex: LogIndex = 0;
  #prevTerm: Term = 0;
  #entries: Entry[] = [];

  /** @param ready throws when the store must not be used any more. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  async open(): Promise<LogBounds> {
    this.#ready();
    return {
      firstIndex: this.#prevIndex + 1,
      lastIndex: this.#lastIndex,
      prevTerm: this.#prevTerm,
      lastTerm: this.#entries.at(-1)?.term ?? this.#prevTerm,
    };
  }

  /** Takes effect before it returns, so that calls that overlap take effect, and resolve, in call order. */
  async append(entries: readonly Entry[]): Promise<void> {
    this.appendNow(entries);
  }

  appendNow(entries: readonly Entry[]): void {
    this.#ready();
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#prevIndex || first.index > this.#lastIndex + 1) {
      refuse(`an append at ${first.index} to a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    entries.forEach((entry, i) => {
      if (entry.index !== first.index + i)
        refuse(`entry ${entry.index} stands where ${first.index + i} should`);
    });
    this.#entries.length = first.index - this.#prevIndex - 1;
    for (const entry of entries) this.#entries.push(ownCopy(entry));
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    this.#ready();
    if (from <= this.#prevIndex || from > to || to > this.#lastIndex) {
      refuse(`a read of ${from} to ${to} from a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    const found: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const entry = this.#at(index);
      bytes += entry.kind === "command" ? entry.data.length : 0;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(ownCopy(entry));
    }
    return found;
  }

  async term(index: LogIndex): Promise<Term> {
    this.#ready();
    if (index === this.#prevIndex) return this.#prevTerm;
    if (index < this.#prevIndex || index > this.#lastIndex) {
      refuse(`the term at ${index} of a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    return this.#at(index).term;
  }

  async compact(to: LogIndex): Promise<void> {
    this.#ready();
    if (to <= this.#prevIndex) return;
    if (to > this.#lastIndex) refuse(`compaction up to ${to} of a log that ends at ${this.#lastIndex}`);
    this.#prevTerm = this.#at(to).term;
    this.#entries = this.#entries.slice(to - this.#prevIndex);
    this.#prevIndex = to;
  }

  async reset(index: LogIndex, term: Term): Promise<void> {
    this.#ready();
    this.#prevIndex = index;
    this.#prevTerm = term;
    this.#entries = [];
  }

  get #lastIndex(): LogIndex {
    return this.#prevIndex + this.#entries.length;
  }

  #at(index: LogIndex): Entry {
    return this.#entries[index - this.#prevIndex - 1]!;
  }
}

/** A store that hands out what it keeps would let its caller change the past. */
function ownCopy(entry: Entry): Entry {
  switch (entry.kind) {
    case "command":
      return { ...entry, data: entry.data.slice() };
    case "confChange":
      return { ...entry, change: { ...entry.change, context: entry.change.context.slice() } };
    case "noop":
      return entry;
  }
}

function refuse(detail: string): never {
  throw new EngineError("invalidArgument", { detail });
}
