import type { Revision, WatchEvent } from "../../kv/index.ts";

/** A change that at least one watch has yet to be told of, shared by all of them. */
export interface Change {
  /** In the store's history. */
  readonly position: number;
  readonly revision: Revision;
  readonly sizeBytes: number;
  /** Null when it has to be read from history. */
  content: ChangeContent | null;
}

export interface ChangeContent {
  readonly event: WatchEvent;
  /** The same with what was before; null when nobody asked for that. */
  readonly withPrevKv: WatchEvent | null;
}

/** What a change costs besides its keys and values. */
const OVERHEAD_BYTES = 512;

export function eventBytes({ kv, prevKv }: WatchEvent): number {
  const previous = prevKv === null ? 0 : prevKv.key.length + prevKv.value.length;
  return OVERHEAD_BYTES + kv.key.length + kv.value.length + previous;
}

/**
 * The contents of the newest changes, made once for all who wait for them, and kept for those who are a little late:
 * compaction, which may follow a change at once, does not take it from them. Bounded in bytes.
 */
export class RecentChanges {
  readonly #maxBytes: number;
  #changes: Change[] = [];
  #first = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(change: Change): void {
    this.#changes.push(change);
    this.#bytes += change.sizeBytes;
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#changes[this.#first++]!;
      this.#bytes -= oldest.sizeBytes;
      oldest.content = null;
    }
    if (this.#first * 2 > this.#changes.length) {
      this.#changes = this.#changes.slice(this.#first);
      this.#first = 0;
    }
  }

  clear(): void {
    this.#changes = [];
    this.#first = 0;
    this.#bytes = 0;
  }
}
