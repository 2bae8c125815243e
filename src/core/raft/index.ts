export type {
  ClusterConfig,
  CommandEntry,
  ConfChange,
  ConfChangeEntry,
  ConfChangeStep,
  Entry,
  HardState,
  LogIndex,
  NodeId,
  NoopEntry,
  RandomSource,
  Role,
  SnapshotMeta,
  Term,
} from "./types.ts";
export { BOOTSTRAP } from "./types.ts";
export type * from "./messages.ts";
export type { LogReadRequest, Ready, ReadState, SoftState } from "./ready.ts";
export type { Outcome, RaftEvent, Rejection } from "./events.ts";
export type { RaftOptions } from "./config.ts";
export { RAFT_DEFAULTS, raftOptions } from "./config.ts";
export { assertValidConfig, isJoint, isVoter, members, simpleConfig } from "./cluster-config.ts";
export { changeConfig } from "./conf-change.ts";
export type { ConfChangeRefusal } from "./conf-change.ts";
export { entryBytes } from "./raft-log.ts";
export { Raft } from "./raft.ts";
export type { RaftState } from "./raft.ts";
export type { MemberProgress, RaftStatus } from "./status.ts";
