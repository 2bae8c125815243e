export type {
  CommandOf,
  Alarm,
  AlarmCommand,
  AlarmType,
  CompactRequest,
  Compare,
  CompareResult,
  DeleteRangeRequest,
  DeleteRangeResponse,
  ExpiredLease,
  KeyValue,
  KvCommand,
  KvErrorCode,
  KvResult,
  LeaseExpireCommand,
  LeaseGrantCommand,
  LeaseRevokeRequest,
  NamedWrite,
  OnceCommand,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RequestOp,
  ResponseOp,
  Revision,
  SortOrder,
  SortTarget,
  TxnRequest,
  TxnResponse,
  WatchEvent,
} from "./types.ts";
export type { BinaryKey, KeyRange } from "./key.ts";
export { binaryKey, isSingleKey, keyRange } from "./key.ts";
export type { History } from "./history.ts";
export { KvStore } from "./kv-store.ts";
export type { KvSnapshot } from "./kv-snapshot.ts";
export type { KvEntry, KvRestorer } from "./kv-store.ts";
export type { Lease } from "./lease-table.ts";
export { MAX_LEASE_TTL_SECONDS, MAX_TXN_READ_BYTES, MAX_TXN_READ_KEYS } from "./limits.ts";
export { fingerprintOf } from "./idempotency.ts";
export type { PageLimits, RangePage } from "./range.ts";
export type { StateHasher } from "./state-hash.ts";
export { decodeCommand, encodeCommand } from "./command-codec.ts";
export {
  DEFAULT_MAX_TXN_OPS,
  validateCommand,
  validateDeleteRange,
  validateIdempotencyKey,
  validatePut,
  validateRange,
  validateTxn,
} from "./validate.ts";
export { highestRevision, isReadOnly, requestSize } from "./request-shape.ts";
export { readCaller, writeCaller } from "./auth/auth-codec.ts";
export { validateAuthCommand } from "./auth/validate-auth.ts";
export type { AuthStore, Standing } from "./auth/auth-store.ts";
export { ANONYMOUS, ROOT, TOKEN_KEY_BYTES, TRUSTED } from "./auth/types.ts";
export type {
  Access,
  AuthCommand,
  AuthErrorCode,
  AuthRevision,
  Caller,
  Permission,
  Role,
  User,
} from "./auth/types.ts";
export { copiedBy, growthOf } from "./size.ts";
