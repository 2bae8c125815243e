import { ByteWriter } from "../bytes/index.ts";
import { visibleAt } from "./keyspace.ts";
import type { KeyspaceView } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";
import type { TreeCursor } from "./tree-cursor.ts";
import type { Revision } from "./types.ts";

/**
 * Hashes what a reader at `revision` sees: every key with its value, revisions, version and lease. Equal states give
 * equal hashes, whatever each replica has compacted; 64 bits against accidents, not against forgers. Costs about a
 * microsecond a key, in steps as small as wanted.
 */
export class StateHasher {
  readonly #revision: Revision;
  readonly #heap: RecordHeap;
  readonly #cursor: TreeCursor;
  readonly #record = new ByteWriter();
  #more: boolean;
  #low: number;
  #high: number;

  /** @param state must not change until the hash is done. */
  constructor(state: Pick<KeyspaceView, "heap" | "tree">, revision: Revision) {
    this.#revision = revision;
    this.#heap = state.heap;
    this.#cursor = state.tree.cursor();
    this.#more = this.#cursor.next();
    this.#low = 0x243f6a88;
    this.#high = 0x85a308d3;
  }

  /** Takes in up to `maxKeys` more keys. Returns whether some are left. */
  step(maxKeys: number): boolean {
    for (let left = maxKeys; this.#more && left > 0; left--) {
      const handle = visibleAt(this.#heap, this.#cursor.entry, this.#revision);
      if (handle !== NO_RECORD) this.#addKey(handle);
      this.#more = this.#cursor.next();
    }
    return this.#more;
  }

  /** 16 hexadecimal digits. Call it after `step` has returned false. */
  digest(): string {
    this.#add(this.#record.clear().u64(BigInt(this.#revision)).view());
    return hex(finish(this.#high ^ this.#low)) + hex(finish(this.#low + this.#high));
  }

  #addKey(handle: RecordHandle): void {
    const heap = this.#heap;
    const record = this.#record.clear();
    record.bytes(heap.keyView(handle)).uint(heap.modRevision(handle)).uint(heap.createRevision(handle));
    record.uint(heap.version(handle)).u64(heap.lease(handle)).bytes(heap.valueView(handle));
    this.#add(record.view());
  }

  /** Two lanes of MurmurHash3's 32-bit loop (A. Appleby, public domain) with different constants. */
  #add(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < bytes.length; i += 4) {
      // Past the end reads as 0; records say their own length.
      const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
      low = mix(low, word, 0xcc9e2d51, 0x1b873593);
      high = mix(high, word, 0x239b961b, 0xab0e9789);
    }
    this.#low = low;
    this.#high = high;
  }
}

function mix(lane: number, word: number, c1: number, c2: number): number {
  const k = Math.imul(word, c1);
  const scrambled = lane ^ Math.imul((k << 15) | (k >>> 17), c2);
  return (Math.imul((scrambled << 13) | (scrambled >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(lane: number): number {
  let h = lane ^ (lane >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
