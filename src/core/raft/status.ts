import type { Core, RoleBehaviour } from "./core.ts";
import { Leader } from "./leader.ts";
import type { ProgressState } from "./progress.ts";
import type { ClusterConfig, HardState, LogIndex, NodeId, Role, Term } from "./types.ts";

/** What a leader knows about a member. */
export interface MemberProgress {
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: ProgressState;
  readonly lastHeardMs: number;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
}

/** A copy of a node's state, for decisions of the driver, metrics, and checkers of invariants. */
export interface RaftStatus {
  readonly nodeId: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leaderId: NodeId | null;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** The oldest entry that the LogStore still has. */
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly persistedIndex: LogIndex;
  readonly tailStart: LogIndex;
  readonly tailBytes: number;
  readonly config: ClusterConfig;
  readonly durable: HardState;
  readonly asleep: boolean;
  /** A leader that has committed an entry of its term and holds its lease. */
  readonly hasLease: boolean;
  readonly uncommittedBytes: number;
  readonly transferTarget: NodeId | null;
  /** Only on a leader; else empty. */
  readonly progress: ReadonlyMap<NodeId, MemberProgress>;
}

export function statusOf(core: Core, role: RoleBehaviour): RaftStatus {
  const { log } = core;
  const leader = role instanceof Leader ? role : null;
  const progress = new Map<NodeId, MemberProgress>();
  for (const [node, { match, next, state, lastHeardMs, inflights }] of leader?.replication.peers() ?? []) {
    const { count: inflightMessages, bytes: inflightBytes } = inflights;
    progress.set(node, { match, next, state, lastHeardMs, inflightMessages, inflightBytes });
  }
  return {
    nodeId: core.id,
    role: role.role,
    term: core.term,
    vote: core.vote,
    leaderId: core.leaderId,
    commitIndex: log.commitIndex,
    appliedIndex: log.appliedIndex,
    firstIndex: log.compacted.index + 1,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    persistedIndex: log.persistedIndex,
    tailStart: log.tailStart,
    tailBytes: log.tailBytes,
    config: core.config,
    durable: core.durable,
    asleep: core.asleep,
    hasLease: leader?.hasLease() ?? false,
    uncommittedBytes: leader?.uncommittedBytes ?? 0,
    transferTarget: leader?.transferTarget ?? null,
    progress,
  };
}
