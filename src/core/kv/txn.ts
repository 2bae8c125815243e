import { EngineError, assertNever } from "../errors/index.ts";
import { holds } from "./compare.ts";
import { isSingleKey, keyFromBytes, keyRange } from "./key.ts";
import type { BinaryKey } from "./key.ts";
import { toKeyValue } from "./keyspace.ts";
import type { Keyspace } from "./keyspace.ts";
import { checkReadRevision, executeRange } from "./range.ts";
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  KeyValue,
  KvErrorCode,
  PutRequest,
  PutResponse,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from "./types.ts";
import { valueView } from "./value-arena.ts";

/** A command whose effects, if any, were undone. Stays inside this box. */
export class Refused extends EngineError {
  declare readonly code: KvErrorCode;

  constructor(code: KvErrorCode) {
    super(code);
  }
}

/** The branches a transaction takes, nested ones included, decided before any effect. */
interface TxnPlan {
  readonly succeeded: boolean;
  readonly steps: readonly PlannedOp[];
}

type PlannedOp =
  | Exclude<RequestOp, { readonly type: "txn" }>
  | { readonly type: "txn"; readonly plan: TxnPlan };

/**
 * Runs a transaction: every comparison sees the state before it, every operation what the earlier ones did.
 * What can be wrong is found before any effect.
 *
 * @throws Refused; the caller rolls back.
 */
export function executeTxn(keyspace: Keyspace, request: TxnRequest): TxnResponse {
  const plan = planTxn(keyspace, request);
  checkPlan(keyspace, plan);
  return runPlan(keyspace, plan);
}

function planTxn(keyspace: Keyspace, request: TxnRequest): TxnPlan {
  const succeeded = request.compare.every((compare) => holds(keyspace, compare));
  const branch = succeeded ? request.success : request.failure;
  const steps = branch.map((op): PlannedOp =>
    op.type === "txn" ? { type: "txn", plan: planTxn(keyspace, op.request) } : op,
  );
  return { succeeded, steps };
}

/** etcd: checkTxn. Only the branches that are taken can fail. */
function checkPlan(keyspace: Keyspace, plan: TxnPlan): void {
  for (const step of plan.steps) {
    switch (step.type) {
      case "range":
        checkRange(keyspace, step.request.revision ?? 0);
        break;
      case "put":
        checkPut(keyspace, keyFromBytes(step.request.key), step.request);
        break;
      case "deleteRange":
        break;
      case "txn":
        checkPlan(keyspace, step.plan);
        break;
      default:
        assertNever(step, "operation");
    }
  }
}

function runPlan(keyspace: Keyspace, plan: TxnPlan): TxnResponse {
  const responses = plan.steps.map((step) => runStep(keyspace, step));
  return { succeeded: plan.succeeded, responses, revision: keyspace.readRevision };
}

function runStep(keyspace: Keyspace, step: PlannedOp): ResponseOp {
  switch (step.type) {
    case "range":
      return { type: "range", response: executeRange(keyspace, step.request) };
    case "put":
      return { type: "put", response: executePut(keyspace, step.request) };
    case "deleteRange":
      return { type: "deleteRange", response: executeDeleteRange(keyspace, step.request) };
    case "txn":
      return { type: "txn", response: runPlan(keyspace, step.plan) };
    default:
      return assertNever(step, "operation");
  }
}

function checkRange(keyspace: Keyspace, revision: number): void {
  const problem = checkReadRevision(revision, keyspace.revision, keyspace.compactRevision);
  if (problem !== null) throw new Refused(problem);
}

function checkPut(keyspace: Keyspace, key: BinaryKey, request: PutRequest): void {
  if ((request.lease ?? 0n) !== 0n) throw new Refused("leaseNotFound");
  if (request.ignoreValue || request.ignoreLease) {
    if (keyspace.get(key, keyspace.readRevision) === null) throw new Refused("keyNotFound");
  }
}

/** @throws Refused before any effect. */
export function executePut(keyspace: Keyspace, request: PutRequest): PutResponse {
  const key = keyFromBytes(request.key);
  // Again inside a transaction: a deletion that came earlier in it may have taken the key away.
  checkPut(keyspace, key, request);
  const needsPrevious = request.prevKv || request.ignoreValue || request.ignoreLease;
  const previous = needsPrevious ? keyspace.get(key, keyspace.readRevision) : null;
  const prevKv = request.prevKv && previous !== null ? toKeyValue(key, previous) : null;
  const value = request.ignoreValue && previous !== null ? valueView(previous) : (request.value ?? NOTHING);
  const lease = request.ignoreLease && previous !== null ? previous.lease : (request.lease ?? 0n);
  keyspace.put(key, value, lease);
  return prevKv === null ? NO_PREVIOUS : { prevKv };
}

export function executeDeleteRange(keyspace: Keyspace, request: DeleteRangeRequest): DeleteRangeResponse {
  const keys: BinaryKey[] = [];
  const prevKvs: KeyValue[] = [];
  const revision = keyspace.readRevision;
  if (isSingleKey(request.rangeEnd)) {
    const key = keyFromBytes(request.key);
    const version = keyspace.get(key, revision);
    if (version !== null) {
      keys.push(key);
      if (request.prevKv) prevKvs.push(toKeyValue(key, version));
    }
  } else {
    keyspace.scan(keyRange(request.key, request.rangeEnd!), revision, (key, version) => {
      keys.push(key);
      if (request.prevKv) prevKvs.push(toKeyValue(key, version));
      return true;
    });
  }
  for (const key of keys) keyspace.delete(key);
  return { deleted: keys.length, prevKvs };
}

const NOTHING: Uint8Array = new Uint8Array(0);
const NO_PREVIOUS: PutResponse = { prevKv: null };
