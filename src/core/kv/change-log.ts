import { assert } from "../errors/index.ts";
import type { RecordHandle } from "./record-heap.ts";

const CHUNK_LENGTH = 4096;

/**
 * The records of every change since the compacted revision, in order: 4 bytes for each. Compaction follows it
 * instead of walking all keys, a snapshot writes it out, and watchers can be brought up to date from it.
 *
 * Positions count changes since the store was made, and do not move when the front is dropped.
 */
export class ChangeLog {
  #chunks: Uint32Array[] = [];
  /** Position of the first entry of the first chunk. */
  #base = 0;
  #start = 0;
  #end = 0;

  /** Position of the oldest change still here. */
  get start(): number {
    return this.#start;
  }

  /** Position after the newest change. */
  get end(): number {
    return this.#end;
  }

  push(handle: RecordHandle): void {
    const index = this.#end - this.#base;
    if (index === this.#chunks.length * CHUNK_LENGTH) this.#chunks.push(new Uint32Array(CHUNK_LENGTH));
    this.#chunks[Math.floor(index / CHUNK_LENGTH)]![index % CHUNK_LENGTH] = handle;
    this.#end++;
  }

  /** Takes back the newest change. */
  pop(): RecordHandle {
    const handle = this.at(this.#end - 1);
    this.#end--;
    return handle;
  }

  /** Drops the oldest change. */
  shift(): RecordHandle {
    const handle = this.at(this.#start);
    this.#start++;
    if (this.#start - this.#base === CHUNK_LENGTH) {
      this.#chunks.shift();
      this.#base += CHUNK_LENGTH;
    }
    return handle;
  }

  at(position: number): RecordHandle {
    assert(position >= this.#start && position < this.#end, "a change is read outside the log");
    const index = position - this.#base;
    return this.#chunks[Math.floor(index / CHUNK_LENGTH)]![index % CHUNK_LENGTH]!;
  }

  /** The first position from which on `isReached` holds for all changes. */
  find(isReached: (handle: RecordHandle) => boolean): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (isReached(this.at(middle))) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The log as it is now, for a reader. It shares the chunks: no entry before its end is ever overwritten. */
  clone(): ChangeLog {
    const copy = new ChangeLog();
    copy.#chunks = this.#chunks.slice();
    copy.#base = this.#base;
    copy.#start = this.#start;
    copy.#end = this.#end;
    return copy;
  }
}
