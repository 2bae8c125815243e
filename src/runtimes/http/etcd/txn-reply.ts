import { assert } from "../../../core/errors/index.ts";
import type { ResponseOp, Revision, TxnResponse } from "../../../core/kv/index.ts";
import type { WithHeader } from "../../../core/node/index.ts";
import type { OpReply, TxnReply } from "./kv-messages.ts";

/**
 * Adds etcd's inner headers to a transaction's response: each carries the revision that its operation saw, which is
 * the transaction's own only from the first operation on that changed something. A nested transaction's header is
 * empty (etcd: server/etcdserver/txn, checked against 3.4's replies).
 */
export function txnReply(response: TxnResponse & WithHeader): TxnReply {
  const { revision } = response;
  const changed = response.responses.some(changes);
  assert(!changed || revision > 1, "a transaction that changes something makes a revision");
  const walk: Walk = { before: changed ? revision - 1 : revision, after: revision, changed: false };
  return {
    header: response.header,
    succeeded: response.succeeded,
    responses: response.responses.map((op) => opReply(op, walk)),
  };
}

interface Walk {
  readonly before: Revision;
  readonly after: Revision;
  /** Whether an operation so far has changed something. */
  changed: boolean;
}

function opReply(op: ResponseOp, walk: Walk): OpReply {
  if (op.type === "txn") {
    const { succeeded, responses } = op.response;
    return {
      type: "txn",
      response: { header: {}, succeeded, responses: responses.map((inner) => opReply(inner, walk)) },
    };
  }
  walk.changed ||= changes(op);
  const header = { revision: walk.changed ? walk.after : walk.before };
  switch (op.type) {
    case "range":
      return { type: "range", response: { header, ...op.response } };
    case "put":
      return { type: "put", response: { header, ...op.response } };
    case "deleteRange":
      return { type: "deleteRange", response: { header, ...op.response } };
  }
}

function changes(op: ResponseOp): boolean {
  switch (op.type) {
    case "range":
      return false;
    case "put":
      return true;
    case "deleteRange":
      return op.response.deleted > 0;
    case "txn":
      return op.response.responses.some(changes);
  }
}
