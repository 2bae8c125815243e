import type {
  AuthRevision,
  Caller,
  Alarm,
  AlarmType,
  CompactRequest,
  DeleteRangeRequest,
  DeleteRangeResponse,
  LeaseRevokeRequest,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  Revision,
  TxnRequest,
  TxnResponse,
} from "../kv/index.ts";
import type { LogIndex, NodeId, Role, Term } from "../raft/index.ts";
import type { AuthEngine } from "./auth/auth-engine.ts";
import type { BackupPiece } from "./backup/index.ts";
import type { WatchStats, WatchStream, WatchStreamOptions } from "./watch/messages.ts";

/**
 * How fresh a read must be.
 *
 * - `linearizable`: sees every write acknowledged before it began; the leader confirms its lead with a quorum.
 * - `lease`: the same, as long as clocks drift less than the configured bound; no round trip.
 * - `eventual`: what this replica has applied, now. Prefix-consistent.
 */
export type Consistency = "linearizable" | "lease" | "eventual";

/** The header of every etcd response. */
export interface ResponseHeader {
  readonly clusterId: bigint;
  readonly memberId: NodeId;
  readonly revision: Revision;
  readonly raftTerm: Term;
}

/** What every answer has. */
export interface WithHeader {
  readonly header: ResponseHeader;
}

/** What any call may be given. */
export interface CallOptions {
  /** Gives up (error `canceled`) when it aborts. A write may take effect all the same. */
  readonly signal?: AbortSignal;
  /** Gives up after this long (error `timeout`). Default: the engine's `requestTimeoutMs`. */
  readonly timeoutMs?: number;
  /**
   * On whose behalf it is asked; whoever hands an engine on to others says so with `actAs`. Absent: nobody's, which is
   * refused (`userEmpty`) while authentication is on.
   */
  readonly caller?: Caller;
}

/** How old an answer is that comes from a copy which is brought up to date now and then. */
export interface ReadAge {
  /** Before so many milliseconds the copy had everything that was stored. */
  readonly checkedMsAgo: number;
  /** When the newest write that it shows was proposed, by the leader's clock, since the epoch; null: not known. */
  readonly writtenAtMs: number | null;
}

/** An answer to a read. */
export interface WithAge extends WithHeader {
  /** Absent from answers of members, which hear of every write. */
  readonly age?: ReadAge;
}

/** What a write may be given. */
export interface WriteOptions extends CallOptions {
  /**
   * Names the write: 1 to 64 printable ASCII characters without quotes and backslashes, never to be used for another.
   * A write that was done under its name is not done again, but answered with what it gave then, for at least
   * `NodeTuning.idempotencyWindowMs`, unless 65,536 others or 16 MiB of their results have come since.
   * Errors: `idempotencyKeyReused`, when another request has the name, and `resultNotKept`, when the write was done
   * and its result has more than 16 KiB. A read has no name (`invalidArgument`).
   */
  readonly idempotencyKey?: string;
}

/** An answer to a write that can be named. */
export interface WithReplay extends WithHeader {
  /** The write was done before, under the same name; the header's revision is of then. */
  readonly replayed?: true;
}

/** What a read may be given. */
export interface ReadOptions extends CallOptions {
  /** Default: the engine's `defaultConsistency`. */
  readonly consistency?: Consistency;
  /**
   * The least revision that the answer may be of: what an eventual read needs to see a write that is known of. Errors:
   * `futureRevision`, when the group has not got there, and `revisionNotReached`, when a copy did not in time.
   */
  readonly minRevision?: Revision;
}

/** A member as clients see it. */
export interface Member {
  readonly id: NodeId;
  /** Empty until the member has started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** Where a member stands, whatever its state machine is. */
export interface ReplicaStatus {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly nodeId: NodeId;
  readonly name: string;
  readonly role: Role | "learner";
  readonly leaderId: NodeId | null;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly firstIndex: LogIndex;
  readonly isLearner: boolean;
  /** The group sleeps, as far as this member knows: nothing happens here until somebody asks for something. */
  readonly isAsleep: boolean;
  /** Proposals of this member's callers that are not answered yet. */
  readonly pendingProposals: number;
}

/** Where a member of a key-value group stands, and what it holds; as of now, on this member. */
export interface EngineStatus extends ReplicaStatus {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  /** Bytes of the state in memory, as kv/size.ts counts them; the same on all members once they have compacted the same. */
  readonly dbSize: number;
  /** What `dbSize` is not to pass; Infinity: there is no quota. */
  readonly quotaBytes: number;
  /** Those that are active. */
  readonly alarms: readonly Alarm[];
  /** Those that this member serves. */
  readonly watches: WatchStats;
  /** How many revisions the watch is behind that has been told least. Looks at all of them. */
  readonly watchLag: () => number;
  readonly leases: number;
  /**
   * Hash of the whole state at `appliedIndex`, leases and alarms included; equal on all members that have applied as
   * much. At once: see `Engine.hash`, which is of the keys alone.
   */
  readonly stateHash: () => string;
  readonly authRevision: AuthRevision;
}

/** etcd's MemberAddRequest. The member's id is computed by whoever adds it, and comes with the answer. */
export interface MemberAddRequest {
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

/** etcd's LeaseGrantRequest. Exactly one of the two times counts: `ttlMs` where it is given. */
export interface LeaseGrantRequest {
  /** Chosen by the engine when it is 0n or absent. */
  readonly id?: bigint;
  /** How long the lease lives, in seconds. Raised to one and a half election timeouts, at least 2 s by default. */
  readonly ttlSeconds?: number;
  /** Ours: instead, in milliseconds and to the letter. */
  readonly ttlMs?: number;
}

/** etcd's LeaseGrantResponse, its time in milliseconds. */
export interface LeaseGrantResponse {
  readonly id: bigint;
  /** What was granted. */
  readonly ttlMs: number;
}

/** etcd's LeaseKeepAliveResponse, its time in milliseconds. */
export interface LeaseKeepAliveResponse {
  readonly id: bigint;
  /** The lease lives at least so long from when it was asked for; 0: it is gone. */
  readonly ttlMs: number;
}

/** etcd's LeaseTimeToLiveRequest. */
export interface LeaseTimeToLiveRequest {
  readonly id: bigint;
  /** Also name the keys attached to it. */
  readonly keys?: boolean;
}

/** etcd's LeaseTimeToLiveResponse, its times in milliseconds. */
export interface LeaseTimeToLiveResponse {
  readonly id: bigint;
  /** What is left if nobody renews it; -1: there is no such lease. */
  readonly remainingMs: number;
  /** What was granted. */
  readonly ttlMs: number;
  /** Ascending, if they were asked for. */
  readonly keys: readonly Uint8Array[];
}

export type AlarmRequest =
  /** Those that are active, of one type or of all. */
  | { readonly action: "get"; readonly type?: AlarmType }
  | { readonly action: "activate" | "deactivate"; readonly type: AlarmType; readonly memberId: bigint };

export interface AlarmResponse {
  /** What was asked for; what is active now because of it, or is no longer. */
  readonly alarms: readonly Alarm[];
}

export interface HashResponse {
  /** 16 hexadecimal digits, of what a reader at `hashRevision` sees: equal on all members. */
  readonly hash: string;
  readonly hashRevision: Revision;
  /** Where that is the latest: as `EngineStatus.stateHash`. */
  readonly stateHash?: string;
  readonly compactRevision: Revision;
}

/** One node's door to the group: what the HTTP routes, the embedded client and later gRPC all call. */
export interface Engine {
  status(options?: Pick<CallOptions, "caller">): EngineStatus;
  /** The header for a response made now. */
  header(): ResponseHeader;
  range(request: RangeRequest, options?: ReadOptions): Promise<RangeResponse & WithAge>;
  put(request: PutRequest, options?: WriteOptions): Promise<PutResponse & WithReplay>;
  deleteRange(request: DeleteRangeRequest, options?: WriteOptions): Promise<DeleteRangeResponse & WithReplay>;
  /** A transaction that only reads is served like a range, under `consistency`. */
  txn(request: TxnRequest, options?: ReadOptions & WriteOptions): Promise<TxnResponse & WithReplay>;
  compact(request: CompactRequest, options?: CallOptions): Promise<WithHeader>;
  leaseGrant(request: LeaseGrantRequest, options?: CallOptions): Promise<LeaseGrantResponse & WithHeader>;
  /** Ends a lease; every key attached to it goes with it, in one revision. */
  leaseRevoke(request: LeaseRevokeRequest, options?: CallOptions): Promise<WithHeader>;
  /** Gives a lease its whole time anew. */
  leaseKeepAlive(id: bigint, options?: CallOptions): Promise<LeaseKeepAliveResponse & WithHeader>;
  leaseTimeToLive(
    request: LeaseTimeToLiveRequest,
    options?: CallOptions,
  ): Promise<LeaseTimeToLiveResponse & WithHeader>;
  /** The ids of all leases, oldest first. */
  leaseList(options?: CallOptions): Promise<{ readonly ids: readonly bigint[] } & WithHeader>;
  /**
   * Opens a stream for watches, served from what this member has applied.
   *
   * @throws EngineError `noLeader`, `notSupportedForLearner`, `stopped`, `tooManyRequests`, `canceled`.
   */
  watch(options?: WatchStreamOptions): WatchStream;
  memberList(options?: ReadOptions): Promise<{ readonly members: readonly Member[] } & WithHeader>;
  memberAdd(
    request: MemberAddRequest,
    options?: CallOptions,
  ): Promise<{ readonly member: Member; readonly members: readonly Member[] } & WithHeader>;
  memberRemove(
    id: NodeId,
    options?: CallOptions,
  ): Promise<{ readonly members: readonly Member[] } & WithHeader>;
  memberUpdate(
    id: NodeId,
    peerUrls: readonly string[],
    options?: CallOptions,
  ): Promise<{ readonly members: readonly Member[] } & WithHeader>;
  /** Makes a caught-up learner a voter; `learnerNotReady` until it is. */
  memberPromote(
    id: NodeId,
    options?: CallOptions,
  ): Promise<{ readonly members: readonly Member[] } & WithHeader>;
  /**
   * Lists alarms, raises one or disarms it. While one is active all members refuse what `AlarmType` says.
   *
   * @throws EngineError `tooManyAlarms`.
   */
  alarm(request: AlarmRequest, options?: CallOptions): Promise<AlarmResponse & WithHeader>;
  /**
   * Hash of this member's state, now or at an earlier revision. The state is captured before this returns, and hashed
   * bit by bit while the node goes on working.
   *
   * @throws EngineError `compacted`, `futureRevision`, `tooManyRequests`, `canceled`.
   */
  hash(
    request: { readonly revision?: Revision },
    options?: Pick<CallOptions, "signal" | "caller">,
  ): Promise<HashResponse & WithHeader>;
  /**
   * This member's state as a file to restore a cluster from, piece by piece; the last is the SHA-256 of all before it.
   * The state is captured when the first is asked for, and writes go on.
   *
   * @throws EngineError `tooManyRequests`, `canceled`; `timeout` when the next piece is not asked for within a minute,
   * or pieces of 64 KiB are asked for more slowly than one a second for long.
   */
  backup(options?: Pick<CallOptions, "signal" | "caller">): AsyncGenerator<BackupPiece, void, undefined>;
  /** Users, roles, and what they may do. */
  readonly auth: AuthEngine;
  /** Hands leadership to a voter; resolves when it leads. */
  transferLeadership(target: NodeId, options?: CallOptions): Promise<void>;
  /** Calls back whenever the leader this node knows changes; returns the way to stop. */
  onLeaderChange(listener: (leaderId: NodeId | null) => void): () => void;
  /** Calls back whenever the membership changes; returns the way to stop. */
  onMembershipChange(listener: (members: readonly Member[]) => void): () => void;
}
