import type { CallOptions, Engine, EngineStatus, ResponseHeader } from "../engine.ts";
import type { QueueEngine } from "../coordination/queue.ts";

/** What a member says of itself, to whoever asks it from near or far. */
export type MemberStatus = Pick<
  EngineStatus,
  | "clusterId"
  | "nodeId"
  | "leaderId"
  | "term"
  | "commitIndex"
  | "appliedIndex"
  | "isLearner"
  | "revision"
  | "dbSize"
>;

/** What a client needs of whoever serves it: an {@link Engine} in this process, or servers behind a network. */
export interface ClientEngine extends Pick<
  Engine,
  | "range"
  | "put"
  | "deleteRange"
  | "txn"
  | "compact"
  | "leaseGrant"
  | "leaseRevoke"
  | "leaseKeepAlive"
  | "leaseTimeToLive"
  | "leaseList"
  | "memberList"
  | "memberAdd"
  | "memberRemove"
  | "memberUpdate"
  | "memberPromote"
  | "transferLeadership"
> {
  /** The newest header known: of an engine the present one, from afar that of the last reply. */
  header(): ResponseHeader;
  status(options?: CallOptions): MemberStatus | Promise<MemberStatus>;
  watch: QueueEngine["watch"];
}
