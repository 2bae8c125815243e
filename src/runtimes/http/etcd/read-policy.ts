import { isReadOnly, type RequestOp } from "../../../core/kv/index.ts";
import type { Consistency, ReadOptions } from "../../../core/node/index.ts";
import { portableBase64 } from "../base64.ts";
import { decodeJsonBody, type JsonDecoder, JsonDecoders } from "../codec/index.ts";
import * as kv from "./kv-messages.ts";
import { PREFIXES } from "./stream-call.ts";

/** One object per policy, since every read on the hot path needs one. */
const READ_OPTIONS: { readonly [C in Consistency]: ReadOptions } = {
  linearizable: { consistency: "linearizable" },
  lease: { consistency: "lease" },
  eventual: { consistency: "eventual" },
};

/** What a request says about how fresh its answer must be. */
export function readOptions(request: {
  readonly serializable?: boolean;
  readonly consistency?: Consistency;
  readonly minRevision?: number;
}): ReadOptions {
  const { consistency, serializable, minRevision } = request;
  const policy = consistency ?? (serializable === true ? "eventual" : undefined);
  const options = policy === undefined ? {} : READ_OPTIONS[policy];
  return minRevision === undefined || minRevision === 0 ? options : { ...options, minRevision };
}

/** As in etcd, a transaction reads without consensus when all its operations are serializable ranges. */
export function txnReadOptions(request: kv.TxnMessage): ReadOptions {
  return readOptions({ ...request, serializable: readsSerializably(request) });
}

function readsSerializably(request: kv.TxnMessage): boolean {
  const ops = [...request.success, ...request.failure];
  return ops.length > 0 && ops.every(isSerializableRange);
}

function isSerializableRange(op: RequestOp): boolean {
  if (op.type === "txn") return readsSerializably(op.request);
  return op.type === "range" && (op.request as kv.RangeMessage).serializable === true;
}

/** Whether a call of the gateway is a read that any copy may answer. What cannot be understood is none. */
export function readsEventually(path: string, body: string): boolean {
  const prefix = PREFIXES.find((each) => path.startsWith(`${each}/`));
  const call = prefix === undefined ? "" : path.slice(prefix.length);
  if (call === "/kv/range") {
    const range = decoded(RANGE, body);
    return range !== null && readOptions(range).consistency === "eventual";
  }
  if (call !== "/kv/txn") return false;
  const txn = decoded(TXN, body);
  return txn !== null && isReadOnly(txn) && txnReadOptions(txn).consistency === "eventual";
}

const DECODERS: JsonDecoders = new JsonDecoders(portableBase64);
const RANGE: JsonDecoder<kv.RangeMessage> = DECODERS.of(kv.rangeRequest);
const TXN: JsonDecoder<kv.TxnMessage> = DECODERS.of(kv.txnRequest);

function decoded<T>(decode: JsonDecoder<T>, body: string): T | null {
  try {
    return decodeJsonBody(body, decode, "read");
  } catch {
    return null;
  }
}
