import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import { keyFromBytes, keyToBytes } from "./key.ts";
import type { BinaryKey } from "./key.ts";
import { Version } from "./key-history.ts";
import { valueView } from "./value-arena.ts";

/*
 * A snapshot is a sequence of frames:
 *
 *   frame    length u32 of the payload, checksum u32, payload
 *   payload  kind u8 (with MORE_FOLLOWS: the next frame continues this one), content
 *   header   magic u32, version u8, revision, compactRevision
 *   base     records, by key: what a reader at compactRevision sees, except what changed at that very revision
 *   changes  records, in the order they were made: every change since, from that revision on
 *   end      number of base records, number of change records
 *   record   flags u8, key, modRevision, and but for a tombstone createRevision, version, [lease i64], value
 *
 * A checksum is the CRC-32 of its payload continued from the frame before, so that a missing or misplaced frame
 * shows as well as a damaged one.
 */

export const SNAPSHOT_MAGIC = 0x56_4b_45_44; // "DEKV"
export const SNAPSHOT_VERSION = 1;

export const FRAME = { header: 1, base: 2, changes: 3, end: 4 } as const;
export const MORE_FOLLOWS = 0x80;

/** Largest frame, and so the largest chunk. */
export const MAX_FRAME_BYTES: number = 256 << 10;
/** Length and checksum. */
export const FRAME_HEAD_BYTES = 8;
export const MAX_PAYLOAD_BYTES: number = MAX_FRAME_BYTES - FRAME_HEAD_BYTES;

const TOMBSTONE = 1;
const LEASE = 2;

/** No less than what `writeRecord` will write. */
export function recordSizeBound(key: BinaryKey, version: Version): number {
  // Flags, two lengths, three numbers of up to 8 bytes, a lease.
  return key.length + version.length + 1 + 16 + 24 + 8;
}

export function writeRecord(writer: ByteWriter, key: BinaryKey, version: Version): void {
  const hasLease = version.lease !== 0n;
  writer.u8((version.isTombstone ? TOMBSTONE : 0) | (hasLease ? LEASE : 0));
  writer.bytes(keyToBytes(key)).uint(version.modRevision);
  if (version.isTombstone) return;
  writer.uint(version.createRevision).uint(version.version);
  if (hasLease) writer.u64(version.lease);
  writer.bytes(valueView(version));
}

/** A record read back. The version has no value yet: `value` is a view of the input. */
export interface SnapshotRecord {
  readonly key: BinaryKey;
  readonly version: Version;
  readonly value: Uint8Array;
}

export function readRecord(reader: ByteReader): SnapshotRecord {
  const flags = reader.u8();
  if (flags > LEASE) reader.fail(`unknown flags ${flags}`);
  const key = keyFromBytes(reader.bytes());
  if (key === "") reader.fail("a key is empty");
  const modRevision = reader.uint();
  if (flags === TOMBSTONE) return { key, version: Version.tombstone(modRevision), value: NOTHING };
  const createRevision = reader.uint();
  const version = reader.uint();
  const lease = flags === LEASE ? reader.i64() : 0n;
  if (createRevision < 2 || createRevision > modRevision || version < 1) {
    reader.fail("a key's counters contradict each other");
  }
  return { key, version: new Version(modRevision, createRevision, version, lease), value: reader.bytes() };
}

const NOTHING: Uint8Array = new Uint8Array(0);
