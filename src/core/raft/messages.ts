import type { Entry, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

/** What every message between nodes carries. */
interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; for PreVote and its granted answer the term the candidate would campaign in. */
  readonly term: Term;
}

/** Replicates entries, and probes for the point where two logs agree (paper §5.3). */
export interface AppendEntries extends Envelope {
  readonly type: "AppendEntries";
  readonly prevLogIndex: LogIndex;
  readonly prevLogTerm: Term;
  readonly entries: readonly Entry[];
  readonly leaderCommit: LogIndex;
}

/** Sent only once everything up to `matchIndex` is durable. */
export interface AppendEntriesResult extends Envelope {
  readonly type: "AppendEntriesResult";
  readonly success: boolean;
  /** On success: the log agrees with the leader's and is durable up to here. On failure: the refused prevLogIndex. */
  readonly matchIndex: LogIndex;
  /** On failure: the largest index at which the logs may still agree, and the term there (conflict back-off by term). */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
}

/** Keeps followers from campaigning; its round confirms reads and renews the leader lease (thesis §6.4). */
export interface Heartbeat extends Envelope {
  readonly type: "Heartbeat";
  readonly leaderCommit: LogIndex;
  /** Grows with every round of this leader's term; never reused, so a late answer cannot confirm a later read. */
  readonly round: number;
  /** The leader has put the group to sleep: stop the election timer until something happens. */
  readonly quiesce: boolean;
}

export interface HeartbeatResult extends Envelope {
  readonly type: "HeartbeatResult";
  readonly round: number;
}

export interface RequestVote extends Envelope {
  readonly type: "RequestVote";
  readonly lastLogIndex: LogIndex;
  readonly lastLogTerm: Term;
  /** The current leader asked for this election, so a recent heartbeat is no reason to refuse (thesis §4.2.3). */
  readonly leadershipTransfer: boolean;
}

export interface RequestVoteResult extends Envelope {
  readonly type: "RequestVoteResult";
  readonly granted: boolean;
}

/** Asks whether an election could be won, without touching anyone's term or vote (thesis §9.6). */
export interface PreVote extends Envelope {
  readonly type: "PreVote";
  readonly lastLogIndex: LogIndex;
  readonly lastLogTerm: Term;
}

export interface PreVoteResult extends Envelope {
  readonly type: "PreVoteResult";
  readonly granted: boolean;
}

/** Announces a snapshot. The driver moves the bytes; the answer is an AppendEntriesResult (paper §7). */
export interface InstallSnapshot extends Envelope {
  readonly type: "InstallSnapshot";
  readonly snapshot: SnapshotMeta;
}

/** Tells a caught-up follower to campaign at once (thesis §3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: "TimeoutNow";
}

/** A follower asks the leader for a read index (thesis §6.4). */
export interface ReadIndexRequest extends Envelope {
  readonly type: "ReadIndexRequest";
  /** Chosen by the asking node, which never uses it again, not even after a restart. */
  readonly readId: bigint;
  /** The leader may answer from its lease, without a round of heartbeats. */
  readonly lease: boolean;
}

export interface ReadIndexResult extends Envelope {
  readonly type: "ReadIndexResult";
  readonly readId: bigint;
  /** Null: this node cannot serve it (it does not lead, or lost its lead meanwhile). */
  readonly index: LogIndex | null;
}

export type Message =
  | AppendEntries
  | AppendEntriesResult
  | Heartbeat
  | HeartbeatResult
  | RequestVote
  | RequestVoteResult
  | PreVote
  | PreVoteResult
  | InstallSnapshot
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexResult;

export type MessageType = Message["type"];
