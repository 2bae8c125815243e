import type { Keyspace } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle } from "./record-heap.ts";

/**
 * The physical side of compaction: frees, in small steps, what the compacted revision has already hidden. It follows
 * the change log, since a version can go as soon as a later change, itself not above the compacted revision, has
 * taken its place. When that has left the slabs sparse, it moves together what remains. What readers see does not
 * depend on how far it has come, and it waits while a view is open.
 */
export class Compactor {
  readonly #keyspace: Keyspace;
  /** Position in the log after the changes at the compacted revision that were looked at. */
  #position = 0;
  #evacuation: "notNeeded" | "undecided" | { readonly from: Uint8Array } = "notNeeded";

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** Looks at no more than `maxRecords` records or keys. Returns whether it could go on at once. */
  step(maxRecords: number): boolean {
    if (this.#keyspace.hasOpenViews) return false;
    let left = this.#dropBelow(maxRecords);
    left = this.#dropAt(left);
    if (left === 0) return true;
    if (this.#evacuation === "undecided") {
      this.#evacuation = this.#keyspace.heap.needsEvacuation() ? { from: NOTHING } : "notNeeded";
    }
    if (this.#evacuation !== "notNeeded") this.#evacuate(this.#evacuation.from, left);
    return this.#evacuation !== "notNeeded";
  }

  /** Takes the changes below the compacted revision out of the log. Returns how many records may still be looked at. */
  #dropBelow(maxRecords: number): number {
    const { heap, log, compactRevision } = this.#keyspace;
    let left = maxRecords;
    while (left > 0 && log.start < log.end && heap.modRevision(log.at(log.start)) < compactRevision) {
      const handle = log.shift();
      this.#freeOlder(handle);
      if (heap.isTombstone(handle)) this.#freeTombstone(handle);
      left--;
    }
    if (left < maxRecords) this.#evacuation = "undecided";
    return left;
  }

  /**
   * Changes at the compacted revision itself stay in the log: it is still readable, so a watch may start there. They
   * only push out what is older.
   */
  #dropAt(maxRecords: number): number {
    const { heap, log, compactRevision } = this.#keyspace;
    this.#position = Math.max(this.#position, log.start);
    let left = maxRecords;
    while (left > 0 && this.#position < log.end) {
      const handle = log.at(this.#position);
      if (heap.modRevision(handle) > compactRevision) break;
      this.#freeOlder(handle);
      this.#position++;
      left--;
    }
    return left;
  }

  #freeOlder(handle: RecordHandle): void {
    const { heap, compactRevision } = this.#keyspace;
    const older = heap.older(handle);
    // What has the compacted revision is in the log still.
    if (older === NO_RECORD || heap.modRevision(older) >= compactRevision) return;
    heap.setOlder(handle, NO_RECORD);
    heap.free(older);
  }

  /** A key that was not put again disappears. Otherwise the tombstone goes when the put after it pushes it out. */
  #freeTombstone(handle: RecordHandle): void {
    const { heap, tree } = this.#keyspace;
    const key = heap.keyView(handle);
    if (tree.get(key) !== handle) return heap.hide(handle);
    tree.delete(key);
    heap.free(handle);
  }

  #evacuate(from: Uint8Array, maxKeys: number): void {
    const { heap, tree } = this.#keyspace;
    const cursor = tree.cursor();
    const keys: RecordHandle[] = [];
    let more = cursor.seek(from);
    for (; more && keys.length < maxKeys; more = cursor.next()) keys.push(cursor.entry);
    const next = more ? { from: heap.keyCopy(cursor.entry) } : ("notNeeded" as const);
    for (const newest of keys) this.#evacuateKey(newest);
    this.#evacuation = next;
  }

  /** Moves those versions that only the tree and each other point to, not the log. */
  #evacuateKey(newest: RecordHandle): void {
    const { heap, tree, leases, compactRevision } = this.#keyspace;
    let newer: RecordHandle = NO_RECORD;
    for (let handle = newest; handle !== NO_RECORD; handle = heap.older(handle)) {
      if (heap.modRevision(handle) < compactRevision && heap.isInSparseSlab(handle)) {
        const sparse = handle;
        handle = heap.duplicate(sparse);
        if (newer === NO_RECORD) {
          tree.set(heap.keyView(handle), handle);
          leases.moved(heap, sparse, handle);
        } else heap.setOlder(newer, handle);
        // Last: until then the tree compares keys with it.
        heap.free(sparse);
      }
      newer = handle;
    }
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
