import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import { tombstone } from "./keyspace.ts";
import type { RememberedWrite } from "./idempotency.ts";
import { FINGERPRINT_LENGTH, isFingerprint, isRememberedName } from "./idempotency.ts";
import type { Lease } from "./lease-table.ts";
import { MAX_AUTH_NAME_BYTES } from "./auth/types.ts";
import {
  MAX_COUNTER,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_LEASE_TTL_MS,
  MAX_REMEMBERED_RESULT_BYTES,
} from "./limits.ts";
import { decodeResult } from "./result-codec.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { NewRecord, RecordHandle, RecordHeap } from "./record-heap.ts";

/*
 * A snapshot is a sequence of frames:
 *
 *   frame    length u32 of the payload, checksum u32, payload
 *   payload  kind u8 (with MORE_FOLLOWS: the next frame continues this one), content
 *   header   magic u32, version u8, revision, compactRevision, head of auth (auth-codec.ts), alarms (alarm-codec.ts)
 *   leases   (flags u8, id i64, ttlMs, serial) each, in the order of their serials
 *   writes   (serial, key, fingerprint, result) each, in the order of their serials
 *   users    (user) each, by name
 *   roles    (role) each, by name
 *   base     records, by key: what a reader at compactRevision sees, except what changed at that very revision
 *   changes  records, in the order they were made: every change since, from that revision on. At the compacted revision
 *            there is one, unless revisions were raised to it (KvStore.raiseRevisions)
 *   end      number of base records, number of change records, number of leases, last lease serial,
 *            number of named writes, last serial of one, number of users, number of roles
 *   record   flags u8, key, modRevision, and but for a tombstone createRevision, version, [lease i64], value
 *
 * A checksum is the CRC-32 of its payload continued from the frame before, so that a missing or misplaced frame
 * shows as well as a damaged one.
 */

export const SNAPSHOT_MAGIC = 0x56_4b_45_44; // "DEKV"
/** Version 1 had no leases, version 2 no named writes, version 3 no users, version 4 no alarms. */
export const SNAPSHOT_VERSION = 5;
export const VERSION_WITHOUT_ALARMS = 4;
export const VERSION_WITHOUT_USERS = 3;
export const VERSION_WITHOUT_WRITES = 2;
export const VERSION_WITHOUT_LEASES = 1;

export const FRAME = {
  header: 1,
  base: 2,
  changes: 3,
  end: 4,
  leases: 5,
  writes: 6,
  users: 8,
  roles: 9,
} as const;
export const MORE_FOLLOWS = 0x80;

/** Largest frame, and so the largest chunk. */
export const MAX_FRAME_BYTES: number = 256 << 10;
/** Length and checksum. */
export const FRAME_HEAD_BYTES = 8;
export const MAX_PAYLOAD_BYTES: number = MAX_FRAME_BYTES - FRAME_HEAD_BYTES;

const TOMBSTONE = 1;
const LEASE = 2;
const PRIVATE_LEASE = 1;

/** No less than what `writeRecord` will write. */
export function recordSizeBound(heap: RecordHeap, handle: RecordHandle): number {
  // Flags, two lengths, three numbers of up to 8 bytes, a lease.
  return heap.keyLength(handle) + heap.valueLength(handle) + 1 + 16 + 24 + 8;
}

export function writeRecord(writer: ByteWriter, heap: RecordHeap, handle: RecordHandle): void {
  const isTombstone = heap.isTombstone(handle);
  const lease = heap.lease(handle);
  writer.u8((isTombstone ? TOMBSTONE : 0) | (lease !== 0n ? LEASE : 0));
  writer.bytes(heap.keyView(handle)).uint(heap.modRevision(handle));
  if (isTombstone) return;
  writer.uint(heap.createRevision(handle)).uint(heap.version(handle));
  if (lease !== 0n) writer.u64(lease);
  writer.bytes(heap.valueView(handle));
}

/** Key and value are views of the input; `older` is not in it. */
export function readRecord(reader: ByteReader): NewRecord {
  const flags = reader.u8();
  if (flags > LEASE) reader.fail(`unknown flags ${flags}`);
  const key = reader.bytes();
  if (key.length === 0) reader.fail("a key is empty");
  const modRevision = reader.uint();
  if (flags === TOMBSTONE) return tombstone(key, modRevision, NO_RECORD);
  const createRevision = reader.uint();
  const version = reader.uint();
  const lease = flags === LEASE ? reader.i64() : 0n;
  if (createRevision < 2 || createRevision > modRevision || version < 1 || version > MAX_COUNTER) {
    reader.fail("a key's counters contradict each other");
  }
  return { key, value: reader.bytes(), modRevision, createRevision, version, lease, older: NO_RECORD };
}

/** No less than what `writeRemembered` will write. */
export function rememberedSizeBound({ key, fingerprint, result }: RememberedWrite): number {
  // A user's name may take three bytes a character.
  return 3 * key.length + fingerprint.length + result.length + 32;
}

export function writeRemembered(
  writer: ByteWriter,
  { serial, key, fingerprint, result }: RememberedWrite,
): void {
  writer.uint(serial).string(key).string(fingerprint).bytes(result);
}

/** A copy: it outlives the input. */
export function readRemembered(reader: ByteReader): RememberedWrite {
  const serial = reader.uint();
  const key = reader.string(MAX_AUTH_NAME_BYTES + 1 + MAX_IDEMPOTENCY_KEY_LENGTH);
  const fingerprint = reader.string(FINGERPRINT_LENGTH);
  if (!isRememberedName(key) || !isFingerprint(fingerprint)) reader.fail("a write has no name");
  const result = reader.bytes(MAX_REMEMBERED_RESULT_BYTES).slice();
  decodeResult(result);
  return { serial, key, fingerprint, result };
}

export function writeLease(writer: ByteWriter, { id, ttlMs, serial, isPrivate }: Lease): void {
  writer
    .u8(isPrivate ? PRIVATE_LEASE : 0)
    .u64(id)
    .uint(ttlMs)
    .uint(serial);
}

export function readLease(reader: ByteReader): Lease {
  const flags = reader.u8();
  if (flags > PRIVATE_LEASE) reader.fail(`unknown flags ${flags}`);
  const id = reader.i64();
  const ttlMs = reader.uint();
  if (ttlMs < 1 || ttlMs > MAX_LEASE_TTL_MS) reader.fail(`a lease of ${ttlMs} ms`);
  return { id, ttlMs, serial: reader.uint(), isPrivate: flags === PRIVATE_LEASE };
}
