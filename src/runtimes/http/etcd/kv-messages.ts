import type {
  Compare,
  CompareResult,
  DeleteRangeRequest,
  DeleteRangeResponse,
  KeyValue,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RequestOp,
  SortOrder,
  SortTarget,
  TxnRequest,
} from "../../../core/kv/index.ts";
import type { Consistency, ReadAge, ResponseHeader } from "../../../core/node/index.ts";
import {
  bigInt64,
  bigUint64,
  bool,
  bytes,
  enumOf,
  int64,
  list,
  type Message,
  message,
  messageInto,
  nested,
  uint64,
  union,
} from "../codec/schema.ts";

/*
 * etcdserverpb's KV messages and mvccpb.KeyValue (etcd: api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto), with
 * their field numbers.
 */

/** Inside a transaction a header carries the revision alone, or nothing. */
export type HeaderMessage = Partial<ResponseHeader>;

/** What the engine's range takes, and under which policy. */
export type RangeMessage = Omit<RangeRequest, "withoutCount" | "maxBytes"> & {
  readonly serializable?: boolean;
  /** Ours: the policy by name; wins over `serializable`. */
  readonly consistency?: Consistency;
  /** Ours: see `ReadOptions.minRevision`. */
  readonly minRevision?: number;
};

export type TxnMessage = TxnRequest & {
  /** Ours: for a transaction that only reads. */
  readonly consistency?: Consistency;
};

export interface CompactMessage {
  readonly revision: number;
  /** Accepted and always honoured: a compaction is done when it is answered. */
  readonly physical?: boolean;
}

export type PutReply = PutResponse & { readonly header: HeaderMessage };
export type RangeReply = RangeResponse & { readonly header: HeaderMessage; readonly age?: ReadAge };
export type DeleteRangeReply = DeleteRangeResponse & { readonly header: HeaderMessage };

export interface TxnReply {
  readonly header: HeaderMessage;
  readonly succeeded: boolean;
  readonly responses: readonly OpReply[];
}

export type OpReply =
  | { readonly type: "range"; readonly response: RangeReply }
  | { readonly type: "put"; readonly response: PutReply }
  | { readonly type: "deleteRange"; readonly response: DeleteRangeReply }
  | { readonly type: "txn"; readonly response: TxnReply };

export interface HeaderReply {
  readonly header: HeaderMessage;
}

const NO_BYTES = new Uint8Array(0);
const NO_HEADER: HeaderMessage = {};

const consistency = enumOf<Consistency>(null, "Consistency", {
  linearizable: "linearizable",
  lease: "lease",
  eventual: "eventual",
});

export const header: Message<HeaderMessage> = message<HeaderMessage>("ResponseHeader", () => ({}), {
  clusterId: bigUint64(1),
  memberId: bigUint64(2),
  revision: int64(3),
  raftTerm: uint64(4),
});

export const headerReply: Message<HeaderReply> = message<HeaderReply>(
  "HeaderReply",
  () => ({ header: NO_HEADER }),
  {
    header: nested(1, () => header),
  },
);

export const keyValue: Message<KeyValue> = message<KeyValue>(
  "KeyValue",
  () => ({ key: NO_BYTES, value: NO_BYTES, createRevision: 0, modRevision: 0, version: 0, lease: 0n }),
  {
    key: bytes(1),
    createRevision: int64(2),
    modRevision: int64(3),
    version: int64(4),
    value: bytes(5),
    lease: bigInt64(6),
  },
);

export const rangeRequest: Message<RangeMessage> = message<RangeMessage>(
  "RangeRequest",
  () => ({ key: NO_BYTES }),
  {
    key: bytes(1),
    rangeEnd: bytes(2),
    limit: int64(3),
    revision: int64(4),
    sortOrder: enumOf<SortOrder>(
      5,
      "RangeRequest.SortOrder",
      { none: "NONE", ascend: "ASCEND", descend: "DESCEND" },
      "invalidSortOption",
    ),
    sortTarget: enumOf<SortTarget>(
      6,
      "RangeRequest.SortTarget",
      { key: "KEY", version: "VERSION", create: "CREATE", mod: "MOD", value: "VALUE" },
      "invalidSortOption",
    ),
    serializable: bool(7),
    keysOnly: bool(8),
    countOnly: bool(9),
    minModRevision: int64(10),
    maxModRevision: int64(11),
    minCreateRevision: int64(12),
    maxCreateRevision: int64(13),
    consistency,
    minRevision: int64(null),
  },
);

/** Ours: of an answer from a copy that is brought up to date now and then. */
const age: Message<ReadAge> = message<ReadAge>("ReadAge", () => ({ checkedMsAgo: 0, writtenAtMs: null }), {
  checkedMsAgo: int64(null),
  writtenAtMs: int64(null),
});

export const rangeReply: Message<RangeReply> = message<RangeReply>(
  "RangeResponse",
  () => ({ header: NO_HEADER, kvs: [], more: false, count: 0 }),
  {
    header: nested(1, () => header),
    kvs: list(2, () => keyValue),
    more: bool(3),
    count: int64(4),
    age: nested(null, () => age),
  },
);

export const putRequest: Message<PutRequest> = message<PutRequest>("PutRequest", () => ({ key: NO_BYTES }), {
  key: bytes(1),
  value: bytes(2),
  lease: bigInt64(3),
  prevKv: bool(4),
  ignoreValue: bool(5),
  ignoreLease: bool(6),
  ttlMs: int64(null),
});

export const putReply: Message<PutReply> = message<PutReply>(
  "PutResponse",
  () => ({ header: NO_HEADER, prevKv: null }),
  {
    header: nested(1, () => header),
    prevKv: nested(2, () => keyValue),
  },
);

export const deleteRangeRequest: Message<DeleteRangeRequest> = message<DeleteRangeRequest>(
  "DeleteRangeRequest",
  () => ({ key: NO_BYTES }),
  { key: bytes(1), rangeEnd: bytes(2), prevKv: bool(3) },
);

export const deleteRangeReply: Message<DeleteRangeReply> = message<DeleteRangeReply>(
  "DeleteRangeResponse",
  () => ({ header: NO_HEADER, deleted: 0, prevKvs: [] }),
  { header: nested(1, () => header), deleted: int64(2), prevKvs: list(3, () => keyValue) },
);

interface CompareFields {
  readonly result: CompareResult;
  readonly target: Compare["target"];
  readonly key: Uint8Array;
  readonly version: number;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly value: Uint8Array;
  readonly lease: bigint;
  readonly rangeEnd: Uint8Array;
}

export const compare: Message<Compare> = messageInto<CompareFields, Compare>(
  "Compare",
  () => ({
    result: "equal",
    target: "version",
    key: NO_BYTES,
    version: 0,
    createRevision: 0,
    modRevision: 0,
    value: NO_BYTES,
    lease: 0n,
    rangeEnd: NO_BYTES,
  }),
  {
    result: enumOf<CompareResult>(1, "Compare.CompareResult", {
      equal: "EQUAL",
      greater: "GREATER",
      less: "LESS",
      notEqual: "NOT_EQUAL",
    }),
    target: enumOf<Compare["target"]>(2, "Compare.CompareTarget", {
      version: "VERSION",
      create: "CREATE",
      mod: "MOD",
      value: "VALUE",
      lease: "LEASE",
    }),
    key: bytes(3),
    version: int64(4),
    createRevision: int64(5),
    modRevision: int64(6),
    value: bytes(7),
    lease: bigInt64(8),
    rangeEnd: bytes(64),
  },
  toCompare,
);

/** As etcd reads it: the field of the target counts, zero when it is not the one given. */
function toCompare(fields: CompareFields): Compare {
  const { key, rangeEnd, result } = fields;
  const base = rangeEnd.length === 0 ? { key, result } : { key, rangeEnd, result };
  switch (fields.target) {
    case "version":
      return { ...base, target: "version", version: fields.version };
    case "create":
      return { ...base, target: "create", createRevision: fields.createRevision };
    case "mod":
      return { ...base, target: "mod", modRevision: fields.modRevision };
    case "value":
      return { ...base, target: "value", value: fields.value };
    case "lease":
      return { ...base, target: "lease", lease: fields.lease };
  }
}

const requestOp: Message<RequestOp> = union<"request", RequestOp>("RequestOp", "request", {
  range: { number: 1, name: "request_range", message: () => rangeRequest },
  put: { number: 2, name: "request_put", message: () => putRequest },
  deleteRange: { number: 3, name: "request_delete_range", message: () => deleteRangeRequest },
  txn: { number: 4, name: "request_txn", message: () => txnRequest },
});

export const txnRequest: Message<TxnMessage> = message<TxnMessage>(
  "TxnRequest",
  () => ({ compare: [], success: [], failure: [] }),
  {
    compare: list(1, () => compare),
    success: list(2, () => requestOp),
    failure: list(3, () => requestOp),
    consistency,
  },
);

export const opReply: Message<OpReply> = union<"response", OpReply>("ResponseOp", "response", {
  range: { number: 1, name: "response_range", message: () => rangeReply },
  put: { number: 2, name: "response_put", message: () => putReply },
  deleteRange: { number: 3, name: "response_delete_range", message: () => deleteRangeReply },
  txn: { number: 4, name: "response_txn", message: () => txnReply },
});

export const txnReply: Message<TxnReply> = message<TxnReply>(
  "TxnResponse",
  () => ({ header: NO_HEADER, succeeded: false, responses: [] }),
  { header: nested(1, () => header), succeeded: bool(2), responses: list(3, () => opReply) },
);

export const compactRequest: Message<CompactMessage> = message<CompactMessage>(
  "CompactionRequest",
  () => ({ revision: 0 }),
  {
    revision: int64(1),
    physical: bool(2),
  },
);
