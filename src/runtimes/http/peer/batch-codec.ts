import type { NodeId } from "../../../core/raft/index.ts";
import { ByteReader, ByteWriter } from "../../../core/bytes/index.ts";
import { FRAME_LIMITS } from "../../../core/node/codec/index.ts";
import { BATCH_KIND, MAC_BYTES, readPrefix, writePrefix } from "./envelope.ts";

/** Where a batch of frames comes from and belongs. */
export interface BatchHeader {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly from: NodeId;
  readonly to: NodeId;
  /** Drawn at random by the sender whenever its numbering starts over. */
  readonly session: bigint;
  /** Counts up from 1 within the session; no two batches share one. */
  readonly sequence: number;
}

export interface Batch {
  readonly header: BatchHeader;
  /** Views of the received bytes. */
  readonly frames: readonly Uint8Array[];
}

/** A sender closes a batch once it has this many bytes of frames. */
export const BATCH_BYTES: number = 1 << 20;

/** So a whole batch has at most as many as this: its last frame may be as large as frames get. */
export const MAX_BATCH_BYTES: number = 2 * BATCH_BYTES + FRAME_LIMITS.maxFrameBytes;

/** Longest group id, in UTF-8 bytes. */
export const MAX_GROUP_ID_BYTES = 128;

// Magic, version and kind; five ids and numbers; the group id with its length; the number of frames.
const HEADER_BOUND = 8 + 5 * 8 + (MAX_GROUP_ID_BYTES + 2) + 8;
const FRAME_PREFIX_BOUND = 8;

/** Bytes that a batch of these frames takes at most. */
export function batchSizeBound(frames: readonly Uint8Array[]): number {
  let size = HEADER_BOUND + MAC_BYTES;
  for (const frame of frames) size += frame.length + FRAME_PREFIX_BOUND;
  return size;
}

/** The batch, with room for its MAC at the end; `seal` fills it in. */
export function encodeBatch(header: BatchHeader, frames: readonly Uint8Array[]): Uint8Array {
  // Sized up front: the frames are copied once, and the writer never grows.
  const writer = new ByteWriter(batchSizeBound(frames));
  writePrefix(writer, BATCH_KIND);
  writer
    .u64(header.clusterId)
    .string(header.groupId)
    .u64(header.from)
    .u64(header.to)
    .u64(header.session)
    .uint(header.sequence)
    .uint(frames.length);
  for (const frame of frames) writer.bytes(frame);
  return writer.raw(NO_MAC).view();
}

/** Reads a whole sealed batch. Believes nothing: its MAC is checked apart. Throws `malformed`. */
export function decodeBatch(sealed: Uint8Array): Batch {
  const reader = new ByteReader(sealed.subarray(0, Math.max(0, sealed.length - MAC_BYTES)), "peer batch");
  readPrefix(reader, BATCH_KIND);
  const header: BatchHeader = {
    clusterId: reader.u64(),
    groupId: reader.string(MAX_GROUP_ID_BYTES),
    from: reader.u64(),
    to: reader.u64(),
    session: reader.u64(),
    sequence: reader.uint(),
  };
  if (header.sequence === 0) reader.fail("sequence numbers start at 1");
  const count = reader.count(1);
  if (count === 0) reader.fail("it carries no frame");
  const frames: Uint8Array[] = [];
  for (let i = 0; i < count; i++) frames.push(reader.bytes());
  reader.end();
  return { header, frames };
}

const NO_MAC = new Uint8Array(MAC_BYTES);
