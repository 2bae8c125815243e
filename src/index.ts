export { EmbeddedEngine, EmbeddedStateMachine } from "./runtimes/node/index.ts";
export type { EmbeddedOptions, LeaderInfo } from "./runtimes/node/index.ts";
export { Client, TxnBuilder } from "./core/node/index.ts";
export type {
  AppliedCommand,
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
  ReplicaStatus,
  ResponseHeader,
  Scan,
  StateMachine,
  StateSnapshot,
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
