import type { Message } from "./messages.ts";
import type { ClusterConfig, ConfChange, Entry, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

/**
 * Everything that can happen to a node. Time is not an event: every `step` says what time it is, and deadlines
 * that have passed are acted on first. `wake` is the event for "nothing else, but look at the clock".
 */
export type RaftEvent =
  /** A message from a peer, authenticated and decoded. */
  | { readonly type: "message"; readonly message: Message }
  /**
   * Append commands (leader only). All or none are accepted; they take consecutive indexes. At the members named as
   * `awaitedBy` somebody waits until they have been applied there.
   */
  | {
      readonly type: "propose";
      readonly commands: readonly Uint8Array[];
      readonly awaitedBy?: readonly NodeId[];
    }
  /** Append a membership change (leader only). */
  | { readonly type: "proposeConfChange"; readonly change: ConfChange }
  /**
   * Ask for a read index; the answer is a ReadState. `readId` must never have been used by this node, not even by a
   * process before this one: a late answer to that would serve a read that began after it. With
   * `lease` a leader that holds its lease answers at once; one that does not confirms its lead as always.
   */
  | { readonly type: "readIndex"; readonly readId: bigint; readonly lease: boolean }
  /** Hand leadership over (leader only). */
  | { readonly type: "transferLeadership"; readonly target: NodeId }
  /**
   * Campaign without waiting for the random part of the election timeout: for operators and tests. A node that heard
   * from a leader within an election timeout still waits for its end, as it has promised that leader.
   */
  | { readonly type: "campaign" }
  /** The writes of the Ready with this number are durable. In order, one for each Ready. */
  | { readonly type: "persisted"; readonly number: number }
  /** The state machine has applied everything up to here. */
  | { readonly type: "applied"; readonly index: LogIndex }
  /** A committed membership change reached its turn to be applied. Answered with the configuration now in force. */
  | { readonly type: "applyConfChange"; readonly change: ConfChange }
  /** What the driver read for a LogReadRequest; `prevTerm` is the term at `from - 1`. */
  | {
      readonly type: "logRead";
      readonly to: NodeId;
      readonly from: LogIndex;
      readonly prevTerm: Term;
      readonly entries: readonly Entry[];
    }
  /** A LogReadRequest could not be served: the entries are compacted away. */
  | { readonly type: "logReadCompacted"; readonly to: NodeId; readonly from: LogIndex }
  /** The LogStore has dropped everything up to `meta.index`; a snapshot at `meta` stands in for it. */
  | { readonly type: "compacted"; readonly snapshot: SnapshotMeta }
  /** How the transfer of a snapshot to a peer ended. */
  | { readonly type: "snapshotReport"; readonly to: NodeId; readonly ok: boolean }
  /** The transport could not deliver to this peer: stop streaming, probe. */
  | { readonly type: "unreachable"; readonly node: NodeId }
  /** Look at the clock; leave quiescence. */
  | { readonly type: "wake" };

/** Why an event was refused. Nothing has changed then. */
export type Rejection =
  | { readonly reason: "notLeader"; readonly leaderId: NodeId | null }
  /** Leadership is being handed over. */
  | { readonly reason: "transferring"; readonly target: NodeId }
  /** Too many bytes wait to be committed or applied. */
  | { readonly reason: "backPressure"; readonly uncommittedBytes: number }
  /** Another membership change is not applied yet. */
  | { readonly reason: "confChangePending"; readonly pendingIndex: LogIndex }
  /** The change breaks a rule; `detail` says which. */
  | { readonly reason: "invalidConfChange"; readonly detail: string }
  /** The learner to be promoted lags too far behind, or is not heard from. */
  | { readonly reason: "learnerNotReady"; readonly matchIndex: LogIndex }
  /** Not a voter, or not a member at all. */
  | { readonly reason: "badTransferee"; readonly detail: string }
  /** A read from a node that knows no leader. */
  | { readonly reason: "noLeader" }
  /** Too many reads wait for confirmation. */
  | { readonly reason: "tooManyReads" };

/** The answer to a step. */
export type Outcome =
  | {
      readonly ok: true;
      /** propose, proposeConfChange: the index of the first entry appended; its term is the node's current term. */
      readonly index?: LogIndex;
      /** applyConfChange: the configuration now in force. */
      readonly config?: ClusterConfig;
    }
  | { readonly ok: false; readonly rejection: Rejection };
