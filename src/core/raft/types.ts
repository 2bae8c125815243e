/** A member of the group: etcd's 64-bit member id. Never 0. */
export type NodeId = bigint;

/** Raft's logical time. Starts at 0 ("never in contact"); grows only. */
export type Term = number;

/** Position in the log. The first real entry of a bootstrapped group is 2, see {@link BOOTSTRAP}. */
export type LogIndex = number;

/** What every log entry carries: its place, and the term of the leader that created it. */
interface EntryPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/** An opaque command for the state machine. */
export interface CommandEntry extends EntryPosition {
  readonly kind: "command";
  readonly data: Uint8Array;
}

/** The empty entry by which a new leader commits what it inherited (thesis §6.4, paper §8). */
export interface NoopEntry extends EntryPosition {
  readonly kind: "noop";
}

/** A membership change. It takes effect when it is applied, not when it is appended. */
export interface ConfChangeEntry extends EntryPosition {
  readonly kind: "confChange";
  readonly change: ConfChange;
}

/** One entry of the log. */
export type Entry = CommandEntry | NoopEntry | ConfChangeEntry;

/** One step of a membership change. `addVoter` of a learner promotes it; `addLearner` of a voter demotes it. */
export interface ConfChangeStep {
  readonly type: "addVoter" | "addLearner" | "remove";
  readonly node: NodeId;
}

/**
 * A membership change (thesis §4). With no steps it leaves the joint configuration.
 *
 * - `auto`: a simple change when at most one voter changes, else joint consensus left automatically.
 * - `implicit`: joint consensus, left automatically once the joint configuration has been applied.
 * - `explicit`: joint consensus, left only by a further change with no steps.
 */
export interface ConfChange {
  readonly steps: readonly ConfChangeStep[];
  readonly transition: "auto" | "implicit" | "explicit";
  /** Opaque to Raft: the driver keeps the member's name and addresses here. */
  readonly context: Uint8Array;
}

/**
 * The group's configuration. Joint exactly when `votersOutgoing` is not empty. Every list is sorted and without
 * duplicates; `learners` is disjoint from both voter lists; `learnersNext` (voters of the outgoing half that
 * become learners when the joint configuration is left) is a subset of `votersOutgoing`.
 */
export interface ClusterConfig {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

/** What a node must not forget over a restart. `commit` is a lower bound that saves work, and guards membership. */
export interface HardState {
  readonly term: Term;
  /** Who got this node's vote in `term`; null for nobody yet. */
  readonly vote: NodeId | null;
  readonly commit: LogIndex;
}

/** The position a snapshot stands for, and the configuration in force there. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly config: ClusterConfig;
}

/**
 * A new group begins as if every founding member had restored an empty snapshot at this position, which carries
 * the founding configuration. A node that joins later starts at 0 and so always needs a snapshot first: that is
 * how it learns the configuration.
 */
export const BOOTSTRAP: { readonly index: LogIndex; readonly term: Term } = { index: 1, term: 1 };

/** A source of randomness in [0, 1), injected so that runs repeat. */
export interface RandomSource {
  next(): number;
}

export type Role = "follower" | "preCandidate" | "candidate" | "leader";
