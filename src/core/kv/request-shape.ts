import type { AuthCommand } from "./auth/types.ts";
import type { KvCommand, RequestOp, Revision, TxnRequest } from "./types.ts";

/** Whether a transaction can change nothing, whichever branches it takes; it need not go through the log then. */
export function isReadOnly(request: TxnRequest): boolean {
  return request.success.every(onlyReads) && request.failure.every(onlyReads);
}

function onlyReads(op: RequestOp): boolean {
  return op.type === "range" || (op.type === "txn" && isReadOnly(op.request));
}

/** The highest revision that a transaction reads as of; 0: the latest. */
export function highestRevision({ success, failure }: TxnRequest): Revision {
  let highest = 0;
  for (const op of [...success, ...failure]) {
    if (op.type === "range") highest = Math.max(highest, op.request.revision ?? 0);
    else if (op.type === "txn") highest = Math.max(highest, highestRevision(op.request));
  }
  return highest;
}

/** What an operation weighs besides its keys and values: flags, lengths and numbers. */
const OVERHEAD_BYTES = 16;

/** Bytes that a command asks the log to hold, estimated without encoding it: to be compared with a limit. */
export function requestSize(command: KvCommand): number {
  switch (command.type) {
    case "put":
    case "deleteRange":
    case "txn":
      return operationSize(command);
    case "as":
      return OVERHEAD_BYTES + requestSize(command.request.command);
    case "once":
      return OVERHEAD_BYTES + command.request.key.length + operationSize(command.request.command);
    case "auth":
      return OVERHEAD_BYTES + authSize(command.request);
    default:
      return OVERHEAD_BYTES;
  }
}

/** Names and passwords are short (validate-auth.ts); only ranges of keys may be of any length. */
function authSize(change: AuthCommand): number {
  switch (change.op) {
    case "roleGrantPermission":
      return change.permission.key.length + change.permission.rangeEnd.length;
    case "roleRevokePermission":
      return change.key.length + change.rangeEnd.length;
    default:
      return 0;
  }
}

function operationSize(op: RequestOp): number {
  switch (op.type) {
    case "put":
      return OVERHEAD_BYTES + op.request.key.length + (op.request.value?.length ?? 0);
    case "range":
    case "deleteRange":
      return OVERHEAD_BYTES + op.request.key.length + (op.request.rangeEnd?.length ?? 0);
    case "txn":
      return txnSize(op.request);
  }
}

function txnSize({ compare, success, failure }: TxnRequest): number {
  let size = OVERHEAD_BYTES;
  for (const { key, rangeEnd, ...condition } of compare) {
    size += OVERHEAD_BYTES + key.length + (rangeEnd?.length ?? 0);
    if (condition.target === "value") size += condition.value.length;
  }
  for (const op of success) size += operationSize(op);
  for (const op of failure) size += operationSize(op);
  return size;
}
