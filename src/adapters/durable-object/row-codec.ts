import { ByteReader, ByteWriter, crc32 } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { corrupt, decoding } from "./storage-error.ts";

/*
 * Every row of every table: a slot, which is the table's integer key and never deleted but used again (a deletion
 * would be billed as a row, and so would a key of another kind); a short head, which can be read without its body;
 * and the body.
 *
 *     head   crc of the rest (4 bytes), format version, length and crc of the body, fields of the table
 *
 * The slot goes into the head's checksum, so that a row in another's place is found out.
 */
export const FORMAT_VERSION = 1;

/** Rows may have 2 MB: this and room for the head. */
export const MAX_BODY_BYTES = 1_900_000;

export interface Row {
  readonly slot: number;
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

export const EMPTY: Uint8Array = new Uint8Array();

/** @param writeFields writes what the table keeps in the head. */
export function encodeRow(slot: number, body: Uint8Array, writeFields: (writer: ByteWriter) => void): Row {
  const writer = new ByteWriter(96);
  writer.u32(0).u8(FORMAT_VERSION).uint(body.length).u32(crc32(body));
  writeFields(writer);
  writer.patchU32(0, crc32(writer.view().subarray(4), slot));
  return { slot, head: writer.finish(), body };
}

/** A head that matches its checksum. */
export interface Head {
  readonly name: string;
  readonly bodyLength: number;
  readonly bodyCrc: number;
  /** Stands at the table's fields. */
  readonly fields: ByteReader;
}

/**
 * @param name names the row in errors.
 * @throws EngineError `storageCorrupt`, or `storageForeign` for a version of the format that this build cannot read.
 */
export function decodeHead(name: string, slot: number, head: ArrayBuffer): Head {
  const bytes = new Uint8Array(head);
  const fields = new ByteReader(bytes, name);
  if (bytes.length < 5 || fields.u32() !== crc32(bytes.subarray(4), slot)) {
    throw corrupt(`${name} does not match its checksum`);
  }
  const version = fields.u8();
  if (version !== FORMAT_VERSION) {
    const detail = `${name} has format version ${version}, this build reads version ${FORMAT_VERSION}`;
    throw new EngineError("storageForeign", { detail });
  }
  return decoding(() => ({ name, bodyLength: fields.uint(), bodyCrc: fields.u32(), fields }));
}

/** The body, if it is the one that belongs to the head. */
export function checkBody({ name, bodyLength, bodyCrc }: Head, body: ArrayBuffer): Uint8Array {
  const bytes = new Uint8Array(body);
  if (bytes.length !== bodyLength || crc32(bytes) !== bodyCrc) {
    throw corrupt(`the body of ${name} does not match its checksum`);
  }
  return bytes;
}
