export { EmbeddedEngine } from "./runtimes/node/index.ts";
export type { EmbeddedOptions, LeaderInfo } from "./runtimes/node/index.ts";
export { Client, TxnBuilder } from "./core/node/index.ts";
export type {
  Bytes,
  CallOptions,
  ClientOptions,
  Consistency,
  Engine,
  EngineStatus,
  GetOptions,
  Logger,
  LogLevel,
  Member,
  MemberAddRequest,
  ReadOptions,
  ResponseHeader,
  Scan,
  StorageEngine,
  TxnResult,
} from "./core/node/index.ts";
export type {
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
  ResponseOp,
  Revision,
  TxnRequest,
  TxnResponse,
} from "./core/kv/index.ts";
export type { NodeId, Term } from "./core/raft/index.ts";
export { AssertionError, EngineError, ERRORS } from "./core/errors/index.ts";
export type { ErrorCode, ErrorDetails } from "./core/errors/index.ts";
