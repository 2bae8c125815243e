import { ByteWriter } from "../bytes/index.ts";
import { writeAlarms } from "./alarm-codec.ts";
import { writeAuthHead, writeRole, writeUser } from "./auth/auth-codec.ts";
import { Hash64 } from "./hash64.ts";
import { visibleAt } from "./keyspace.ts";
import type { KeyspaceView } from "./keyspace.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle, RecordHeap } from "./record-heap.ts";
import { writeLease, writeRemembered } from "./snapshot-format.ts";
import type { TreeCursor } from "./tree-cursor.ts";
import type { Revision } from "./types.ts";

/** In one step, or a little more: about a millisecond. */
const MAX_BYTES_PER_STEP: number = 512 << 10;
/** Of leases and their like. */
const MAX_RECORDS_PER_STEP = 1000;

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
  readonly #hash = new Hash64();
  #more: boolean;

  /** @param state must not change until the hash is done. */
  constructor(state: Pick<KeyspaceView, "heap" | "tree">, revision: Revision) {
    this.#revision = revision;
    this.#heap = state.heap;
    this.#cursor = state.tree.cursor();
    this.#more = this.#cursor.next();
  }

  /** Takes in up to `maxKeys` more keys, fewer if they or their values are long. Returns whether some are left. */
  step(maxKeys: number): boolean {
    let bytes = 0;
    for (let left = maxKeys; this.#more && left > 0 && bytes < MAX_BYTES_PER_STEP; left--) {
      const handle = visibleAt(this.#heap, this.#cursor.entry, this.#revision);
      if (handle !== NO_RECORD) bytes += this.#addKey(handle);
      this.#more = this.#cursor.next();
    }
    return this.#more;
  }

  /** 16 hexadecimal digits. Call it after `step` has returned false. */
  digest(): string {
    return this.#hash.add(this.#record.clear().u64(BigInt(this.#revision)).view()).digest();
  }

  /** Returns how many bytes that were. */
  #addKey(handle: RecordHandle): number {
    const heap = this.#heap;
    const record = this.#record.clear();
    record.bytes(heap.keyView(handle)).uint(heap.modRevision(handle)).uint(heap.createRevision(handle));
    record.uint(heap.version(handle)).u64(heap.lease(handle)).bytes(heap.valueView(handle));
    this.#hash.add(record.view());
    return record.length;
  }
}

/**
 * Hash of a whole state, from that of its keys: all besides that is of no revision. In small steps; the last gives it.
 */
export function* wholeHash(
  keysHash: string,
  view: Omit<KeyspaceView, "heap" | "tree" | "log" | "revision">,
): Generator<void, string, undefined> {
  const hash = new Hash64();
  const record = new ByteWriter();
  let records = 0;
  let bytes = 0;
  for (const write of recordsOf(keysHash, view)) {
    write(record.clear());
    hash.add(record.view());
    records++;
    bytes += record.length;
    if (records < MAX_RECORDS_PER_STEP && bytes < MAX_BYTES_PER_STEP) continue;
    yield;
    records = 0;
    bytes = 0;
  }
  return hash.digest();
}

function* recordsOf(
  keysHash: string,
  { alarms, auth, leases, writes, ...view }: Parameters<typeof wholeHash>[1],
): Generator<(record: ByteWriter) => void, void, undefined> {
  yield (record) => {
    writeAlarms(record.string(keysHash), alarms);
    record.uint(view.compactRevision).uint(view.lastLeaseSerial).uint(leases.length);
    record.uint(view.lastWriteSerial).uint(writes.length).uint(auth.users.length).uint(auth.roles.length);
    writeAuthHead(record, auth);
  };
  for (const lease of leases) yield (record) => writeLease(record, lease);
  for (const write of writes) yield (record) => writeRemembered(record, write);
  for (const user of auth.users) yield (record) => writeUser(record, user);
  for (const role of auth.roles) yield (record) => writeRole(record, role);
}
