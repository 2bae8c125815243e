import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { decodeSnapshotMeta, encodeSnapshotMeta } from "../../core/node/codec/index.ts";
import type { SnapshotInfo } from "../../core/node/index.ts";
import { corrupt } from "./storage-error.ts";

/*
 * A snapshot's file. The content comes first, in blocks of a fixed size (the last may be shorter), each behind its
 * CRC-32, so that reading can begin anywhere and never hands out a byte that was not checked. What is known only at
 * the end comes last:
 *
 *     block*         crc (4 bytes), content (BLOCK_BYTES)
 *     info           meta, context, size and checksum of the content
 *     trailer        length of info (4), crc of info (4), format version (4), magic (4)
 */
export const BLOCK_BYTES: number = 256 << 10;
export const BLOCK_CRC_BYTES = 4;
const TRAILER_BYTES = 16;
const MAGIC = 0x50414e53; // "SNAP"
const FORMAT_VERSION = 1;

/** Where block `number` begins in the file. */
export function blockOffset(number: number): number {
  return number * (BLOCK_BYTES + BLOCK_CRC_BYTES);
}

/** Bytes that content of this size takes in blocks. */
export function contentBytes(size: number): number {
  return size + Math.ceil(size / BLOCK_BYTES) * BLOCK_CRC_BYTES;
}

/** The number goes in, so that a block in another's place is found out. */
export function blockChecksum(number: number, content: Uint8Array): number {
  return crc32(content, number);
}

export function encodeTail(info: SnapshotInfo): Uint8Array {
  const writer = new ByteWriter(256 + info.context.length);
  encodeSnapshotMeta(writer, info.meta);
  writer.bytes(info.context).uint(info.size).u32(info.checksum);
  const length = writer.length;
  const checksum = crc32(writer.view());
  return writer.u32(length).u32(checksum).u32(FORMAT_VERSION).u32(MAGIC).finish();
}

/** Reads the end of a committed file, and checks that the file is as long as it says. */
export async function readTail(file: FileHandle, path: string): Promise<SnapshotInfo> {
  const { size: fileSize } = await file.stat();
  if (fileSize < TRAILER_BYTES) throw corrupt(path, `a snapshot of ${fileSize} bytes`);
  const trailer = new ByteReader(await readFully(file, path, fileSize - TRAILER_BYTES, TRAILER_BYTES), path);
  const length = trailer.u32();
  const checksum = trailer.u32();
  const version = trailer.u32();
  if (trailer.u32() !== MAGIC) throw corrupt(path, "its end is not that of a snapshot");
  if (version !== FORMAT_VERSION) {
    throw corrupt(
      path,
      `the snapshot has format version ${version}, this build reads version ${FORMAT_VERSION}`,
    );
  }
  if (length > fileSize - TRAILER_BYTES) throw corrupt(path, "its description is longer than the file");
  const bytes = await readFully(file, path, fileSize - TRAILER_BYTES - length, length);
  if (crc32(bytes) !== checksum) throw corrupt(path, "its description does not match its checksum");
  const info = decodeInfo(bytes, path);
  if (contentBytes(info.size) + length + TRAILER_BYTES !== fileSize) {
    throw corrupt(path, `a snapshot of ${info.size} bytes in a file of ${fileSize}`);
  }
  return info;
}

function decodeInfo(bytes: Uint8Array, path: string): SnapshotInfo {
  const reader = new ByteReader(bytes, path);
  const meta = decodeSnapshotMeta(reader);
  const context = reader.bytes().slice();
  const size = reader.uint();
  const info: SnapshotInfo = { meta, context, size, checksum: reader.u32() };
  reader.end();
  return info;
}

export async function readFully(
  file: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw corrupt(path, `${length} bytes wanted at ${offset}, ${done} there`);
    done += bytesRead;
  }
  return bytes;
}
