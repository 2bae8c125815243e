import type { KvCommand, PutRequest, RequestOp, TxnRequest } from "../kv/index.ts";

/**
 * The command with a lease drawn for each put that has a TTL of its own: the state machine has no chance to draw it
 * from. Validated before.
 */
export function withOwnLeases(command: KvCommand, drawId: () => bigint): KvCommand {
  switch (command.type) {
    case "put":
      return hasTtl(command.request) ? { type: "put", request: owning(command.request, drawId) } : command;
    case "txn":
      return putsWithTtl(command.request)
        ? { type: "txn", request: txnOwning(command.request, drawId) }
        : command;
    default:
      return command;
  }
}

function hasTtl({ ttlMs = 0 }: PutRequest): boolean {
  return ttlMs > 0;
}

function putsWithTtl({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].some(
    (op) => (op.type === "put" && hasTtl(op.request)) || (op.type === "txn" && putsWithTtl(op.request)),
  );
}

function owning(request: PutRequest, drawId: () => bigint): PutRequest {
  return { ...request, lease: drawId() };
}

function txnOwning({ compare, success, failure }: TxnRequest, drawId: () => bigint): TxnRequest {
  const each = (op: RequestOp): RequestOp => {
    if (op.type === "put" && hasTtl(op.request)) return { type: "put", request: owning(op.request, drawId) };
    if (op.type === "txn") return { type: "txn", request: txnOwning(op.request, drawId) };
    return op;
  };
  return { compare, success: success.map(each), failure: failure.map(each) };
}
