import { assert } from "../errors/index.ts";
import type { BinaryKey } from "./key.ts";
import type { Version } from "./key-history.ts";
import type { Revision } from "./types.ts";

const CHUNK_LENGTH = 1024;

/** A stretch of the log, as two columns. */
class Chunk {
  readonly keys: BinaryKey[] = [];
  readonly versions: Version[] = [];
}

/** One change, in the order in which they were made. */
export interface LoggedChange {
  readonly key: BinaryKey;
  readonly version: Version;
}

/**
 * Every change since the compacted revision, in order: 16 bytes for each. Compaction follows it instead of walking
 * all keys, a snapshot writes it out, and watchers can be brought up to date from it.
 *
 * Positions count changes since the store was made, and do not move when the front is dropped.
 */
export class ChangeLog {
  #chunks: Chunk[];
  /** Position of the first change of the first chunk. */
  #start: number;
  #end: number;

  constructor() {
    this.#chunks = [];
    this.#start = 0;
    this.#end = 0;
  }

  /** Position of the oldest change still here. */
  get start(): number {
    return this.#start;
  }

  /** Position after the newest change. */
  get end(): number {
    return this.#end;
  }

  push(key: BinaryKey, version: Version): void {
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk === undefined || chunk.keys.length === CHUNK_LENGTH) {
      chunk = new Chunk();
      this.#chunks.push(chunk);
    }
    chunk.keys.push(key);
    chunk.versions.push(version);
    this.#end++;
  }

  /** Takes back the newest change. */
  pop(): LoggedChange {
    const chunk = this.#chunks[this.#chunks.length - 1];
    assert(chunk !== undefined, "a change is taken back that was never logged");
    const key = chunk.keys.pop()!;
    const version = chunk.versions.pop()!;
    if (chunk.keys.length === 0) this.#chunks.pop();
    this.#end--;
    return { key, version };
  }

  keyAt(position: number): BinaryKey {
    return this.#chunkOf(position).keys[(position - this.#start) % CHUNK_LENGTH]!;
  }

  versionAt(position: number): Version {
    return this.#chunkOf(position).versions[(position - this.#start) % CHUNK_LENGTH]!;
  }

  /** Position of the first change whose revision is not below `revision`. */
  positionOf(revision: Revision): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.versionAt(middle).modRevision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Lets go of changes before `position`, in whole chunks: a few of them may stay. */
  dropBefore(position: number): void {
    assert(position <= this.#end, "changes are dropped that were never logged");
    const count = Math.floor((position - this.#start) / CHUNK_LENGTH);
    if (count <= 0) return;
    this.#chunks.splice(0, count);
    this.#start += count * CHUNK_LENGTH;
  }

  /** The log as it is now, for a reader; it shares the chunks, whose old entries do not change. */
  clone(): ChangeLog {
    const copy = new ChangeLog();
    copy.#chunks = this.#chunks.slice();
    copy.#start = this.#start;
    copy.#end = this.#end;
    return copy;
  }

  #chunkOf(position: number): Chunk {
    assert(position >= this.#start && position < this.#end, "a change is read outside the log");
    return this.#chunks[Math.floor((position - this.#start) / CHUNK_LENGTH)]!;
  }
}
