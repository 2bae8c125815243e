import { isVoter } from "./cluster-config.ts";
import type { RaftOptions } from "./config.ts";
import type { Message } from "./messages.ts";
import type { RaftLog } from "./raft-log.ts";
import type { LogReadRequest, ReadState } from "./ready.ts";
import type { ClusterConfig, HardState, LogIndex, NodeId, RandomSource, Role, Term } from "./types.ts";

type WithoutSender<M> = M extends Message ? Omit<M, "from" | "term"> & { readonly term?: Term } : never;

/** A message as a role writes it: the sender is this node, the term its own unless given. */
export type Outgoing = WithoutSender<Message>;

/** How a candidate asks: first without touching terms, then for real; or for real at once, for a transfer. */
export type CampaignKind = "preVote" | "vote" | "transfer";

/** What a role asks for when it stops being the right one. */
export interface Transitions {
  /** A higher term, or a leader in this one. Keeps the vote unless the term changes. */
  follow(term: Term, leaderId: NodeId | null): void;
  campaign(kind: CampaignKind): void;
  lead(): void;
}

/** One of follower, learner, candidate, leader: what the node does while it is that. */
export interface RoleBehaviour {
  readonly role: Role;
  /** When the role wants to be called with nothing else happening; null for never. */
  deadlineMs(): number | null;
  /** That time has come. */
  onDeadline(): void;
  /** A message of the current term. */
  onMessage(message: Message): void;
  /** Something this node wrote is durable. */
  onPersisted(): void;
  /** The state machine has advanced. */
  onApplied(): void;
  /** The configuration changed. */
  onConfig(): void;
  /** Last word before the role is replaced. */
  onExit(): void;
}

/** The state that every role shares, and the way out for messages. */
export class Core {
  readonly options: RaftOptions;
  readonly random: RandomSource;
  readonly log: RaftLog;
  readonly become: Transitions;
  nowMs: number;
  term: Term;
  vote: NodeId | null;
  leaderId: NodeId | null = null;
  config: ClusterConfig;
  /** What the disk is known to hold. */
  durable: HardState;
  /**
   * When a leader was last heard, by which votes are refused for an election timeout. A start counts as having
   * heard one: this node may have promised its silence to a leader just before it went down (thesis §6.4.1).
   */
  lastLeaderContactMs: number;
  /** Until when a leader may rely on what this node promised before it started, and knows nothing of. */
  owesSilenceUntilMs: number;
  asleep = false;

  messages: Message[] = [];
  messagesAfterPersist: Message[] = [];
  readStates: ReadState[] = [];
  logReads: LogReadRequest[] = [];

  constructor(
    options: RaftOptions,
    random: RandomSource,
    log: RaftLog,
    hardState: HardState,
    config: ClusterConfig,
    nowMs: number,
    become: Transitions,
  ) {
    this.options = options;
    this.random = random;
    this.log = log;
    this.become = become;
    this.nowMs = nowMs;
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.durable = hardState;
    this.config = config;
    this.lastLeaderContactMs = nowMs;
    this.owesSilenceUntilMs = nowMs + options.electionTimeoutMs;
  }

  get id(): NodeId {
    return this.options.nodeId;
  }

  /** Between one and two election timeouts from now (paper §5.2; the floor is what leases rest on). */
  randomElectionDeadline(): number {
    return this.nowMs + this.options.electionTimeoutMs * (1 + this.random.next());
  }

  /** Only a voter with nothing pending that could change who the voters are. */
  mayCampaign(): boolean {
    return isVoter(this.config, this.id) && !this.log.hasUnappliedConfChange();
  }

  send(message: Outgoing): void {
    this.messages.push(this.#stamped(message));
  }

  /** For promises: votes and acknowledgements leave only once what they promise is durable. */
  sendAfterPersist(message: Outgoing): void {
    this.messagesAfterPersist.push(this.#stamped(message));
  }

  /**
   * What was to be acknowledged from this index on has been replaced before it was even handed out to be written: it
   * never becomes durable, and the acknowledgement must not leave with the write of what came in its place.
   */
  withdrawAcknowledgements(from: LogIndex): void {
    this.messagesAfterPersist = this.messagesAfterPersist.filter(
      (message) => message.type !== "AppendEntriesResult" || !message.success || message.matchIndex < from,
    );
  }

  #stamped(message: Outgoing): Message {
    return { ...message, from: this.id, term: message.term ?? this.term } as Message;
  }
}
