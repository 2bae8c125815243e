import { EngineError, assertNever } from "../errors/index.ts";
import { holds } from "./compare.ts";
import { isSingleKey, keyRange } from "./key.ts";
import type { Keyspace } from "./keyspace.ts";
import { checkReadRevision, executeRange } from "./range.ts";
import type { ReadBudget } from "./read-budget.ts";
import { NO_RECORD } from "./record-heap.ts";
import type { RecordHandle } from "./record-heap.ts";
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
export function executeTxn(keyspace: Keyspace, request: TxnRequest, budget: ReadBudget): TxnResponse {
  const plan = planTxn(keyspace, request, budget);
  checkPlan(keyspace, plan);
  return runPlan(keyspace, plan, budget);
}

function planTxn(keyspace: Keyspace, request: TxnRequest, budget: ReadBudget): TxnPlan {
  const succeeded = request.compare.every((compare) => holds(keyspace, compare, budget));
  const branch = succeeded ? request.success : request.failure;
  const steps = branch.map((op): PlannedOp =>
    op.type === "txn" ? { type: "txn", plan: planTxn(keyspace, op.request, budget) } : op,
  );
  return { succeeded, steps };
}

/** etcd: applyTxn. Only the branches that are taken can fail, for a put before any range. */
function checkPlan(keyspace: Keyspace, plan: TxnPlan): void {
  checkSteps(plan, (step) => {
    if (step.type === "put") checkPutInTxn(keyspace, step.request);
  });
  checkSteps(plan, (step) => {
    if (step.type === "range") checkRange(keyspace, step.request.revision ?? 0);
  });
}

function checkSteps(plan: TxnPlan, check: (step: PlannedOp) => void): void {
  for (const step of plan.steps) {
    if (step.type === "txn") checkSteps(step.plan, check);
    else check(step);
  }
}

function runPlan(keyspace: Keyspace, plan: TxnPlan, budget: ReadBudget): TxnResponse {
  const responses = plan.steps.map((step) => runStep(keyspace, step, budget));
  return { succeeded: plan.succeeded, responses, revision: keyspace.readRevision };
}

function runStep(keyspace: Keyspace, step: PlannedOp, budget: ReadBudget): ResponseOp {
  switch (step.type) {
    case "range":
      return { type: "range", response: executeRange(keyspace, step.request, budget) };
    case "put":
      return { type: "put", response: executePut(keyspace, step.request, budget) };
    case "deleteRange":
      return { type: "deleteRange", response: executeDeleteRange(keyspace, step.request, budget) };
    case "txn":
      return { type: "txn", response: runPlan(keyspace, step.plan, budget) };
    default:
      return assertNever(step, "operation");
  }
}

function checkRange(keyspace: Keyspace, revision: number): void {
  const problem = checkReadRevision(revision, keyspace.revision, keyspace.compactRevision);
  if (problem !== null) throw new Refused(problem);
}

/** etcd: checkRequestPut. What a put alone checks, in the other order: a client sees which of two mistakes is named. */
function checkPutInTxn(keyspace: Keyspace, request: PutRequest): void {
  checkPut(keyspace, { ...request, lease: 0n, ttlMs: 0 });
  checkPut(keyspace, request);
}

/** Returns the key's present version, if the request needs it. */
function checkPut(keyspace: Keyspace, request: PutRequest): RecordHandle {
  checkLease(keyspace, request);
  const ignores = request.ignoreValue === true || request.ignoreLease === true;
  if (!ignores && request.prevKv !== true) return NO_RECORD;
  const previous = keyspace.get(request.key, keyspace.readRevision);
  if (ignores && previous === NO_RECORD) throw new Refused("keyNotFound");
  return previous;
}

/** A put with a TTL brings its own lease; any other needs one that is there. */
function checkLease({ leases }: Keyspace, { lease = 0n, ttlMs = 0 }: PutRequest): void {
  if (lease === 0n) return;
  if (ttlMs > 0 && leases.has(lease)) throw new Refused("leaseExists");
  if (ttlMs === 0 && !leases.has(lease)) throw new Refused("leaseNotFound");
}

/** @throws Refused before any effect of its own. */
export function executePut(keyspace: Keyspace, request: PutRequest, budget: ReadBudget): PutResponse {
  const { heap } = keyspace;
  // Again inside a transaction: a deletion that came earlier in it may have taken the key away.
  const previous = checkPut(keyspace, request);
  let prevKv: KeyValue | null = null;
  if (request.prevKv && previous !== NO_RECORD) {
    budget.answer(heap, previous, true);
    prevKv = heap.toKeyValue(previous);
  }
  const value = request.ignoreValue ? heap.valueView(previous) : (request.value ?? NOTHING);
  // What is copied counts as what is answered: neither is in the request.
  if (request.ignoreValue) budget.answer(heap, previous, true);
  const lease = request.ignoreLease ? heap.lease(previous) : (request.lease ?? 0n);
  if ((request.ttlMs ?? 0) > 0) {
    // Here, and not where the plan is checked: an earlier put of the same transaction may have taken the last place.
    if (keyspace.leases.isFull) throw new Refused("tooManyLeases");
    keyspace.leases.grant(lease, request.ttlMs!, true);
  }
  keyspace.put(request.key, value, lease);
  return prevKv === null ? NO_PREVIOUS : { prevKv };
}

/** @throws what the budget refuses with, before any effect of its own. */
export function executeDeleteRange(
  keyspace: Keyspace,
  request: DeleteRangeRequest,
  budget: ReadBudget,
): DeleteRangeResponse {
  const { heap } = keyspace;
  const found = deletedBy(keyspace, request);
  if (request.prevKv) for (const handle of found) budget.answer(heap, handle, true);
  const prevKvs = request.prevKv ? found.map((handle) => heap.toKeyValue(handle)) : [];
  for (const handle of found) keyspace.delete(heap.keyView(handle));
  return { deleted: found.length, prevKvs };
}

function deletedBy(keyspace: Keyspace, { key, rangeEnd }: DeleteRangeRequest): RecordHandle[] {
  const revision = keyspace.readRevision;
  if (isSingleKey(rangeEnd)) {
    const handle = keyspace.get(key, revision);
    return handle === NO_RECORD ? [] : [handle];
  }
  const found: RecordHandle[] = [];
  keyspace.scan(keyRange(key, rangeEnd!), revision, (handle) => {
    found.push(handle);
    return true;
  });
  return found;
}

const NOTHING: Uint8Array = new Uint8Array(0);
const NO_PREVIOUS: PutResponse = { prevKv: null };
