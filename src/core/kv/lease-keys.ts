import type { RecordHandle } from "./record-heap.ts";

/**
 * The newest versions of the keys attached to one lease, in no order. It remembers of which of them somebody has found
 * something to hold, or whoever attaches many keys one by one would have all of them looked at each time.
 */
export class LeaseKeys {
  readonly handles: Set<RecordHandle> = new Set();
  /** Who has found it of all but the `fresh`; null: nobody has. */
  #finder: object | null = null;
  /** Attached since, perhaps for the second time, perhaps gone again. */
  #fresh: RecordHandle[] = [];

  get size(): number {
    return this.handles.size;
  }

  add(handle: RecordHandle): void {
    this.handles.add(handle);
    if (this.#finder === null) return;
    this.#fresh.push(handle);
    // Whoever found it does not ask any more.
    if (this.#fresh.length > this.handles.size) this.#forget();
  }

  /** Returns whether it was there. */
  delete(handle: RecordHandle): boolean {
    return this.handles.delete(handle);
  }

  /**
   * Whether it holds of all of them.
   *
   * @param finder by whose standards: the same one always finds the same of a key.
   */
  every(finder: object, holds: (handle: RecordHandle) => boolean): boolean {
    if (this.#finder !== finder) this.#forget();
    for (const handle of this.#finder === null ? this.handles : this.#fresh) {
      if (this.handles.has(handle) && !holds(handle)) return false;
    }
    this.#finder = finder;
    this.#fresh = [];
    return true;
  }

  #forget(): void {
    this.#finder = null;
    this.#fresh = [];
  }
}
