import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { decodeEntry, encodeEntry } from "../../core/node/codec/index.ts";
import type { Entry } from "../../core/raft/index.ts";

/*
 * Entries on their way between the threads: one buffer, so that it can be transferred and not copied. Each is a
 * length (four bytes) and the encoded entry, which is also what a row of the log holds.
 */

const LENGTH_BYTES = 4;

export function packEntries(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  let capacity = 64;
  for (const entry of entries) capacity += 64 + (entry.kind === "command" ? entry.data.length : 0);
  const writer = new ByteWriter(capacity);
  for (const entry of entries) {
    const start = writer.length;
    encodeEntry(writer.u32(0), entry);
    writer.patchU32(start, writer.length - start - LENGTH_BYTES);
  }
  // Transferred, the buffer moves whole, whatever part of it the view shows.
  return writer.view() as Uint8Array<ArrayBuffer>;
}

export function packRows(rows: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(rows.reduce((sum, row) => sum + LENGTH_BYTES + row.length, 0));
  const view = new DataView(packed.buffer);
  let offset = 0;
  for (const row of rows) {
    view.setUint32(offset, row.length, true);
    packed.set(row, offset + LENGTH_BYTES);
    offset += LENGTH_BYTES + row.length;
  }
  return packed;
}

/** The encoded entries, as views. */
export function* unpackRows(packed: Uint8Array): Generator<Uint8Array, void, undefined> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let offset = 0;
  while (offset < packed.length) {
    const start = offset + LENGTH_BYTES;
    const end = start + view.getUint32(offset, true);
    yield packed.subarray(start, end);
    offset = end;
  }
}

/** The entries; their data are views of `packed`. */
export function unpackEntries(packed: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  for (const row of unpackRows(packed)) entries.push(decodeEntry(new ByteReader(row, "log entry")));
  return entries;
}
