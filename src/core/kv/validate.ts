import { EngineError, assertNever } from "../errors/index.ts";
import type { ErrorCode } from "../errors/index.ts";
import { validateAuthCommand } from "./auth/validate-auth.ts";
import { isIdempotencyKey } from "./idempotency-key.ts";
import { checkIntervals } from "./intervals.ts";
import { MAX_LEASE_TTL_MS, MAX_TXN_DEPTH } from "./limits.ts";
import type {
  Compare,
  DeleteRangeRequest,
  KvCommand,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "./types.ts";

/*
 * What can be said against a request without looking at the store: checked before it is proposed or served, in
 * etcd's order (server/etcdserver/api/v3rpc/key.go). What depends on the store is decided when it is applied.
 */

/** Operations that each list of a transaction may hold, as in etcd's default. */
export const DEFAULT_MAX_TXN_OPS = 128;

/** @throws EngineError `emptyKey`, `invalidSortOption`, `invalidArgument`. */
export function validateRange(request: RangeRequest): void {
  requireKey(request.key);
  if (!SORT_ORDERS.has(request.sortOrder ?? "none") || !SORT_TARGETS.has(request.sortTarget ?? "key")) {
    refuse("invalidSortOption");
  }
  requireWhole(request.limit, "limit");
  requireWhole(request.revision, "revision");
  requireWhole(request.minModRevision, "min_mod_revision");
  requireWhole(request.maxModRevision, "max_mod_revision");
  requireWhole(request.minCreateRevision, "min_create_revision");
  requireWhole(request.maxCreateRevision, "max_create_revision");
}

/** @throws EngineError `emptyKey`, `valueProvided`, `leaseProvided`, `leaseTtlTooLarge`, `invalidArgument`. */
export function validatePut(request: PutRequest): void {
  requireKey(request.key);
  if (request.ignoreValue && (request.value?.length ?? 0) > 0) refuse("valueProvided");
  if (request.ignoreLease && (request.lease ?? 0n) !== 0n) refuse("leaseProvided");
  requireInt64(request.lease, "lease");
  if ((request.ttlMs ?? 0) !== 0) checkOwnTtl(request);
}

/** A key with a TTL of its own can have no other lease. */
function checkOwnTtl({ lease = 0n, ttlMs, ignoreLease }: PutRequest): void {
  if (ignoreLease === true) refuse("leaseProvided");
  if (lease !== 0n) refuse("invalidArgument", "both a lease and a TTL are given");
  requireTtl(ttlMs!);
}

/** @throws EngineError `emptyKey`. */
export function validateDeleteRange(request: DeleteRangeRequest): void {
  requireKey(request.key);
}

/**
 * @param maxOps most entries of any one list. A nested transaction gets what the longest list around it left over.
 * @throws EngineError `tooManyOps`, `emptyKey`, `duplicateKey`, or what is wrong with an operation.
 */
export function validateTxn(request: TxnRequest, maxOps: number = DEFAULT_MAX_TXN_OPS): void {
  checkTxn(request, maxOps, 1);
  // Afterwards, so that the lists are known to be short.
  checkIntervals(request.success);
  checkIntervals(request.failure);
}

/** Any command that is to be proposed. */
export function validateCommand(command: KvCommand, maxTxnOps: number = DEFAULT_MAX_TXN_OPS): void {
  switch (command.type) {
    case "put":
      return validatePut(command.request);
    case "deleteRange":
      return validateDeleteRange(command.request);
    case "txn":
      return validateTxn(command.request, maxTxnOps);
    case "compact":
      return requireWhole(command.request.revision, "revision");
    case "leaseGrant":
      requireLeaseId(command.request.id);
      return requireTtl(command.request.ttlMs);
    case "leaseRevoke":
      // As for any other id that no lease has.
      if (command.request.id === 0n) refuse("leaseNotFound");
      return requireInt64(command.request.id, "ID");
    case "once":
      validateIdempotencyKey(command.request.key);
      return validateCommand(command.request.command, maxTxnOps);
    case "as":
      return validateCommand(command.request.command, maxTxnOps);
    case "auth":
      return validateAuthCommand(command.request);
    case "alarm":
      return requireUint64(command.request.alarm.memberId, "memberID");
    case "leaseExpire":
      return;
    default:
      return assertNever(command, "command");
  }
}

/** @throws EngineError `invalidArgument`. */
export function validateIdempotencyKey(key: string): void {
  if (isIdempotencyKey(key)) return;
  const detail = "the idempotency key: not 1 to 64 printable ASCII characters without quotes and backslashes";
  throw new EngineError("invalidArgument", { detail });
}

function checkTxn(request: TxnRequest, maxOps: number, depth: number): void {
  const longest = Math.max(request.compare.length, request.success.length, request.failure.length);
  if (longest > maxOps || depth > MAX_TXN_DEPTH) refuse("tooManyOps");
  for (const compare of request.compare) checkCompare(compare);
  for (const op of request.success) checkOperation(op, maxOps - longest, depth);
  for (const op of request.failure) checkOperation(op, maxOps - longest, depth);
}

function checkOperation(op: RequestOp, maxOps: number, depth: number): void {
  switch (op.type) {
    case "range":
      return validateRange(op.request);
    case "put":
      return validatePut(op.request);
    case "deleteRange":
      return validateDeleteRange(op.request);
    case "txn":
      return checkTxn(op.request, maxOps, depth + 1);
    default:
      return assertNever(op, "operation");
  }
}

function checkCompare(compare: Compare): void {
  requireKey(compare.key);
  switch (compare.target) {
    case "version":
      return requireWhole(compare.version, "version");
    case "create":
      return requireWhole(compare.createRevision, "create_revision");
    case "mod":
      return requireWhole(compare.modRevision, "mod_revision");
    case "lease":
      return requireInt64(compare.lease, "lease");
    case "value":
      return;
    default:
      return assertNever(compare, "compare target");
  }
}

function requireKey(key: Uint8Array): void {
  if (key.length === 0) refuse("emptyKey");
}

function requireWhole(value: number | undefined, name: string): void {
  if (value !== undefined && !Number.isInteger(value)) {
    refuse("invalidArgument", `${name} is not a whole number`);
  }
}

function requireInt64(value: bigint | undefined, name: string): void {
  if (value !== undefined && BigInt.asIntN(64, value) !== value) {
    refuse("invalidArgument", `${name} does not fit into 64 bits`);
  }
}

function requireUint64(value: bigint, name: string): void {
  if (BigInt.asUintN(64, value) !== value) refuse("invalidArgument", `${name} does not fit into 64 bits`);
}

function requireLeaseId(id: bigint): void {
  requireInt64(id, "ID");
  if (id === 0n) refuse("invalidArgument", "ID is 0");
}

function requireTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < 1) {
    refuse("invalidArgument", "the TTL is not a whole number of milliseconds greater than 0");
  }
  if (ttlMs > MAX_LEASE_TTL_MS) refuse("leaseTtlTooLarge");
}

function refuse(code: ErrorCode, detail?: string): never {
  throw new EngineError(code, detail === undefined ? {} : { detail });
}

const SORT_ORDERS: ReadonlySet<string> = new Set(["none", "ascend", "descend"]);
const SORT_TARGETS: ReadonlySet<string> = new Set(["key", "version", "create", "mod", "value"]);
