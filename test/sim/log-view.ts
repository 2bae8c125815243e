import type { LogIndex, Term } from "../../src/core/raft/index.ts";
import type { DiskImage } from "../core/node/world/disk-image.ts";

/** The terms of a node's log as its Readys have told it, whatever of it is durable. */
export class LogView {
  #base: LogIndex;
  #terms: Term[];

  constructor(base: LogIndex, terms: Term[]) {
    this.#base = base;
    this.#terms = terms;
  }

  /** What a node has that has just recovered from this disk. */
  static of(image: DiskImage): LogView {
    const { firstIndex, lastIndex, prevTerm } = image.bounds();
    const terms = [prevTerm];
    for (let index = firstIndex; index <= lastIndex; index++) terms.push(image.term(index));
    return new LogView(firstIndex - 1, terms);
  }

  get lastIndex(): LogIndex {
    return this.#base + this.#terms.length - 1;
  }

  get base(): LogIndex {
    return this.#base;
  }

  term(index: LogIndex): Term | undefined {
    return this.#terms[index - this.#base];
  }

  /** The entry is the last one now. */
  put(index: LogIndex, term: Term): void {
    if (index <= this.#base) return;
    this.#terms.length = index - this.#base;
    this.#terms.push(term);
  }

  restore(index: LogIndex, term: Term): void {
    this.#base = index;
    this.#terms = [term];
  }

  /** Forgets what everybody has agreed on long ago, so that long runs stay small. */
  trim(to: LogIndex): void {
    const count = to - this.#base;
    if (count <= 0 || to > this.lastIndex) return;
    this.#terms = this.#terms.slice(count);
    this.#base = to;
  }
}
