import type { BinaryKey } from "./key.ts";
import { binaryKey } from "./key.ts";
import { visibleAt } from "./keyspace.ts";
import type { Keyspace } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle } from "./record-heap.ts";
import type { KeyValue, Revision, WatchEvent } from "./types.ts";

/**
 * Every change since the compacted revision, in order, for watchers. A change is named by its position in the change
 * log. Positions belong to one history: a store that was replaced by a snapshot has another.
 */
export class History {
  readonly #keyspace: Keyspace;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** Position after the newest change. */
  get end(): number {
    return this.#keyspace.log.end;
  }

  /** Position of the first change at `revision` or later. */
  find(revision: Revision): number {
    const { heap, log } = this.#keyspace;
    return log.find((handle) => heap.modRevision(handle) >= revision);
  }

  revision(position: number): Revision {
    return this.#keyspace.heap.modRevision(this.#at(position));
  }

  key(position: number): BinaryKey {
    return binaryKey(this.#keyspace.heap.keyView(this.#at(position)));
  }

  isDelete(position: number): boolean {
    return this.#keyspace.heap.isTombstone(this.#at(position));
  }

  /**
   * The change with copies of what it is about.
   *
   * @param compactRevision where history ends: what was before a change at that revision or below counts as gone,
   *   whether it has been freed or not (etcd reads it at the revision before, which is compacted).
   */
  event(position: number, withPrevKv: boolean, compactRevision: Revision): WatchEvent {
    const { heap } = this.#keyspace;
    const handle = this.#at(position);
    const type = heap.isTombstone(handle) ? "delete" : "put";
    const readable = withPrevKv && heap.modRevision(handle) > compactRevision;
    return { type, kv: heap.toKeyValue(handle), prevKv: readable ? this.#previous(handle) : null };
  }

  /** As of the revision before: a key that a transaction changes twice has the same twice. */
  #previous(handle: RecordHandle): KeyValue | null {
    const { heap } = this.#keyspace;
    const modRevision = heap.modRevision(handle);
    if (heap.createRevision(handle) === modRevision) return null;
    const previous = visibleAt(heap, heap.older(handle), modRevision - 1);
    return previous === NO_RECORD ? null : heap.toKeyValue(previous);
  }

  #at(position: number): RecordHandle {
    return this.#keyspace.log.at(position);
  }
}
