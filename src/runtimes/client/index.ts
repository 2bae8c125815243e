export { createClient } from "./create-client.ts";
export type { ConnectOptions, Fetch } from "./options.ts";
export {
  Change,
  Client,
  isClientError,
  jsonCodec,
  Leader,
  Lease,
  TxnBuilder,
  TypedClient,
  TypedWatch,
  Watch,
} from "../../core/node/client/index.ts";
export type {
  Bytes,
  ClientError,
  Codec,
  ElectOptions,
  GetOptions,
  HeldLock,
  Leadership,
  LeaseInfo,
  LeaseOptions,
  LockOptions,
  MemberStatus,
  PagesOptions,
  PutOptions,
  RangeQuery,
  Scan,
  TryLockResult,
  TxnResult,
  TypedChange,
  TypedEntry,
  TypedScan,
  WatchOptions,
} from "../../core/node/client/index.ts";
export type { CallOptions, Consistency, Member, ReadOptions, WriteOptions } from "../../core/node/index.ts";
export type { KeyValue, Revision } from "../../core/kv/index.ts";
export { EngineError, ERRORS } from "../../core/errors/index.ts";
export type { ErrorCode } from "../../core/errors/index.ts";
