import { ByteReader, ByteWriter, crc32 } from "../../bytes/index.ts";
import { assert, assertNever, EngineError } from "../../errors/index.ts";
import type { Frame, FrameBody, FrameHeader, SnapshotHeading } from "../frames.ts";
import { MAX_SNAPSHOT_NAME_BYTES } from "../ports.ts";
import { decodeConfChange, encodeConfChange } from "./entry-codec.ts";
import { decodeMemberUpdate, encodeMemberUpdate } from "./membership-codec.ts";
import { asksForResult, decodeMessage, encodeMessage, messageSizeHint } from "./message-codec.ts";
import { decodeProposalId, encodeProposalId } from "./proposal-codec.ts";
import { decodeNodeId, decodeSnapshotMeta, encodeSnapshotMeta } from "./state-codec.ts";

/**
 * What members send each other. Numbers are little-endian.
 *
 *     0  "DEF"           3 bytes
 *     3  version         1 byte
 *     4  payload length  4 bytes
 *     8  CRC-32 of the payload, 4 bytes
 *    12  payload: clusterId, groupId, from, to, body type, body
 */
export const FRAME_VERSION = 1;

const MAGIC = [0x44, 0x45, 0x46] as const;
const LENGTH_OFFSET = 4;
const CHECKSUM_OFFSET = 8;
const PAYLOAD_OFFSET = 12;
/** The ids and the body type, and a few to spare. */
const ADDRESS_BYTES = 32;

/** Longest question to the leader, and longest answer. */
const MAX_QUERY_BYTES = 1024;

/** Longest group id, in bytes of UTF-8. */
export const MAX_GROUP_ID_BYTES = 255;
const MAX_ERROR_CODE_BYTES = 64;
const MAX_ERROR_DETAIL_BYTES = 64 << 10;

/** What a frame that arrives may cost. */
export interface FrameLimits {
  /** Must leave room for one AppendEntries, whose one entry may be as large as the largest request. */
  readonly maxFrameBytes: number;
}

export const FRAME_LIMITS: FrameLimits = { maxFrameBytes: 16 << 20 };

/**
 * Longest command that may be proposed: an entry that fits into no frame could never be replicated, and everything
 * behind it would wait for ever.
 */
export const MAX_COMMAND_BYTES: number = FRAME_LIMITS.maxFrameBytes - (64 << 10);

const BODY_RAFT = 1;
const BODY_FORWARD = 2;
const BODY_FORWARD_REJECTED = 3;
const BODY_SNAPSHOT_CHUNK = 4;
const BODY_SNAPSHOT_CHUNK_RESULT = 5;
const BODY_QUERY = 6;
const BODY_QUERY_RESULT = 7;
const BODY_SNAPSHOT_NAME = 8;

const PAYLOAD_COMMAND = 1;
const PAYLOAD_MEMBER = 2;
const PAYLOAD_CONF_CHANGE = 3;

const CHUNK_STATUSES = ["more", "done", "refused", "copying"] as const;

export function encodeFrame(header: FrameHeader, body: FrameBody): Uint8Array {
  const writer = new ByteWriter(PAYLOAD_OFFSET + ADDRESS_BYTES + header.groupId.length + bodySizeHint(body));
  for (const byte of MAGIC) writer.u8(byte);
  writer.u8(FRAME_VERSION).u32(0).u32(0);
  writer.u64(header.clusterId).string(header.groupId).u64(header.from).u64(header.to);
  encodeBody(writer, header, body);
  const payload = writer.view().subarray(PAYLOAD_OFFSET);
  writer.patchU32(LENGTH_OFFSET, payload.length).patchU32(CHECKSUM_OFFSET, crc32(payload));
  // No copy: the buffer was made for this frame alone.
  return writer.view();
}

/**
 * Reads a frame that may be anything at all; every fault is an EngineError `malformed`. The entries of an
 * AppendEntries are copied. The `data` and `context` of a snapshot chunk and the command of a forward are views of
 * `bytes`, since the driver hands them on at once.
 */
export function decodeFrame(bytes: Uint8Array, limits: FrameLimits = FRAME_LIMITS): Frame {
  const payload = openEnvelope(bytes, limits);
  const reader = new ByteReader(payload, "frame");
  const clusterId = reader.u64();
  const groupId = reader.string(MAX_GROUP_ID_BYTES);
  const header: FrameHeader = { clusterId, groupId, from: decodeNodeId(reader), to: decodeNodeId(reader) };
  const body = decodeBody(reader, header);
  reader.end();
  return { header, body };
}

const ASKING: ReadonlySet<number> = new Set([
  BODY_FORWARD,
  BODY_SNAPSHOT_CHUNK,
  BODY_SNAPSHOT_NAME,
  BODY_QUERY,
]);

/**
 * Whether whoever sent this frame will be sent one in return, soon and as a rule: for transports on which an answer
 * can travel back with the receipt. A hint: any bytes give one, and nothing is checked.
 */
export function asksForAnswer(frame: Uint8Array): boolean {
  try {
    const reader = new ByteReader(frame.subarray(PAYLOAD_OFFSET), "frame");
    reader.u64();
    reader.string(MAX_GROUP_ID_BYTES);
    reader.u64();
    reader.u64();
    const type = reader.u8();
    if (type === BODY_RAFT) return asksForResult(reader);
    return ASKING.has(type);
  } catch {
    return false;
  }
}

/** Checks everything that can be checked without believing a byte of the payload. */
function openEnvelope(bytes: Uint8Array, limits: FrameLimits): Uint8Array {
  if (bytes.length > limits.maxFrameBytes) {
    refuse(`the frame has ${bytes.length} bytes, the limit is ${limits.maxFrameBytes}`);
  }
  if (bytes.length < PAYLOAD_OFFSET) refuse(`a frame of ${bytes.length} bytes is too short`);
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) refuse("these bytes are not a frame");
  const version = bytes[MAGIC.length]!;
  if (version !== FRAME_VERSION) {
    refuse(`the frame has version ${version}, this build speaks version ${FRAME_VERSION}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const payload = bytes.subarray(PAYLOAD_OFFSET);
  const length = view.getUint32(LENGTH_OFFSET, true);
  if (length !== payload.length) refuse(`the frame promises ${length} bytes and holds ${payload.length}`);
  if (view.getUint32(CHECKSUM_OFFSET, true) !== crc32(payload)) refuse("the frame's checksum does not match");
  return payload;
}

function refuse(detail: string): never {
  throw new EngineError("malformed", { detail });
}

function bodySizeHint(body: FrameBody): number {
  if (body.type === "raft") return messageSizeHint(body.message);
  if (body.type === "snapshotChunk") return body.data.length + body.context.length + 256;
  if (body.type === "forward" && body.payload.type === "command") return body.payload.command.length;
  return 0;
}

function encodeBody(writer: ByteWriter, header: FrameHeader, body: FrameBody): void {
  switch (body.type) {
    case "raft":
      // The message's own addresses are not written: the receiver takes the frame's, which are authenticated.
      assert(
        body.message.from === header.from && body.message.to === header.to,
        "a message in a foreign frame",
      );
      writer.u8(BODY_RAFT);
      encodeMessage(writer, body.message);
      return;
    case "forward":
      writer.u8(BODY_FORWARD).uint(body.term);
      encodeProposalId(writer, body.id);
      encodeForwardPayload(writer, body.payload);
      return;
    case "forwardRejected":
      writer.u8(BODY_FORWARD_REJECTED);
      encodeProposalId(writer, body.id);
      writer.string(body.code).string(body.detail).f64(body.retryAfterMs);
      return;
    case "snapshotChunk":
      encodeHeading(writer.u8(BODY_SNAPSHOT_CHUNK), body);
      writer.uint(body.offset).bytes(body.data);
      return;
    case "snapshotName":
      encodeHeading(writer.u8(BODY_SNAPSHOT_NAME), body);
      writer.string(body.name);
      return;
    case "snapshotChunkResult":
      writer.u8(BODY_SNAPSHOT_CHUNK_RESULT).u64(body.transferId);
      writer.u8(CHUNK_STATUSES.indexOf(body.status)).uint(body.nextOffset);
      return;
    case "query":
      writer.u8(BODY_QUERY).u64(body.id).bytes(body.question);
      return;
    case "queryResult":
      writer
        .u8(BODY_QUERY_RESULT)
        .u64(body.id)
        .bool(body.answer !== null);
      if (body.answer !== null) writer.bytes(body.answer);
      return;
    default:
      assertNever(body, "frame body");
  }
}

function decodeBody(reader: ByteReader, header: FrameHeader): FrameBody {
  const type = reader.u8();
  switch (type) {
    case BODY_RAFT:
      return { type: "raft", message: decodeMessage(reader, header.from, header.to) };
    case BODY_FORWARD: {
      const term = reader.uint();
      const id = decodeProposalId(reader);
      return { type: "forward", term, id, payload: decodeForwardPayload(reader) };
    }
    case BODY_FORWARD_REJECTED: {
      const id = decodeProposalId(reader);
      const code = reader.string(MAX_ERROR_CODE_BYTES);
      const detail = reader.string(MAX_ERROR_DETAIL_BYTES);
      const retryAfterMs = reader.f64();
      if (!(Number.isFinite(retryAfterMs) && retryAfterMs >= 0))
        reader.fail("the advice to retry is not a duration");
      return { type: "forwardRejected", id, code, detail, retryAfterMs };
    }
    case BODY_SNAPSHOT_CHUNK:
      return decodeSnapshotChunk(reader);
    case BODY_SNAPSHOT_NAME: {
      const heading = decodeHeading(reader);
      return { type: "snapshotName", ...heading, name: reader.string(MAX_SNAPSHOT_NAME_BYTES) };
    }
    case BODY_SNAPSHOT_CHUNK_RESULT: {
      const transferId = reader.u64();
      const statusTag = reader.u8();
      const status = CHUNK_STATUSES[statusTag];
      if (status === undefined) return reader.fail(`${statusTag} is no status of a snapshot transfer`);
      return { type: "snapshotChunkResult", transferId, status, nextOffset: reader.uint() };
    }
    case BODY_QUERY:
      return { type: "query", id: reader.u64(), question: reader.bytes(MAX_QUERY_BYTES) };
    case BODY_QUERY_RESULT: {
      const id = reader.u64();
      return { type: "queryResult", id, answer: reader.bool() ? reader.bytes(MAX_QUERY_BYTES) : null };
    }
    default:
      return reader.fail(`${type} is no type of frame`);
  }
}

function encodeHeading(writer: ByteWriter, heading: SnapshotHeading): void {
  writer.uint(heading.term).u64(heading.transferId);
  encodeSnapshotMeta(writer, heading.meta);
  writer.bytes(heading.context).uint(heading.size).u32(heading.checksum);
}

function decodeHeading(reader: ByteReader): SnapshotHeading {
  const term = reader.uint();
  const transferId = reader.u64();
  const meta = decodeSnapshotMeta(reader);
  const context = reader.bytes();
  return { term, transferId, meta, context, size: reader.uint(), checksum: reader.u32() };
}

function decodeSnapshotChunk(reader: ByteReader): FrameBody {
  const heading = decodeHeading(reader);
  const offset = reader.uint();
  const data = reader.bytes();
  if (offset + data.length > heading.size)
    reader.fail(`bytes ${offset} + ${data.length} of a snapshot of ${heading.size} bytes`);
  return { type: "snapshotChunk", ...heading, offset, data };
}

type ForwardPayload = Extract<FrameBody, { readonly type: "forward" }>["payload"];

function encodeForwardPayload(writer: ByteWriter, payload: ForwardPayload): void {
  switch (payload.type) {
    case "command":
      writer.u8(PAYLOAD_COMMAND).bytes(payload.command);
      return;
    case "member":
      writer.u8(PAYLOAD_MEMBER);
      encodeMemberUpdate(writer, payload.update);
      return;
    case "confChange":
      writer.u8(PAYLOAD_CONF_CHANGE);
      encodeConfChange(writer, payload.change);
      return;
    default:
      assertNever(payload, "forwarded proposal");
  }
}

function decodeForwardPayload(reader: ByteReader): ForwardPayload {
  const type = reader.u8();
  switch (type) {
    case PAYLOAD_COMMAND:
      return { type: "command", command: reader.bytes() };
    case PAYLOAD_MEMBER:
      return { type: "member", update: decodeMemberUpdate(reader) };
    case PAYLOAD_CONF_CHANGE:
      return { type: "confChange", change: decodeConfChange(reader) };
    default:
      return reader.fail(`${type} is no type of forwarded proposal`);
  }
}
