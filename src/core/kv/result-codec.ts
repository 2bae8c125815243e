import { ByteReader, ByteWriter } from "../bytes/index.ts";
import { assert } from "../errors/index.ts";
import { MAX_REMEMBERED_RESULT_BYTES, MAX_TXN_DEPTH } from "./limits.ts";
import type {
  KeyValue,
  KvErrorCode,
  NamedResult,
  RangeResponse,
  ResponseOp,
  Revision,
  TxnResponse,
} from "./types.ts";

/*
 * Results of named writes as bytes, in the table and in snapshots:
 *
 *   result      kind u8 (1 put, 2 deleteRange, 3 txn, 4 error, 5 too large to keep), revision, body
 *   put         count of prevKv: 0 or 1, keyValue each
 *   deleteRange deleted, count, keyValue each
 *   txn         succeeded, revision, count, (kind u8 (1, 2, 3 as above, 6 range), body) each
 *   range       more, count, number of keys, keyValue each
 *   error       u8
 *   keyValue    key, value, createRevision, modRevision, version, lease i64
 */

const KIND = { put: 1, deleteRange: 2, txn: 3, error: 4, notKept: 5, range: 6 } as const;

/** The order is part of the format. */
const ERRORS: readonly KvErrorCode[] = [
  "keyNotFound",
  "leaseNotFound",
  "leaseExists",
  "compacted",
  "futureRevision",
];

const MIN_KEY_VALUE_BYTES = 13;
const MIN_RESPONSE_BYTES = 2;

/** Of a result that is too large, only the revision. */
export function encodeResult(result: NamedResult): Uint8Array {
  const writer = new ByteWriter(64);
  writeResult(writer, result);
  if (writer.length > MAX_REMEMBERED_RESULT_BYTES) {
    writer.clear().u8(KIND.notKept).uint(result.revision);
  }
  return writer.finish();
}

/** What a repetition is answered. @throws EngineError `malformed`. */
export function decodeResult(bytes: Uint8Array): NamedResult {
  // A copy, so that what is remembered cannot be changed by whoever gets it.
  const reader = new ByteReader(bytes.slice(), "result");
  const kind = reader.u8();
  const revision = reader.uint();
  const result = readResult(reader, kind, revision);
  reader.end();
  return result;
}

function writeResult(writer: ByteWriter, result: NamedResult): void {
  writer.u8(KIND[result.type]).uint(result.revision);
  if (result.type !== "error") return writeResponse(writer, result);
  const index = ERRORS.indexOf(result.code);
  assert(index >= 0, "a write is refused for what is no reason");
  writer.u8(index);
}

function readResult(reader: ByteReader, kind: number, revision: Revision): NamedResult {
  if (kind === KIND.notKept) return { type: "error", code: "resultNotKept", revision };
  if (kind === KIND.error) {
    const index = reader.u8();
    return { type: "error", code: ERRORS[index] ?? reader.fail(`unknown error ${index}`), revision };
  }
  const op = readResponse(reader, kind, 1);
  return op.type === "range" ? reader.fail("a range is no write") : { ...op, revision, replayed: true };
}

function writeResponse(writer: ByteWriter, op: ResponseOp): void {
  switch (op.type) {
    case "put":
      return writeKeyValues(writer, op.response.prevKv === null ? [] : [op.response.prevKv]);
    case "deleteRange":
      writer.uint(op.response.deleted);
      return writeKeyValues(writer, op.response.prevKvs);
    case "range":
      writer.bool(op.response.more).uint(op.response.count);
      return writeKeyValues(writer, op.response.kvs);
    case "txn":
      return writeTxn(writer, op.response);
  }
}

function readResponse(reader: ByteReader, kind: number, depth: number): ResponseOp {
  switch (kind) {
    case KIND.put: {
      const kvs = readKeyValues(reader);
      if (kvs.length > 1) reader.fail("a put replaces more than one key");
      return { type: "put", response: { prevKv: kvs[0] ?? null } };
    }
    case KIND.deleteRange:
      return { type: "deleteRange", response: { deleted: reader.uint(), prevKvs: readKeyValues(reader) } };
    case KIND.range:
      return { type: "range", response: readRange(reader) };
    case KIND.txn:
      return { type: "txn", response: readTxn(reader, depth) };
    default:
      return reader.fail(`unknown response ${kind}`);
  }
}

function readRange(reader: ByteReader): RangeResponse {
  return { more: reader.bool(), count: reader.uint(), kvs: readKeyValues(reader) };
}

function writeTxn(writer: ByteWriter, { succeeded, revision, responses }: TxnResponse): void {
  writer.bool(succeeded).uint(revision).uint(responses.length);
  for (const op of responses) {
    writer.u8(KIND[op.type]);
    writeResponse(writer, op);
  }
}

function readTxn(reader: ByteReader, depth: number): TxnResponse {
  if (depth > MAX_TXN_DEPTH) reader.fail("transactions nest too deep");
  const succeeded = reader.bool();
  const revision = reader.uint();
  const responses: ResponseOp[] = [];
  for (let left = reader.count(MIN_RESPONSE_BYTES); left > 0; left--) {
    responses.push(readResponse(reader, reader.u8(), depth + 1));
  }
  return { succeeded, responses, revision };
}

function writeKeyValues(writer: ByteWriter, kvs: readonly KeyValue[]): void {
  writer.uint(kvs.length);
  for (const { key, value, createRevision, modRevision, version, lease } of kvs) {
    writer.bytes(key).bytes(value).uint(createRevision).uint(modRevision).uint(version).u64(lease);
  }
}

function readKeyValues(reader: ByteReader): KeyValue[] {
  const kvs: KeyValue[] = [];
  for (let left = reader.count(MIN_KEY_VALUE_BYTES); left > 0; left--) {
    kvs.push({
      key: reader.bytes(),
      value: reader.bytes(),
      createRevision: reader.uint(),
      modRevision: reader.uint(),
      version: reader.uint(),
      lease: reader.i64(),
    });
  }
  return kvs;
}
