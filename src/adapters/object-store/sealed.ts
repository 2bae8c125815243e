import { ByteReader, type ByteWriter, crc32 } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";

/*
 * What all objects of ours but the chunks of snapshots have in common: they begin with
 *
 *     magic (4 bytes), format version (1)
 *
 * and end with a CRC-32 (4) of everything before.
 */

export interface SealedFormat {
  readonly magic: number;
  readonly version: number;
}

/** The seal's and the beginning's bytes. */
export const SEAL_BYTES = 4;
const BEGINNING_BYTES = 5;

/** Begins an object. */
export function begin(writer: ByteWriter, { magic, version }: SealedFormat): ByteWriter {
  return writer.u32(magic).u8(version);
}

/** Ends it. */
export function seal(writer: ByteWriter): Uint8Array {
  writer.u32(crc32(writer.view()));
  return writer.finish();
}

/**
 * A reader of what stands between beginning and seal.
 *
 * @throws EngineError `storageForeign` for what another program or another version has written, `storageCorrupt`.
 */
export function unseal(body: Uint8Array, { magic, version }: SealedFormat, place: string): ByteReader {
  const reader = new ByteReader(body, place);
  if (body.length < BEGINNING_BYTES + SEAL_BYTES || reader.u32() !== magic) {
    throw new EngineError("storageForeign", {
      detail: `${place} was not written by d-engine; choose a prefix of its own for this node`,
    });
  }
  const found = reader.u8();
  if (found !== version) {
    throw new EngineError("storageForeign", {
      detail: `${place} has format version ${found}, this build reads ${version}; start the build that wrote it, or a newer one`,
    });
  }
  const end = body.length - SEAL_BYTES;
  if (crc32(body.subarray(0, end)) !== new ByteReader(body.subarray(end), place).u32()) {
    throw corrupt(place, "does not match its checksum");
  }
  return reader;
}

export function corrupt(place: string, problem: string): EngineError {
  return new EngineError("storageCorrupt", {
    detail: `${place} ${problem}; restore the object, or let this node join anew under a new id`,
  });
}
