import { ByteReader, ByteWriter, crc32 } from "../../../core/bytes/index.ts";
import { EngineError } from "../../../core/errors/index.ts";

/*
 * The one object of a journal that changes: when somebody takes it over, and when it is trimmed. Its size does not
 * depend on the journal's length.
 *
 *     magic (4 bytes), format version (1)
 *     journal id, generation, epoch, owner, boundary, checkpoint, CRC-32 of everything before (4)
 */

const MAGIC = 0x464d4544; // "DEMF"
const FORMAT_VERSION = 1;
const CRC_BYTES = 4;

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
  writer.u32(MAGIC).u8(FORMAT_VERSION).u64(manifest.journalId);
  writer.uint(manifest.generation).uint(manifest.epoch).u64(manifest.owner);
  writer.uint(manifest.boundary).bytes(manifest.checkpoint);
  writer.u32(crc32(writer.view()));
  return writer.finish();
}

export function decodeManifest(body: Uint8Array, place: string): Manifest {
  const reader = new ByteReader(body, place);
  if (body.length < 5 + CRC_BYTES || reader.u32() !== MAGIC) {
    throw new EngineError("storageForeign", {
      detail: `${place} was not written by d-engine; choose a prefix of its own for this node`,
    });
  }
  const version = reader.u8();
  if (version !== FORMAT_VERSION) {
    throw new EngineError("storageForeign", {
      detail: `${place} has format version ${version}, this build reads ${FORMAT_VERSION}; start the build that wrote it, or a newer one`,
    });
  }
  const end = body.length - CRC_BYTES;
  if (crc32(body.subarray(0, end)) !== new ByteReader(body.subarray(end), place).u32()) {
    throw new EngineError("storageCorrupt", {
      detail: `${place} does not match its checksum; restore the object, or let this node join anew under a new id`,
    });
  }
  return {
    journalId: reader.u64(),
    generation: reader.uint(),
    epoch: reader.uint(),
    owner: reader.u64(),
    boundary: reader.uint(),
    checkpoint: reader.bytes().slice(),
  };
}
