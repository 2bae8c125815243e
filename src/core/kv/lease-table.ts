import { assert } from "../errors/index.ts";
import { LeaseKeys } from "./lease-keys.ts";
import { MAX_LEASES } from "./limits.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";

/** A lease as the log knows it. When it ends is the leader's business: no clock reaches the state machine. */
export interface Lease {
  readonly id: bigint;
  /** How long it lives after it was granted or last renewed. */
  readonly ttlMs: number;
  /**
   * Counts the leases ever granted. It tells a lease from a later one under the same id, which an expiry that was
   * decided for the first must not end.
   */
  readonly serial: number;
  /** Made by a put with a TTL of its own: it goes with the last key attached to it. */
  readonly isPrivate: boolean;
}

const NO_KEYS: ReadonlySet<RecordHandle> = new Set();

/**
 * The leases, and the keys attached to each: a key belongs to the lease that its newest version names. Leases that
 * the open transaction has made are taken back with it; attachments follow when it commits.
 */
export class LeaseTable {
  /** In the order in which they were granted. */
  readonly #leases: Map<bigint, Lease> = new Map();
  readonly #keys: Map<bigint, LeaseKeys> = new Map();
  #lastSerial = 0;
  /** Made by the open transaction. */
  #uncommitted: Lease[] = [];
  readonly #onChange: (id: bigint) => void;

  /** @param onChange told the id of every lease that comes or goes, once that is certain. */
  constructor(onChange: (id: bigint) => void = () => {}) {
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** There may be no more of them. */
  get isFull(): boolean {
    return this.#leases.size >= MAX_LEASES;
  }

  /** Number of leases ever granted. */
  get lastSerial(): number {
    return this.#lastSerial;
  }

  get(id: bigint): Lease | undefined {
    return this.#leases.get(id);
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /** In the order in which they were granted. */
  all(): IterableIterator<Lease> {
    return this.#leases.values();
  }

  /** Newest versions of the keys attached to a lease, in no order. */
  keysOf(id: bigint): ReadonlySet<RecordHandle> {
    return this.#keys.get(id)?.handles ?? NO_KEYS;
  }

  /** Whether something holds of all keys attached to a lease: see {@link LeaseKeys.every}. */
  everyKey(id: bigint, finder: object, holds: (handle: RecordHandle) => boolean): boolean {
    return this.#keys.get(id)?.every(finder, holds) ?? true;
  }

  /** In the open transaction. There must be none of that id. */
  grant(id: bigint, ttlMs: number, isPrivate: boolean): void {
    assert(id !== 0n && !this.#leases.has(id), "a lease is granted twice");
    const lease = { id, ttlMs, serial: ++this.#lastSerial, isPrivate };
    this.#leases.set(id, lease);
    this.#uncommitted.push(lease);
  }

  /** For good, whatever becomes of its keys. */
  remove(id: bigint): void {
    this.#leases.delete(id);
    this.#keys.delete(id);
    this.#onChange(id);
  }

  /** Attaches and detaches as a committed change of a key says. Changes come in their order. */
  follow(heap: RecordHeap, handle: RecordHandle): void {
    const older = heap.older(handle);
    const before = older === NO_RECORD ? 0n : heap.lease(older);
    const after = heap.lease(handle);
    // First, so that a private lease whose key is put anew under it is not taken for one without keys.
    if (after !== 0n) this.#attach(after, handle);
    if (before !== 0n) this.#detach(before, older);
  }

  /** A key's newest version lies in another place. */
  moved(heap: RecordHeap, from: RecordHandle, to: RecordHandle): void {
    const keys = this.#keys.get(heap.lease(to));
    if (keys?.delete(from) === true) keys.add(to);
  }

  commit(): void {
    if (this.#uncommitted.length === 0) return;
    for (const { id } of this.#uncommitted) this.#onChange(id);
    this.#uncommitted = [];
  }

  rollback(): void {
    for (const { id } of this.#uncommitted) this.#leases.delete(id);
    this.#lastSerial -= this.#uncommitted.length;
    this.#uncommitted = [];
  }

  /** From a snapshot, in the order of their serials. Returns whether it can be. */
  restore(lease: Lease): boolean {
    const { id, serial } = lease;
    if (this.isFull || id === 0n || this.#leases.has(id) || serial <= this.#lastSerial) return false;
    this.#leases.set(id, lease);
    this.#lastSerial = serial;
    return true;
  }

  /** From a snapshot: leases were granted that are gone. Returns whether it can be. */
  restoreSerial(lastSerial: number): boolean {
    if (lastSerial < this.#lastSerial) return false;
    this.#lastSerial = lastSerial;
    return true;
  }

  /** From a snapshot: a key's newest version. Returns whether its lease is there. */
  restoreKey(heap: RecordHeap, handle: RecordHandle): boolean {
    const id = heap.lease(handle);
    if (id === 0n) return true;
    if (!this.#leases.has(id)) return false;
    this.#attach(id, handle);
    return true;
  }

  #attach(id: bigint, handle: RecordHandle): void {
    assert(this.#leases.has(id), "a key is attached to a lease that is not there");
    const keys = this.#keys.get(id) ?? new LeaseKeys();
    if (keys.size === 0) this.#keys.set(id, keys);
    keys.add(handle);
  }

  #detach(id: bigint, handle: RecordHandle): void {
    const keys = this.#keys.get(id);
    // A lease that has been removed has no keys any more.
    if (keys?.delete(handle) !== true || keys.size > 0) return;
    this.#keys.delete(id);
    if (this.#leases.get(id)?.isPrivate === true) this.remove(id);
  }
}
