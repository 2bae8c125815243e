export type {
  AlarmRequest,
  AlarmResponse,
  CallOptions,
  Consistency,
  Engine,
  EngineStatus,
  HashResponse,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  Member,
  MemberAddRequest,
  ReadAge,
  ReadOptions,
  ReplicaStatus,
  ResponseHeader,
  WithAge,
  WithHeader,
  WithReplay,
  WriteOptions,
} from "./engine.ts";
export { foundFrom } from "./founding.ts";
export { BACKUP_VERSION_NAME, BackupReader } from "./backup/index.ts";
export type { BackupHead, BackupPiece, BackupSummary } from "./backup/index.ts";
export { actAs } from "./auth/act-as.ts";
export type { AuthChange, AuthEngine, Identities } from "./auth/auth-engine.ts";
export type { AutoCompaction } from "./auto-compactor.ts";
export type { NodeOptions, NodeTuning } from "./options.ts";
export type { Measurement, NodeObserver } from "./observer.ts";
export { NODE_DEFAULTS } from "./options.ts";
export type {
  Cancel,
  Clock,
  LogBounds,
  Logger,
  LogLevel,
  LogStore,
  MetaState,
  MetaStore,
  Random,
  SnapshotInfo,
  SnapshotStore,
  SnapshotWriter,
  StorageEngine,
  StoreIdentity,
  Transport,
  TransportHandler,
} from "./ports.ts";
export type { AppliedCommand, StateMachine, StateSnapshot } from "./state-machine.ts";
export type { LogPosition, StoredBeginning, StoredLog, StoredStep, StoredSteps } from "./stored-log.ts";
export { StoredReplica } from "./stored-replica.ts";
export type { CatchUpLimits, StoredReplicaOptions } from "./stored-replica.ts";
export type { SavedLease, SavedLeases } from "./lessor.ts";
export type {
  ResumableWatchStream,
  SavedWatch,
  SavedWatches,
  WatchCreateRequest,
  WatchFilter,
  WatchResponse,
  WatchStats,
  WatchStream,
  WatchStreamOptions,
} from "./watch/messages.ts";
export { WATCH_DEFAULTS, WatchHub } from "./watch/watch-hub.ts";
export type { WatchHubOptions, WatchTuning } from "./watch/watch-hub.ts";
export { KvEngine } from "./kv-engine.ts";
export { lock, unlock } from "./coordination/lock.ts";
export type { LockRequest, LockResponse, UnlockRequest } from "./coordination/lock.ts";
export { campaign, leaderOf, observe, proclaim, resign } from "./coordination/election.ts";
export type { CampaignRequest, LeaderKey, LeaderResponse } from "./coordination/election.ts";
export type { QueueEngine } from "./coordination/queue.ts";
export { Replica } from "./replica.ts";
export { RaftNode } from "./raft-node.ts";
export type { NodeEvents } from "./node-events.ts";
export { Listeners } from "./listeners.ts";
export { bundleStorage } from "./bundle.ts";
export {
  Change,
  Client,
  isClientError,
  jsonCodec,
  Leader,
  Lease,
  prefixRange,
  TxnBuilder,
  TypedClient,
  TypedWatch,
  Watch,
} from "./client/index.ts";
export type {
  Bytes,
  ClientEngine,
  ClientError,
  ClientOptions,
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
} from "./client/index.ts";
