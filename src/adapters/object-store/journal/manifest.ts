import { ByteWriter } from "../../../core/bytes/index.ts";
import { begin, type SealedFormat, seal, unseal } from "../sealed.ts";

/*
 * The one object of a journal that changes: when somebody takes it over, and when it is trimmed. Its size does not
 * depend on the journal's length.
 *
 *     magic (4 bytes), format version (1)
 *     journal id, generation, epoch, owner, boundary, checkpoint, CRC-32 of everything before (4)
 */

const FORMAT: SealedFormat = { magic: 0x464d4544, version: 1 }; // "DEMF"

export interface Manifest {
  readonly journalId: bigint;
  /** Counts the changes, so that no content ever comes back: a store may name a version by its content. */
  readonly generation: number;
  /** Counts the owners. */
  readonly epoch: number;
  /** The nonce of the process that owns the journal. */
  readonly owner: bigint;
  /** The oldest slot that counts: what is before it may be deleted. Never goes back. */
  readonly boundary: number;
  /** What the records before the boundary amount to; opaque here. */
  readonly checkpoint: Uint8Array;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const writer = new ByteWriter(128 + manifest.checkpoint.length);
  begin(writer, FORMAT).u64(manifest.journalId);
  writer.uint(manifest.generation).uint(manifest.epoch).u64(manifest.owner);
  writer.uint(manifest.boundary).bytes(manifest.checkpoint);
  return seal(writer);
}

export function decodeManifest(body: Uint8Array, place: string): Manifest {
  const reader = unseal(body, FORMAT, place);
  return {
    journalId: reader.u64(),
    generation: reader.uint(),
    epoch: reader.uint(),
    owner: reader.u64(),
    boundary: reader.uint(),
    checkpoint: reader.bytes().slice(),
  };
}
