import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { decodeSnapshotMeta, encodeSnapshotMeta } from "../../core/node/codec/index.ts";
import type { SnapshotInfo } from "../../core/node/index.ts";
import { EMPTY, encodeRow, type Row } from "./row-codec.ts";
import { corrupt } from "./storage-error.ts";

/*
 * A snapshot is rows of content and, once it is committed, one row that describes it. Content of which there is no
 * description is waste, and its slots are free; so one row is what it takes to commit a snapshot, and to drop it.
 *
 *     row    kind, id of the snapshot, number of the chunk
 */
export const CHUNK_BYTES: number = 1 << 20;

const KINDS = ["free", "chunk", "info"] as const;

export interface SnapshotRow {
  readonly kind: (typeof KINDS)[number];
  /** Never used for another snapshot. */
  readonly id: number;
  readonly chunk: number;
}

/** How many rows the content takes. */
export function chunksOf(size: number): number {
  return Math.ceil(size / CHUNK_BYTES);
}

export function encodeSnapshotRow(slot: number, { kind, id, chunk }: SnapshotRow, body: Uint8Array): Row {
  return encodeRow(slot, body, (writer) => writer.u8(KINDS.indexOf(kind)).uint(id).uint(chunk));
}

export function decodeSnapshotRow(name: string, fields: ByteReader): SnapshotRow {
  const kind = KINDS[fields.u8()];
  if (kind === undefined) throw corrupt(`${name} is of no known kind`);
  const row = { kind, id: fields.uint(), chunk: fields.uint() };
  fields.end();
  return row;
}

export function encodeFree(slot: number): Row {
  return encodeSnapshotRow(slot, { kind: "free", id: 0, chunk: 0 }, EMPTY);
}

/** SnapshotInfo := meta, context, size and checksum of the content. */
export function encodeSnapshotInfo({ meta, context, size, checksum }: SnapshotInfo): Uint8Array {
  const writer = new ByteWriter(256 + context.length);
  encodeSnapshotMeta(writer, meta);
  return writer.bytes(context).uint(size).u32(checksum).finish();
}

export function decodeSnapshotInfo(name: string, bytes: Uint8Array): SnapshotInfo {
  const reader = new ByteReader(bytes, name);
  const meta = decodeSnapshotMeta(reader);
  const context = reader.bytes().slice();
  const info: SnapshotInfo = { meta, context, size: reader.uint(), checksum: reader.u32() };
  reader.end();
  return info;
}
