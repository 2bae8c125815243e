import { ByteWriter } from "../../core/bytes/index.ts";
import { decodeSnapshotMeta, encodeSnapshotMeta } from "../../core/node/codec/index.ts";
import type { SnapshotInfo } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import { begin, corrupt, type SealedFormat, seal, unseal } from "./sealed.ts";

/*
 * A snapshot's content is in chunks, `chunks/<index>-<term>/<number>-<half a SHA-256>`. The last to be written is its
 * description, `snapshots/<index>-<term>-<count>`: the count tells a later snapshot of the same position from an
 * earlier one. Numbers in names have 20 digits, so that names are in the order of the numbers.
 *
 *     magic (4 bytes), format version (1)
 *     meta, context, size and checksum of the content, bytes of a chunk, hashes of the chunks, CRC-32 (4)
 */

const FORMAT: SealedFormat = { magic: 0x4e534544, version: 1 }; // "DESN"
/** Half of a SHA-256: enough to name what nobody forges. */
export const HASH_BYTES = 16;
/** Two or three of them are in memory at a time. */
export const MAX_CHUNK_BYTES: number = 4 << 20;
export const DESCRIPTIONS = "snapshots/";
export const CHUNKS = "chunks/";

export interface SnapshotDescription {
  readonly info: SnapshotInfo;
  /** Of every chunk but the last, which may have fewer. */
  readonly chunkBytes: number;
  readonly hashes: readonly Uint8Array[];
}

const digits = (value: number): string => String(value).padStart(20, "0");

/** What the names of one position's snapshots have in common. */
export function positionName({ index, term }: SnapshotMeta): string {
  return `${digits(index)}-${digits(term)}`;
}

export function descriptionName(meta: SnapshotMeta, count: number): string {
  return `${DESCRIPTIONS}${positionName(meta)}-${digits(count)}`;
}

/** The position and the count in a description's name; null for other objects. */
export function parseDescriptionName(
  name: string,
): { readonly position: string; readonly count: number } | null {
  const match = /^snapshots\/(\d{20}-\d{20})-(\d{20})$/.exec(name);
  return match === null ? null : { position: match[1]!, count: Number(match[2]) };
}

export function chunkName(meta: SnapshotMeta, number: number, hash: Uint8Array): string {
  return `${CHUNKS}${positionName(meta)}/${String(number).padStart(8, "0")}-${hex(hash)}`;
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function hashOf(bytes: Uint8Array): Promise<Uint8Array> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest, 0, HASH_BYTES);
}

export function encodeDescription({ info, chunkBytes, hashes }: SnapshotDescription): Uint8Array {
  const writer = new ByteWriter(256 + info.context.length + hashes.length * HASH_BYTES);
  encodeSnapshotMeta(begin(writer, FORMAT), info.meta);
  writer.bytes(info.context).uint(info.size).u32(info.checksum).uint(chunkBytes).uint(hashes.length);
  for (const hash of hashes) writer.raw(hash);
  return seal(writer);
}

export function decodeDescription(body: Uint8Array, place: string): SnapshotDescription {
  const reader = unseal(body, FORMAT, place);
  const meta = decodeSnapshotMeta(reader);
  const context = reader.bytes().slice();
  const size = reader.uint();
  const checksum = reader.u32();
  const chunkBytes = reader.uint();
  const hashes: Uint8Array[] = [];
  const count = reader.count(HASH_BYTES);
  for (let i = 0; i < count; i++) hashes.push(reader.raw(HASH_BYTES).slice());
  if (chunkBytes === 0 || hashes.length !== Math.ceil(size / chunkBytes)) {
    throw corrupt(place, `has ${hashes.length} chunks of ${chunkBytes} bytes for ${size}`);
  }
  return { info: { meta, context, size, checksum }, chunkBytes, hashes };
}
