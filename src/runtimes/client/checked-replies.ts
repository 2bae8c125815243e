import { compareBytes } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type {
  RangeRequest,
  RangeResponse,
  RequestOp,
  ResponseOp,
  Revision,
  TxnRequest,
} from "../../core/kv/index.ts";
import type { OpReply } from "../http/etcd/kv-messages.ts";

/*
 * What a reply must have in common with its request. Whoever reads page after page relies on it: a reply that did not
 * keep to it could make them go on for ever.
 */

/** @throws EngineError `badReply`. */
export function checkedRange<R extends RangeResponse>(request: RangeRequest, reply: R): R {
  const { key, rangeEnd, limit = 0 } = request;
  if (limit > 0 && reply.kvs.length > limit) throw bad("it has more keys than were asked for");
  for (const kv of reply.kvs) {
    if (!isWithin(kv.key, key, rangeEnd)) throw bad("it has keys that were not asked for");
  }
  return reply;
}

export interface CheckedTxn {
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

/** Without the headers inside. @throws EngineError `badReply`. */
export function checkedTxn(
  request: TxnRequest,
  reply: {
    readonly succeeded: boolean;
    readonly responses: readonly OpReply[];
    readonly header: { readonly revision?: Revision };
  },
  revision: Revision = reply.header.revision ?? 0,
): CheckedTxn {
  const { succeeded, responses } = reply;
  const operations = succeeded ? request.success : request.failure;
  if (responses.length !== operations.length) throw bad("it has not one response for each operation");
  return {
    succeeded,
    responses: responses.map((response, index) => checkedOp(operations[index]!, response, revision)),
  };
}

function checkedOp(operation: RequestOp, reply: OpReply, revision: Revision): ResponseOp {
  if (reply.type === "range" && operation.type === "range") {
    const { kvs, more, count } = checkedRange(operation.request, reply.response);
    return { type: "range", response: { kvs, more, count } };
  }
  if (reply.type === "put" && operation.type === "put") {
    return { type: "put", response: { prevKv: reply.response.prevKv } };
  }
  if (reply.type === "deleteRange" && operation.type === "deleteRange") {
    const { deleted, prevKvs } = reply.response;
    return { type: "deleteRange", response: { deleted, prevKvs } };
  }
  if (reply.type === "txn" && operation.type === "txn") {
    return {
      type: "txn",
      response: { ...checkedTxn(operation.request, reply.response, revision), revision },
    };
  }
  throw bad("a response is of another kind than its operation");
}

function isWithin(key: Uint8Array, from: Uint8Array, end: Uint8Array | undefined): boolean {
  if (end === undefined || end.length === 0) return compareBytes(key, from) === 0;
  return compareBytes(key, from) >= 0 && (isZero(end) || compareBytes(key, end) < 0);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0] === 0;
}

function bad(detail: string): EngineError {
  return new EngineError("badReply", { detail });
}
