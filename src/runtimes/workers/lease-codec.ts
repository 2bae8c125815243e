import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import type { SavedLease, SavedLeases } from "../../core/node/index.ts";

const VERSION = 1;
/** An id of 8 bytes and two numbers. */
const MIN_LEASE_BYTES = 10;

/** What a leader that falls asleep writes down about its leases. */
export function encodeLeases({ term, leases }: SavedLeases): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION).uint(term).uint(leases.length);
  for (const { id, serial, endsAtMs } of leases) writer.u64(id).uint(serial).uint(Math.max(0, endsAtMs));
  return writer.finish();
}

/** @throws CodecError for what this version cannot have written. */
export function decodeLeases(saved: Uint8Array): SavedLeases {
  const reader = new ByteReader(saved, "leases");
  if (reader.u8() !== VERSION) reader.fail("their version is not known");
  const term = reader.uint();
  const leases: SavedLease[] = [];
  for (let left = reader.count(MIN_LEASE_BYTES); left > 0; left--) {
    leases.push({ id: reader.i64(), serial: reader.uint(), endsAtMs: reader.uint() });
  }
  reader.end();
  return { term, leases };
}
