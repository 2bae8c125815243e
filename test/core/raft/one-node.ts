import {
  type AppendEntries,
  BOOTSTRAP,
  type ClusterConfig,
  type ConfChange,
  type ConfChangeStep,
  type Entry,
  type HardState,
  type LogIndex,
  type LogReadRequest,
  type Message,
  type MessageType,
  type NodeId,
  type Outcome,
  Raft,
  type RaftEvent,
  type RaftOptions,
  type RaftStatus,
  type ReadState,
  type Ready,
  simpleConfig,
  type SnapshotMeta,
  type Term,
} from "../../../src/core/raft/index.ts";

export const ET = 1000;

export interface OneNodeOptions {
  readonly id?: NodeId;
  readonly config?: ClusterConfig;
  readonly hardState?: HardState;
  /** After {@link BOOTSTRAP}. */
  readonly log?: readonly Entry[];
  readonly applied?: LogIndex;
  readonly options?: Partial<RaftOptions>;
  /** Of the election timer, in [0, 1). */
  readonly jitter?: number;
  readonly rested?: boolean;
}

type OfType<T extends MessageType> = Extract<Message, { type: T }>;
type Received<M> = M extends Message ? Omit<M, "to"> : never;

/**
 * One core with a disk that is either instant or holds everything back, and a notebook of what it says. Its peers
 * are whoever the test pretends to be.
 */
export class OneNode {
  readonly raft: Raft;
  nowMs = 0;
  /** Messages in the order in which they may leave. */
  sent: Message[] = [];
  readStates: ReadState[] = [];
  logReads: LogReadRequest[] = [];
  applied: Entry[] = [];
  readys: Ready[] = [];
  /** Written but not durable yet, oldest first; only while the disk is held. */
  writing: Ready[] = [];
  /** What is durable. */
  hardState: HardState;
  holdDisk = false;
  holdApply = false;

  constructor({
    id = 1n,
    config = simpleConfig([1n, 2n, 3n]),
    hardState = { term: BOOTSTRAP.term, vote: null, commit: BOOTSTRAP.index },
    log = [],
    applied = BOOTSTRAP.index,
    options = {},
    jitter = 0,
    rested = false,
  }: OneNodeOptions = {}) {
    this.hardState = hardState;
    const state = {
      hardState,
      compacted: { ...BOOTSTRAP, config },
      applied,
      config,
      tailPrev: BOOTSTRAP,
      tail: log,
      rested,
    };
    this.raft = new Raft({ electionTimeoutMs: ET, ...options, nodeId: id }, state, { next: () => jitter }, 0);
    this.pump();
  }

  get status(): RaftStatus {
    return this.raft.status();
  }

  step(event: RaftEvent): Outcome {
    const outcome = this.raft.step(event, this.nowMs);
    this.pump();
    return outcome;
  }

  /** Receives a message, and says what this node sends from then on. */
  receive(message: Received<Message>): Message[] {
    const before = this.sent.length;
    this.step({ type: "message", message: { ...message, to: this.status.nodeId } as Message });
    return this.sent.slice(before);
  }

  propose(...texts: string[]): Outcome {
    return this.step({ type: "propose", commands: texts.map((text) => new TextEncoder().encode(text)) });
  }

  change(...steps: [ConfChangeStep["type"], NodeId][]): Outcome {
    return this.step({ type: "proposeConfChange", change: confChange(steps) });
  }

  read(readId: bigint, lease = false): Outcome {
    return this.step({ type: "readIndex", readId, lease });
  }

  /** Time passes; deadlines on the way are met when they are due. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const deadlineMs = this.raft.nextDeadlineMs();
      if (deadlineMs === null || deadlineMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      this.step({ type: "wake" });
    }
    this.nowMs = endMs;
  }

  /** Messages of one type, taken out of what was sent. */
  take<T extends MessageType>(type: T): OfType<T>[] {
    const taken = this.sent.filter((message): message is OfType<T> => message.type === type);
    this.sent = this.sent.filter((message) => message.type !== type);
    return taken;
  }

  /** The one message of its type, taken out of what was sent. */
  takeOnly<T extends MessageType>(type: T): OfType<T> {
    const [only, ...more] = this.take(type);
    if (only === undefined || more.length > 0) throw new Error(`${more.length + 1} or no ${type}`);
    return only;
  }

  /** The oldest write becomes durable. */
  persistNext(): void {
    this.#persist(this.writing.shift()!);
    this.pump();
  }

  persistAll(): void {
    while (this.writing.length > 0) this.persistNext();
  }

  pump(): void {
    for (let ready = this.raft.ready(); ready !== null; ready = this.raft.ready()) {
      this.readys.push(ready);
      this.sent.push(...ready.messages);
      this.readStates.push(...ready.readStates);
      this.logReads.push(...ready.logReads);
      if (this.holdDisk) this.writing.push(ready);
      else this.#persist(ready);
      for (const entry of ready.committed) {
        this.applied.push(entry);
        if (!this.holdApply) this.apply(entry);
      }
    }
  }

  apply(entry: Entry): void {
    if (entry.kind === "confChange")
      this.raft.step({ type: "applyConfChange", change: entry.change }, this.nowMs);
    this.raft.step({ type: "applied", index: entry.index }, this.nowMs);
  }

  #persist(ready: Ready): void {
    this.hardState = ready.hardState ?? this.hardState;
    this.raft.step({ type: "persisted", number: ready.number }, this.nowMs);
    this.sent.push(...ready.messagesAfterPersist);
  }

  // Common beginnings

  /** Campaigns, pretending that every other voter grants. */
  campaign(): this {
    while (this.status.role !== "preCandidate") this.advance(1);
    const term = this.status.term + 1;
    for (const from of this.#others()) {
      if (this.status.role === "preCandidate")
        this.receive({ type: "PreVoteResult", from, term, granted: true });
    }
    return this;
  }

  /** Wins the election of the next term. */
  lead(): this {
    if (this.#others().length > 0) this.campaign();
    else this.advance(0);
    for (const from of this.#others()) {
      if (this.status.role === "candidate")
        this.receive({ type: "RequestVoteResult", from, term: this.status.term, granted: true });
    }
    return this;
  }

  /** As `from`, says that everything up to `matchIndex` (default: the whole log) is durable there. */
  ack(from: NodeId, matchIndex: LogIndex = this.status.lastIndex, term: Term = this.status.term): Message[] {
    const type = "AppendEntriesResult";
    return this.receive({ type, from, term, success: true, matchIndex, hintIndex: 0, hintTerm: 0 });
  }

  refuse(from: NodeId, matchIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term): Message[] {
    const { term } = this.status;
    return this.receive({
      type: "AppendEntriesResult",
      from,
      term,
      success: false,
      matchIndex,
      hintIndex,
      hintTerm,
    });
  }

  heartbeatAck(from: NodeId, round: number): Message[] {
    return this.receive({ type: "HeartbeatResult", from, term: this.status.term, round });
  }

  #others(): NodeId[] {
    const { voters, votersOutgoing } = this.status.config;
    return [...new Set([...voters, ...votersOutgoing])].filter((node) => node !== this.status.nodeId);
  }
}

export function command(index: LogIndex, term: Term, text = `${index}/${term}`): Entry {
  return { kind: "command", index, term, data: new TextEncoder().encode(text) };
}

export function noop(index: LogIndex, term: Term): Entry {
  return { kind: "noop", index, term };
}

export function confChange(
  steps: readonly [ConfChangeStep["type"], NodeId][],
  transition: ConfChange["transition"] = "auto",
): ConfChange {
  return { steps: steps.map(([type, node]) => ({ type, node })), transition, context: new Uint8Array(0) };
}

/** Entries after {@link BOOTSTRAP} with these terms. */
export function entriesOf(terms: readonly Term[]): Entry[] {
  return terms.map((term, i) => command(BOOTSTRAP.index + 1 + i, term));
}

export function appendEntries(
  from: NodeId,
  term: Term,
  prev: readonly [index: LogIndex, term: Term],
  entries: readonly Entry[] = [],
  leaderCommit: LogIndex = 0,
): Omit<AppendEntries, "to"> {
  const [prevLogIndex, prevLogTerm] = prev;
  return { type: "AppendEntries", from, term, prevLogIndex, prevLogTerm, entries, leaderCommit };
}

export function snapshotAt(
  index: LogIndex,
  term: Term,
  config: ClusterConfig = simpleConfig([1n, 2n, 3n]),
): SnapshotMeta {
  return { index, term, config };
}
