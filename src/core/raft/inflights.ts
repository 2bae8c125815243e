import { assert } from "../errors/index.ts";
import type { LogIndex } from "./types.ts";

/**
 * The AppendEntries on their way to one follower: a sliding window bounded in messages and bytes, each known by
 * the last index it carries.
 */
export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  #lastIndexes: LogIndex[] = [];
  #sizes: number[] = [];
  #bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#lastIndexes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The bound on bytes lets one message through however large it is: a single entry must always be sendable. */
  isFull(): boolean {
    return this.count >= this.#maxMessages || this.#bytes >= this.#maxBytes;
  }

  add(lastIndex: LogIndex, bytes: number): void {
    assert(!this.isFull(), "the in-flight window has room");
    this.#lastIndexes.push(lastIndex);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Everything up to and including `index` has arrived. */
  freeTo(index: LogIndex): void {
    let freed = 0;
    while (freed < this.count && this.#lastIndexes[freed]! <= index) this.#bytes -= this.#sizes[freed++]!;
    if (freed === 0) return;
    this.#lastIndexes.splice(0, freed);
    this.#sizes.splice(0, freed);
  }

  clear(): void {
    this.#lastIndexes = [];
    this.#sizes = [];
    this.#bytes = 0;
  }
}
