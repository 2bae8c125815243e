import { ByteReader, ByteWriter } from "../bytes/index.ts";
import { assert, assertNever } from "../errors/index.ts";
import { readAuthCommand, readCaller, writeAuthCommand, writeCaller } from "./auth/auth-codec.ts";
import { indexIn, NOTHING, pick, readFlags, readKey, readWhole, writeKey } from "./codec-fields.ts";
import { readAlarmCommand, writeAlarmCommand } from "./alarm-codec.ts";
import { FINGERPRINT_LENGTH, isFingerprint } from "./idempotency.ts";
import { isIdempotencyKey } from "./idempotency-key.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH, MAX_LEASE_TTL_MS, MAX_TXN_DEPTH } from "./limits.ts";
import type {
  CommandOf,
  Compare,
  CompareResult,
  DeleteRangeRequest,
  ExpiredLease,
  KvCommand,
  LeaseExpireCommand,
  LeaseGrantCommand,
  NamedWrite,
  OnceCommand,
  PutRequest,
  RangeRequest,
  RequestOp,
  SortOrder,
  SortTarget,
  TxnRequest,
} from "./types.ts";

/*
 * Commands as bytes in the log. Logs outlive programs: a new layout takes a new version, and the old ones stay
 * readable.
 *
 *   command     version u8 = 1, operation
 *   operation   kind u8 (1 put, 2 deleteRange, 3 txn, 4 compact, 5 range, 6 leaseGrant, 7 leaseRevoke,
 *               8 leaseExpire, 9 once, 10 alarm, 11 auth, 12 as), body
 *   put         flags u8, key, [value] unless ignoreValue, [lease i64] if flagged, [ttlMs uint] if flagged
 *   deleteRange flags u8, key, [rangeEnd]
 *   range       flags u16, key, [rangeEnd], [limit], [revision], [4 filters] as flagged, order u8, target u8
 *   txn         count, compares, count, operations, count, operations
 *   compare     result u8, target u8, key, rangeEnd, operand
 *   compact     revision
 *   leaseGrant  id i64, ttlMs uint
 *   leaseRevoke id i64
 *   leaseExpire term uint, count, (id i64, serial uint) each
 *   once        key, fingerprint, forgetTo uint, operation: put, deleteRange or txn
 *   alarm       see alarm-codec.ts
 *   auth        a change, see auth-codec.ts
 *   as          a caller, see there; operation
 *
 * Numbers are f64, since a request may carry any 64-bit number, negative ones too; they are refused unless whole.
 * What a request leaves out and what it gives as zero are written the same way.
 */

const VERSION = 1;

const KIND = {
  put: 1,
  deleteRange: 2,
  txn: 3,
  compact: 4,
  range: 5,
  leaseGrant: 6,
  leaseRevoke: 7,
  leaseExpire: 8,
  once: 9,
  alarm: 10,
  auth: 11,
  as: 12,
} as const;

const PUT_PREV_KV = 1;
const PUT_IGNORE_VALUE = 2;
const PUT_IGNORE_LEASE = 4;
const PUT_LEASE = 8;
const PUT_TTL = 16;
const PUT_FLAGS = 31;

const DELETE_PREV_KV = 1;
const DELETE_RANGE_END = 2;

const RANGE_KEYS_ONLY = 1;
const RANGE_COUNT_ONLY = 2;
const RANGE_END = 4;
/** The numbers a range may carry, in order; each has the flag 8 << its index. */
const RANGE_NUMBERS = [
  "limit",
  "revision",
  "minModRevision",
  "maxModRevision",
  "minCreateRevision",
  "maxCreateRevision",
] as const;
const FIRST_NUMBER_FLAG = 8;
const RANGE_FLAGS = (FIRST_NUMBER_FLAG << RANGE_NUMBERS.length) - 1;

const SORT_ORDERS: readonly SortOrder[] = ["none", "ascend", "descend"];
const SORT_TARGETS: readonly SortTarget[] = ["key", "version", "create", "mod", "value"];
const RESULTS: readonly CompareResult[] = ["equal", "greater", "less", "notEqual"];
const TARGETS: readonly Compare["target"][] = ["version", "create", "mod", "value", "lease"];

/** Fewest bytes of a compare and of an operation: what a count may promise at most. */
const MIN_COMPARE_BYTES = 6;
const MIN_OPERATION_BYTES = 4;
const MIN_EXPIRED_LEASE_BYTES = 9;

/** The command as bytes for the log. It must have passed validation. */
export function encodeCommand(command: KvCommand): Uint8Array {
  const writer = new ByteWriter(commandSizeHint(command));
  writer.u8(VERSION);
  writeCommand(writer, command);
  return writer.finish();
}

/**
 * Reads a command. Keys and values are views of `bytes`.
 *
 * @throws EngineError `malformed`, having allocated no more than a small multiple of the input.
 */
export function decodeCommand(bytes: Uint8Array): KvCommand {
  const reader = new ByteReader(bytes, "command");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`unknown version ${version}`);
  const kind = reader.u8();
  const command = readCommand(reader, kind);
  reader.end();
  return command;
}

function writeCommand(writer: ByteWriter, command: KvCommand): void {
  switch (command.type) {
    case "compact":
      writer.u8(KIND.compact).f64(command.request.revision);
      return;
    case "leaseGrant":
      writer.u8(KIND.leaseGrant).u64(command.request.id).uint(command.request.ttlMs);
      return;
    case "leaseRevoke":
      writer.u8(KIND.leaseRevoke).u64(command.request.id);
      return;
    case "leaseExpire":
      return writeLeaseExpire(writer, command.request);
    case "once":
      return writeOnce(writer, command.request);
    case "auth":
      writer.u8(KIND.auth);
      return writeAuthCommand(writer, command.request);
    case "as":
      writer.u8(KIND.as);
      writeCaller(writer, command.request.caller);
      return writeCommand(writer, command.request.command);
    case "alarm":
      writer.u8(KIND.alarm);
      return writeAlarmCommand(writer, command.request);
    default:
      return writeOperation(writer, command);
  }
}

function readCommand(reader: ByteReader, kind: number): KvCommand {
  switch (kind) {
    case KIND.compact:
      return { type: "compact", request: { revision: readWhole(reader) } };
    case KIND.leaseGrant:
      return { type: "leaseGrant", request: readLeaseGrant(reader) };
    case KIND.leaseRevoke:
      return { type: "leaseRevoke", request: { id: readLeaseId(reader) } };
    case KIND.leaseExpire:
      return { type: "leaseExpire", request: readLeaseExpire(reader) };
    case KIND.once:
      return { type: "once", request: readOnce(reader) };
    case KIND.auth:
      return { type: "auth", request: readAuthCommand(reader) };
    case KIND.as:
      return { type: "as", request: readCommandOf(reader) };
    case KIND.alarm:
      return { type: "alarm", request: readAlarmCommand(reader) };
    default:
      return readWrite(reader, kind);
  }
}

function readCommandOf(reader: ByteReader): CommandOf {
  const caller = readCaller(reader);
  const kind = reader.u8();
  if (kind === KIND.as) reader.fail("a command on behalf of two");
  return { caller, command: readCommand(reader, kind) as CommandOf["command"] };
}

function readWrite(reader: ByteReader, kind: number): NamedWrite {
  const operation = readOperation(reader, kind, 1);
  return operation.type === "range" ? reader.fail("a range is not a command") : operation;
}

function commandSizeHint(command: KvCommand): number {
  if (command.type === "once" || command.type === "as") return 128 + commandSizeHint(command.request.command);
  if (command.type !== "put") return 256;
  return command.request.key.length + (command.request.value?.length ?? 0) + 32;
}

function writeOperation(writer: ByteWriter, op: RequestOp): void {
  switch (op.type) {
    case "put":
      return writePut(writer, op.request);
    case "deleteRange":
      return writeDeleteRange(writer, op.request);
    case "range":
      return writeRange(writer, op.request);
    case "txn":
      return writeTxn(writer, op.request);
    default:
      return assertNever(op, "operation");
  }
}

function readOperation(reader: ByteReader, kind: number, depth: number): RequestOp {
  switch (kind) {
    case KIND.put:
      return { type: "put", request: readPut(reader) };
    case KIND.deleteRange:
      return { type: "deleteRange", request: readDeleteRange(reader) };
    case KIND.range:
      return { type: "range", request: readRange(reader) };
    case KIND.txn:
      return { type: "txn", request: readTxn(reader, depth) };
    default:
      return reader.fail(`unknown operation ${kind}`);
  }
}

function writePut(writer: ByteWriter, request: PutRequest): void {
  const lease = request.ignoreLease ? 0n : (request.lease ?? 0n);
  const ttlMs = request.ttlMs ?? 0;
  assert(ttlMs === 0 || lease !== 0n, "a put with a TTL is encoded without a lease of its own");
  writer.u8(KIND.put);
  writer.u8(
    (request.prevKv ? PUT_PREV_KV : 0) |
      (request.ignoreValue ? PUT_IGNORE_VALUE : 0) |
      (request.ignoreLease ? PUT_IGNORE_LEASE : 0) |
      (lease !== 0n ? PUT_LEASE : 0) |
      (ttlMs !== 0 ? PUT_TTL : 0),
  );
  writeKey(writer, request.key);
  if (!request.ignoreValue) writer.bytes(request.value ?? NOTHING);
  if (lease !== 0n) writer.u64(lease);
  if (ttlMs !== 0) writer.uint(ttlMs);
}

function readPut(reader: ByteReader): PutRequest {
  const flags = readFlags(reader.u8(), PUT_FLAGS, reader);
  const key = readKey(reader);
  const value = flags & PUT_IGNORE_VALUE ? NOTHING : reader.bytes();
  if (flags & PUT_IGNORE_LEASE && flags & PUT_LEASE) reader.fail("a lease is both given and ignored");
  const lease = flags & PUT_LEASE ? readLeaseId(reader) : 0n;
  if (flags & PUT_TTL && lease === 0n) reader.fail("a TTL without a lease");
  const ttlMs = flags & PUT_TTL ? readTtl(reader) : 0;
  return {
    key,
    value,
    lease,
    ttlMs,
    prevKv: (flags & PUT_PREV_KV) !== 0,
    ignoreValue: (flags & PUT_IGNORE_VALUE) !== 0,
    ignoreLease: (flags & PUT_IGNORE_LEASE) !== 0,
  };
}

function writeDeleteRange(writer: ByteWriter, request: DeleteRangeRequest): void {
  const rangeEnd = request.rangeEnd ?? NOTHING;
  writer.u8(KIND.deleteRange);
  writer.u8((request.prevKv ? DELETE_PREV_KV : 0) | (rangeEnd.length > 0 ? DELETE_RANGE_END : 0));
  writeKey(writer, request.key);
  if (rangeEnd.length > 0) writer.bytes(rangeEnd);
}

function readDeleteRange(reader: ByteReader): DeleteRangeRequest {
  const flags = readFlags(reader.u8(), 3, reader);
  const key = readKey(reader);
  const rangeEnd = flags & DELETE_RANGE_END ? reader.bytes() : NOTHING;
  return { key, rangeEnd, prevKv: (flags & DELETE_PREV_KV) !== 0 };
}

function writeRange(writer: ByteWriter, request: RangeRequest): void {
  const rangeEnd = request.rangeEnd ?? NOTHING;
  const given = RANGE_NUMBERS.filter((name) => (request[name] ?? 0) !== 0);
  let flags = request.keysOnly ? RANGE_KEYS_ONLY : 0;
  if (request.countOnly) flags |= RANGE_COUNT_ONLY;
  if (rangeEnd.length > 0) flags |= RANGE_END;
  for (const name of given) flags |= FIRST_NUMBER_FLAG << RANGE_NUMBERS.indexOf(name);
  writer
    .u8(KIND.range)
    .u8(flags & 0xff)
    .u8(flags >>> 8);
  writeKey(writer, request.key);
  if (rangeEnd.length > 0) writer.bytes(rangeEnd);
  for (const name of given) writer.f64(request[name]!);
  writer.u8(indexIn(SORT_ORDERS, request.sortOrder ?? "none"));
  writer.u8(indexIn(SORT_TARGETS, request.sortTarget ?? "key"));
}

function readRange(reader: ByteReader): RangeRequest {
  const flags = readFlags(reader.u8() | (reader.u8() << 8), RANGE_FLAGS, reader);
  const key = readKey(reader);
  const rangeEnd = flags & RANGE_END ? reader.bytes() : NOTHING;
  const numbers = RANGE_NUMBERS.map((_, i) => (flags & (FIRST_NUMBER_FLAG << i) ? readWhole(reader) : 0));
  const [limit, revision, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision] =
    numbers as SixNumbers;
  return {
    key,
    rangeEnd,
    limit,
    revision,
    sortOrder: pick(SORT_ORDERS, reader, "sort order"),
    sortTarget: pick(SORT_TARGETS, reader, "sort target"),
    keysOnly: (flags & RANGE_KEYS_ONLY) !== 0,
    countOnly: (flags & RANGE_COUNT_ONLY) !== 0,
    minModRevision,
    maxModRevision,
    minCreateRevision,
    maxCreateRevision,
  };
}

type SixNumbers = [number, number, number, number, number, number];

function writeTxn(writer: ByteWriter, request: TxnRequest): void {
  writer.u8(KIND.txn);
  writer.uint(request.compare.length);
  for (const compare of request.compare) writeCompare(writer, compare);
  for (const branch of [request.success, request.failure]) {
    writer.uint(branch.length);
    for (const op of branch) writeOperation(writer, op);
  }
}

function readTxn(reader: ByteReader, depth: number): TxnRequest {
  if (depth > MAX_TXN_DEPTH) reader.fail(`transactions nest deeper than ${MAX_TXN_DEPTH}`);
  const compare: Compare[] = [];
  for (let left = reader.count(MIN_COMPARE_BYTES); left > 0; left--) compare.push(readCompare(reader));
  return { compare, success: readBranch(reader, depth), failure: readBranch(reader, depth) };
}

function readBranch(reader: ByteReader, depth: number): RequestOp[] {
  const branch: RequestOp[] = [];
  for (let left = reader.count(MIN_OPERATION_BYTES); left > 0; left--) {
    branch.push(readOperation(reader, reader.u8(), depth + 1));
  }
  return branch;
}

function writeCompare(writer: ByteWriter, compare: Compare): void {
  writer.u8(indexIn(RESULTS, compare.result)).u8(indexIn(TARGETS, compare.target));
  writeKey(writer, compare.key);
  writer.bytes(compare.rangeEnd ?? NOTHING);
  switch (compare.target) {
    case "version":
      writer.f64(compare.version);
      break;
    case "create":
      writer.f64(compare.createRevision);
      break;
    case "mod":
      writer.f64(compare.modRevision);
      break;
    case "value":
      writer.bytes(compare.value);
      break;
    case "lease":
      writer.u64(compare.lease);
      break;
    default:
      assertNever(compare, "compare target");
  }
}

function readCompare(reader: ByteReader): Compare {
  const result = pick(RESULTS, reader, "compare result");
  const target = pick(TARGETS, reader, "compare target");
  const common = { result, key: readKey(reader), rangeEnd: reader.bytes() };
  switch (target) {
    case "version":
      return { ...common, target, version: readWhole(reader) };
    case "create":
      return { ...common, target, createRevision: readWhole(reader) };
    case "mod":
      return { ...common, target, modRevision: readWhole(reader) };
    case "value":
      return { ...common, target, value: reader.bytes() };
    case "lease":
      return { ...common, target, lease: reader.i64() };
    default:
      return assertNever(target, "compare target");
  }
}

function readLeaseGrant(reader: ByteReader): LeaseGrantCommand {
  return { id: readLeaseId(reader), ttlMs: readTtl(reader) };
}

function writeLeaseExpire(writer: ByteWriter, { term, leases }: LeaseExpireCommand): void {
  writer.u8(KIND.leaseExpire).uint(term).uint(leases.length);
  for (const { id, serial } of leases) writer.u64(id).uint(serial);
}

function readLeaseExpire(reader: ByteReader): LeaseExpireCommand {
  const term = reader.uint();
  const leases: ExpiredLease[] = [];
  for (let left = reader.count(MIN_EXPIRED_LEASE_BYTES); left > 0; left--) {
    leases.push({ id: readLeaseId(reader), serial: reader.uint() });
  }
  return { term, leases };
}

function writeOnce(writer: ByteWriter, { key, fingerprint, forgetTo, command }: OnceCommand): void {
  writer.u8(KIND.once).string(key).string(fingerprint).uint(forgetTo);
  writeOperation(writer, command);
}

function readOnce(reader: ByteReader): OnceCommand {
  const key = reader.string(MAX_IDEMPOTENCY_KEY_LENGTH);
  if (!isIdempotencyKey(key)) reader.fail("a write is named by what is no name");
  const fingerprint = reader.string(FINGERPRINT_LENGTH);
  if (!isFingerprint(fingerprint)) reader.fail("a write has no fingerprint");
  const forgetTo = reader.uint();
  return { key, fingerprint, forgetTo, command: readWrite(reader, reader.u8()) };
}

function readLeaseId(reader: ByteReader): bigint {
  const id = reader.i64();
  return id === 0n ? reader.fail("a lease has the id 0") : id;
}

function readTtl(reader: ByteReader): number {
  const ttlMs = reader.uint();
  return ttlMs > 0 && ttlMs <= MAX_LEASE_TTL_MS ? ttlMs : reader.fail(`a TTL of ${ttlMs} ms`);
}
