import type { WatchEvent } from "../../../core/kv/index.ts";
import type { WatchCreateRequest, WatchFilter, WatchResponse } from "../../../core/node/index.ts";
import {
  bigInt64,
  bool,
  bytes,
  enumList,
  enumOf,
  int64,
  list,
  type Message,
  message,
  nested,
  text,
  union,
} from "../codec/schema.ts";
import { header, type HeaderMessage, keyValue } from "./kv-messages.ts";

/* etcdserverpb's Watch messages and mvccpb.Event (etcd: api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto). */

/** What a client says on a watch stream. */
export type WatchRequest =
  | { readonly type: "create"; readonly request: WatchCreateRequest }
  | { readonly type: "cancel"; readonly request: WatchCancelMessage }
  | { readonly type: "progress"; readonly request: object };

export interface WatchCancelMessage {
  readonly watchId: bigint;
}

export type WatchReply = Omit<WatchResponse, "header"> & { readonly header: HeaderMessage };

const NO_BYTES = new Uint8Array(0);

const watchCreateRequest: Message<WatchCreateRequest> = message<WatchCreateRequest>(
  "WatchCreateRequest",
  () => ({ key: NO_BYTES }),
  {
    key: bytes(1),
    rangeEnd: bytes(2),
    startRevision: int64(3),
    progressNotify: bool(4),
    filters: enumList<WatchFilter>(5, "WatchCreateRequest.FilterType", {
      noPut: "NOPUT",
      noDelete: "NODELETE",
    }),
    prevKv: bool(6),
    watchId: bigInt64(7),
    fragment: bool(8),
    initialState: bool(null),
  },
);

const watchCancelRequest: Message<WatchCancelMessage> = message<WatchCancelMessage>(
  "WatchCancelRequest",
  () => ({ watchId: 0n }),
  { watchId: bigInt64(1) },
);

const watchProgressRequest: Message<object> = message<object>("WatchProgressRequest", () => ({}), {});

export const watchRequest: Message<WatchRequest> = union<"request", WatchRequest>("WatchRequest", "request", {
  create: { number: 1, name: "create_request", message: () => watchCreateRequest },
  cancel: { number: 2, name: "cancel_request", message: () => watchCancelRequest },
  progress: { number: 3, name: "progress_request", message: () => watchProgressRequest },
});

const event: Message<WatchEvent> = message<WatchEvent>(
  "Event",
  () => ({
    type: "put",
    kv: { key: NO_BYTES, value: NO_BYTES, createRevision: 0, modRevision: 0, version: 0, lease: 0n },
    prevKv: null,
  }),
  {
    type: enumOf<WatchEvent["type"]>(1, "Event.EventType", { put: "PUT", delete: "DELETE" }),
    kv: nested(2, () => keyValue),
    prevKv: nested(3, () => keyValue),
  },
);

export const watchReply: Message<WatchReply> = message<WatchReply>(
  "WatchResponse",
  () => ({
    header: {},
    watchId: 0n,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: "",
    fragment: false,
    initial: false,
    events: [],
  }),
  {
    header: nested(1, () => header),
    watchId: bigInt64(2),
    created: bool(3),
    canceled: bool(4),
    compactRevision: int64(5),
    cancelReason: text(6),
    fragment: bool(7),
    initial: bool(null),
    events: list(11, () => event),
  },
);
