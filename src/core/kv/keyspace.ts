import { assert } from "../errors/index.ts";
import { type AuthState, AuthStore } from "./auth/auth-store.ts";
import { AlarmTable } from "./alarm-table.ts";
import { ChangeLog } from "./change-log.ts";
import { CowTree } from "./cow-tree.ts";
import type { KeyRange } from "./key.ts";
import type { RememberedWrite } from "./idempotency.ts";
import { IdempotencyTable } from "./idempotency.ts";
import { LeaseTable } from "./lease-table.ts";
import type { Lease } from "./lease-table.ts";
import { NO_RECORD, RecordHeap } from "./record-heap.ts";
import type { NewRecord, RecordHandle } from "./record-heap.ts";
import type { Alarm, Revision } from "./types.ts";

/** What a store without any write is at. */
export const FIRST_REVISION: Revision = 1;

/** The keys, their history and the log of changes as of one revision, while the keyspace moves on. */
export interface KeyspaceView {
  readonly heap: RecordHeap;
  readonly tree: CowTree;
  readonly log: ChangeLog;
  readonly revision: Revision;
  readonly compactRevision: Revision;
  /** In the order in which they were granted. */
  readonly leases: readonly Lease[];
  /** Number of leases ever granted. */
  readonly lastLeaseSerial: number;
  /** Oldest first. */
  readonly writes: readonly RememberedWrite[];
  /** Number of named writes ever done. */
  readonly lastWriteSerial: number;
  readonly auth: AuthState;
  readonly alarms: readonly Alarm[];
}

/** A part of a range's count. */
export interface CountedPart {
  readonly count: number;
  /** Null at the end. */
  readonly next: Uint8Array | null;
}

/** The version that a reader at `revision` sees of a key, given its newest; NO_RECORD when the key was not there. */
export function visibleAt(heap: RecordHeap, newest: RecordHandle, revision: Revision): RecordHandle {
  let handle = newest;
  while (handle !== NO_RECORD && heap.modRevision(handle) > revision) handle = heap.older(handle);
  return handle === NO_RECORD || heap.isTombstone(handle) ? NO_RECORD : handle;
}

/**
 * All keys, all their retained versions, and the store's clock. The tree has each key's newest version, from which
 * the older ones hang. Changes gather in a transaction, visible at once to itself, which `commit` makes the next
 * revision and `rollback` takes back.
 *
 * What is visible at a revision is a function of (revision, compactRevision) and the changes; how much of the rest
 * has been freed never shows. Nothing that a view could reach is freed while it is open.
 */
export class Keyspace {
  readonly heap: RecordHeap = new RecordHeap();
  readonly tree: CowTree = new CowTree(this.heap);
  readonly log: ChangeLog = new ChangeLog();
  readonly leases: LeaseTable;
  readonly writes: IdempotencyTable = new IdempotencyTable();
  readonly auth: AuthStore = new AuthStore();
  readonly alarms: AlarmTable = new AlarmTable();
  /** Revision of the last committed transaction. */
  revision: Revision = FIRST_REVISION;
  /** Reads below it are refused. 0: never compacted. */
  compactRevision: Revision = 0;
  /** Position in the log of the first change of the open transaction. */
  #committedEnd = 0;
  #openViews = 0;

  /** @param onLeaseChange told the id of every lease that comes or goes. */
  constructor(onLeaseChange?: (id: bigint) => void) {
    this.leases = new LeaseTable(onLeaseChange);
  }

  /** Revision that a reader inside the open transaction is at. */
  get readRevision(): Revision {
    return this.log.end > this.#committedEnd ? this.revision + 1 : this.revision;
  }

  get hasOpenViews(): boolean {
    return this.#openViews > 0;
  }

  /** The key's version at `revision`; NO_RECORD when it was not there. */
  get(key: Uint8Array, revision: Revision): RecordHandle {
    const newest = this.tree.get(key);
    return newest === undefined ? NO_RECORD : visibleAt(this.heap, newest, revision);
  }

  /** Visits the keys that were there at `revision`, ascending, until `visit` returns false. No changes meanwhile. */
  scan(range: KeyRange, revision: Revision, visit: (handle: RecordHandle) => boolean): void {
    const { tree } = this;
    const cursor = revision >= this.readRevision ? tree.skippingCursor() : tree.cursor();
    for (let more = cursor.seek(range.from); more; more = cursor.next()) {
      const newest = cursor.entry;
      if (range.to !== null && this.heap.compareKey(newest, range.to) >= 0) return;
      const handle = visibleAt(this.heap, newest, revision);
      if (handle !== NO_RECORD && !visit(handle)) return;
    }
  }

  /**
   * Number of keys in the range that were there at `revision`: in logarithmic time at the present one, and else in as
   * many steps as there were changes since or are keys in the range, whichever are fewer.
   */
  count(range: KeyRange, revision: Revision): number {
    const present = this.tree.count(range);
    if (revision >= this.readRevision) return present;
    const since = this.#positionAfter(revision);
    // How many keys there are to look at is found by looking at them.
    const { count, next } = this.countPart(range, revision, this.log.end - since);
    return next === null ? count : present - this.#grownBy(range, since);
  }

  /** Number of changes after a revision that can be read, those of the open transaction included. */
  changesSince(revision: Revision): number {
    return this.log.end - this.#positionAfter(revision);
  }

  #positionAfter(revision: Revision): number {
    return this.log.find((handle) => this.heap.modRevision(handle) > revision);
  }

  /** Counts up to `maxKeys` of the range, whether they were there or not; `next` is where the rest begins. */
  countPart(range: KeyRange, revision: Revision, maxKeys: number): CountedPart {
    const cursor = this.tree.cursor();
    let count = 0;
    let left = maxKeys;
    for (let more = cursor.seek(range.from); more; more = cursor.next()) {
      if (range.to !== null && this.heap.compareKey(cursor.entry, range.to) >= 0) break;
      if (left-- === 0) return { count, next: this.heap.keyCopy(cursor.entry) };
      if (visibleAt(this.heap, cursor.entry, revision) !== NO_RECORD) count++;
    }
    return { count, next: null };
  }

  /** How many keys of the range the changes from a position on have brought, those that they took away subtracted. */
  #grownBy({ from, to }: KeyRange, position: number): number {
    const { heap, log } = this;
    let grown = 0;
    for (let at = position; at < log.end; at++) {
      const handle = log.at(at);
      if (heap.compareKey(handle, from) < 0 || (to !== null && heap.compareKey(handle, to) >= 0)) continue;
      const older = heap.older(handle);
      const lived = older !== NO_RECORD && heap.counts(older);
      grown += Number(heap.counts(handle)) - Number(lived);
    }
    return grown;
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const { heap } = this;
    const modRevision = this.revision + 1;
    const older = this.tree.get(key) ?? NO_RECORD;
    const lives = older !== NO_RECORD && !heap.isTombstone(older);
    const createRevision = lives ? heap.createRevision(older) : modRevision;
    const version = lives ? heap.version(older) + 1 : 1;
    this.add(key, heap.create({ key, value, modRevision, createRevision, version, lease, older }));
  }

  /** The key must be there. */
  delete(key: Uint8Array): void {
    const older = this.tree.get(key) ?? NO_RECORD;
    assert(older !== NO_RECORD && !this.heap.isTombstone(older), "a key is deleted that is not there");
    this.add(key, this.heap.create(tombstone(key, this.revision + 1, older)));
  }

  /** Makes a record its key's newest version, and logs it. */
  add(key: Uint8Array, handle: RecordHandle): void {
    this.tree.set(key, handle);
    this.log.push(handle);
  }

  /** Ends the transaction; it becomes the next revision if it changed anything. */
  commit(): void {
    this.revision = this.readRevision;
    for (let at = this.#committedEnd; at < this.log.end; at++) this.leases.follow(this.heap, this.log.at(at));
    this.leases.commit();
    this.#committedEnd = this.log.end;
  }

  /** Undoes the transaction. */
  rollback(): void {
    while (this.log.end > this.#committedEnd) {
      const handle = this.log.pop();
      const key = this.heap.keyView(handle);
      const older = this.heap.older(handle);
      if (older === NO_RECORD) this.tree.delete(key);
      else this.tree.set(key, older);
      this.heap.free(handle);
    }
    this.leases.rollback();
  }

  /** Everything added so far is the committed state at `revision`. */
  restored(revision: Revision): void {
    this.revision = revision;
    this.#committedEnd = this.log.end;
  }

  /** Attaches every key of a restored state to its lease. Returns whether all the leases are there. */
  attachLeases(): boolean {
    const cursor = this.tree.cursor();
    while (cursor.next()) {
      if (!this.leases.restoreKey(this.heap, cursor.entry)) return false;
    }
    return true;
  }

  /** The committed state now. Takes no time worth mentioning; nothing is freed until it is closed. */
  openView(): KeyspaceView {
    assert(this.log.end === this.#committedEnd, "a view is opened inside a transaction");
    this.#openViews++;
    return {
      heap: this.heap,
      tree: this.tree.clone(),
      log: this.log.clone(),
      revision: this.revision,
      compactRevision: this.compactRevision,
      leases: [...this.leases.all()],
      lastLeaseSerial: this.leases.lastSerial,
      writes: [...this.writes.all()],
      lastWriteSerial: this.writes.lastSerial,
      auth: this.auth.state(),
      alarms: this.alarms.all,
    };
  }

  /** Once for each `openView`. */
  closeView(): void {
    assert(this.#openViews > 0, "a view is closed that was never opened");
    this.#openViews--;
  }
}

/** A record that says that its key is gone. */
export function tombstone(key: Uint8Array, modRevision: Revision, older: RecordHandle): NewRecord {
  return { key, value: NOTHING, modRevision, createRevision: 0, version: 0, lease: 0n, older };
}

const NOTHING: Uint8Array = new Uint8Array(0);
