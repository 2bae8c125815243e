import {
  BOOTSTRAP,
  type Entry,
  type HardState,
  type LogIndex,
  type Message,
  type NodeId,
  type Raft,
  type Term,
} from "../../../src/core/raft/index.ts";

/** Where the log begins: the founders start with an empty snapshot just before. */
export const FIRST_INDEX: LogIndex = BOOTSTRAP.index + 1;

/** One Ready on its way to the disk. */
export interface PendingWrite {
  readonly number: number;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly held: readonly HeldMessage[];
}

/** A message that waits for the disk, and the term of the entry that it acknowledges. */
export interface HeldMessage {
  readonly message: Message;
  readonly promisedTerm: Term | null;
}

/** A node with its disk, and what must be remembered about it over restarts to judge it. */
export interface NodeState {
  readonly id: NodeId;
  raft: Raft;
  hardState: HardState;
  /** The log on the disk; the first entry follows {@link BOOTSTRAP}. */
  entries: Entry[];
  pending: PendingWrite[];
  /** Committed and not applied; begins with a membership change, since all else is applied at once. */
  applyQueue: Entry[];
  /** History: whom it has voted for, by term, as far as a message ever said so. */
  granted: Map<Term, NodeId>;
  /** History: the last membership change that it ever applied. */
  actedOn: LogIndex;
}

/** The log as the core sees it: with what is on its way to the disk. */
export function viewOf(node: NodeState): Entry[] {
  return node.pending.reduce((log, { entries }) => appended(log, entries), node.entries);
}

/** The first new entry may overwrite a suffix. */
export function appended(log: Entry[], entries: readonly Entry[]): Entry[] {
  const first = entries[0];
  return first === undefined ? log : [...log.slice(0, first.index - FIRST_INDEX), ...entries];
}

export function termAt(log: readonly Entry[], index: LogIndex): Term | undefined {
  return index === BOOTSTRAP.index ? BOOTSTRAP.term : log[index - FIRST_INDEX]?.term;
}
