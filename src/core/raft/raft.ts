import { assert, assertNever } from "../errors/index.ts";
import { Candidate } from "./candidate.ts";
import { assertValidConfig, isVoter } from "./cluster-config.ts";
import { changeConfig } from "./conf-change.ts";
import { type RaftOptions, raftOptions } from "./config.ts";
import { type CampaignKind, Core, type RoleBehaviour, type Transitions } from "./core.ts";
import type { Outcome, RaftEvent } from "./events.ts";
import { Follower } from "./follower.ts";
import { Leader } from "./leader.ts";
import { Learner } from "./learner.ts";
import type { Message } from "./messages.ts";
import { RaftLog } from "./raft-log.ts";
import { Readiness } from "./readiness.ts";
import type { Ready } from "./ready.ts";
import { type RaftStatus, statusOf } from "./status.ts";
import type {
  ConfChange,
  Entry,
  HardState,
  LogIndex,
  NodeId,
  RandomSource,
  Role,
  SnapshotMeta,
  Term,
} from "./types.ts";
import { refusesToListen } from "./voting.ts";

/** What a node finds on its disk when it starts, after the driver has brought the state machine up to `applied`. */
export interface RaftState {
  readonly hardState: HardState;
  /** Where the stored log begins. */
  readonly compacted: SnapshotMeta;
  /** The state machine has applied everything up to here, and `config` is the configuration in force there. */
  readonly applied: LogIndex;
  readonly config: SnapshotMeta["config"];
  /** The entries after `tailPrev`, up to the end of the log. `tailPrev.index` is at most `applied`. */
  readonly tailPrev: { readonly index: LogIndex; readonly term: Term };
  readonly tail: readonly Entry[];
  /**
   * The node knows that it owes no leader its silence, because it was asleep when it stopped or is new. It goes on
   * sleeping until something happens, and then need not wait for a leader that it has never heard of.
   */
  readonly rested?: boolean;
}

/**
 * One node's part in Raft: a pure, synchronous state machine. Everything that happens comes in through
 * {@link Raft.step} together with the time; everything to do goes out through {@link Raft.ready}; when to call
 * again with nothing else happening is {@link Raft.nextDeadlineMs}. It never blocks, never sleeps and keeps no
 * reference to what it hands out.
 */
export class Raft {
  readonly #core: Core;
  readonly #readiness: Readiness;
  #role: RoleBehaviour;

  /**
   * @param nowMs monotonic milliseconds, of the same clock as every later `step`.
   */
  constructor(
    options: Partial<RaftOptions> & Pick<RaftOptions, "nodeId">,
    state: RaftState,
    random: RandomSource,
    nowMs: number,
  ) {
    assertValidConfig(state.config);
    const { hardState, compacted, applied, config, tailPrev, tail } = state;
    const complete = raftOptions(options);
    // What was applied had been committed, whatever the hard state still says. And it says too much when it became
    // durable and the entries of the same Ready did not: those are in the leader's log.
    const last = tailPrev.index + tail.length;
    const commit = Math.max(Math.min(hardState.commit, last), applied);
    const log = new RaftLog(compacted, tailPrev, tail, commit, applied, complete.tailBytes);
    const become: Transitions = {
      follow: (term, leaderId) => this.#follow(term, leaderId),
      campaign: (kind) => this.#campaign(kind),
      lead: () => this.#lead(),
    };
    this.#core = new Core(complete, random, log, hardState, config, nowMs, become);
    this.#readiness = new Readiness(hardState);
    const first = this.#restingRole();
    const { voters, votersOutgoing } = config;
    if (voters.length === 1 && voters[0] === complete.nodeId && votersOutgoing.length === 0) {
      first.hurryElection(nowMs);
    } else if (state.rested === true) {
      this.#core.lastLeaderContactMs = Number.NEGATIVE_INFINITY;
      this.#core.owesSilenceUntilMs = Number.NEGATIVE_INFINITY;
      this.#core.asleep = true;
    }
    this.#role = first;
  }

  /**
   * Tells the node what happened, and what time it is. Deadlines that have passed are acted on first.
   *
   * @param nowMs not before the last call's (an earlier time counts as the last one).
   */
  step(event: RaftEvent, nowMs: number): Outcome {
    this.#core.nowMs = Math.max(this.#core.nowMs, nowMs);
    const wasAsleep = this.#core.asleep;
    this.#meetDeadline();
    // The very look at the clock that puts a leader to sleep must not wake it again.
    if (wasAsleep || event.type !== "wake") this.#wakeFor(event);
    switch (event.type) {
      case "message":
        this.#onMessage(event.message);
        return OK;
      case "propose":
        return this.#asLeader((leader) => leader.propose(event.commands, event.awaitedBy ?? []));
      case "proposeConfChange":
        return this.#asLeader((leader) => leader.proposeConfChange(event.change));
      case "transferLeadership":
        return this.#asLeader((leader) => leader.transferLeadership(event.target));
      case "readIndex":
        return this.#readIndex(event.readId, event.lease);
      case "campaign":
        this.#campaignOnDemand();
        return OK;
      case "persisted":
        this.#readiness.persisted(this.#core, event.number);
        this.#role.onPersisted();
        return OK;
      case "applied":
        this.#core.log.appliedTo(event.index);
        this.#role.onApplied();
        return OK;
      case "applyConfChange":
        return this.#applyConfChange(event.change);
      case "compacted":
        this.#core.log.compactTo(event.snapshot);
        return OK;
      case "logRead":
      case "logReadCompacted":
      case "snapshotReport":
      case "unreachable":
        this.#onReplicationEvent(event);
        return OK;
      case "wake":
        return OK;
      default:
        return assertNever(event, "event");
    }
  }

  /** Everything there is to do, or null for nothing. Each Ready must be carried out and reported as persisted. */
  ready(): Ready | null {
    if (this.#role instanceof Leader) this.#role.flush();
    return this.#readiness.collect(this.#core, this.#role.role);
  }

  /** When to step a `wake` if nothing else happens before; null: not needed, the node can sleep. */
  nextDeadlineMs(): number | null {
    return this.#role.deadlineMs();
  }

  status(): RaftStatus {
    return statusOf(this.#core, this.#role);
  }

  get options(): RaftOptions {
    return this.#core.options;
  }

  get role(): Role {
    return this.#role.role;
  }

  get term(): Term {
    return this.#core.term;
  }

  get leaderId(): NodeId | null {
    return this.#core.leaderId;
  }

  /** Nothing happens until an event does. */
  get asleep(): boolean {
    return this.#core.asleep;
  }

  get commitIndex(): LogIndex {
    return this.#core.log.commitIndex;
  }

  /** The oldest entry that the LogStore still has. */
  get firstIndex(): LogIndex {
    return this.#core.log.compacted.index + 1;
  }

  get persistedIndex(): LogIndex {
    return this.#core.log.persistedIndex;
  }

  /** Where a read may be served without asking anybody, or null: only on a leader that holds its lease now. */
  leaseReadIndex(nowMs: number): LogIndex | null {
    this.#core.nowMs = Math.max(this.#core.nowMs, nowMs);
    return this.#role instanceof Leader && this.#role.hasLease() ? this.#core.log.commitIndex : null;
  }

  /** One call is enough: whatever a deadline sets off, the next deadline lies in the future. */
  #meetDeadline(): void {
    const deadlineMs = this.#role.deadlineMs();
    if (deadlineMs !== null && deadlineMs <= this.#core.nowMs) this.#role.onDeadline();
  }

  #wakeFor(event: RaftEvent): void {
    if (!this.#core.asleep) return;
    // The answers to the heartbeat that put the group to sleep, and this node's own chores, do not wake it.
    if (event.type === "message" && event.message.type === "HeartbeatResult") return;
    if (event.type === "persisted" || event.type === "applied" || event.type === "compacted") return;
    // Nor does it say anything new that a heartbeat, perhaps that last one, did not reach a member that is down.
    if (event.type === "unreachable") return;
    this.#core.asleep = false;
    if (this.#role instanceof Leader) return this.#role.onWake();
    if (this.#core.leaderId === null) return this.#wakeRested(event);
    // Whether the leader is still there is not known: give it an election timeout to show itself.
    this.#core.lastLeaderContactMs = this.#core.nowMs;
    if (this.#role instanceof Follower) this.#role.postponeElection();
  }

  /** The first who is asked for something asks for votes; who is asked for a vote waits for what comes of it. */
  #wakeRested(event: RaftEvent): void {
    if (!(this.#role instanceof Follower)) return;
    const asked = event.type !== "message" || event.message.type === "ReadIndexRequest";
    if (asked) this.#role.hurryElection(this.#core.nowMs);
    else this.#role.postponeElection();
  }

  // Messages: the rules about terms are the same for every role (paper figure 2, "All servers").

  #onMessage(message: Message): void {
    const core = this.#core;
    if (message.to !== core.id || message.from === core.id) return;
    if (message.term > core.term) {
      if (!this.#onHigherTerm(message)) return;
    } else if (message.term < core.term) {
      if (!this.#onLowerTerm(message)) return;
    } else if (isFromLeader(message) && this.#role instanceof Candidate)
      this.#follow(core.term, message.from);
    this.#role.onMessage(message);
  }

  /** Whether the role is to see the message. */
  #onHigherTerm(message: Message): boolean {
    const core = this.#core;
    switch (message.type) {
      case "PreVote":
        // Nobody's term changes because somebody only asks (thesis §9.6).
        return !refusesToListen(core, message, this.#role instanceof Leader);
      case "RequestVote":
        if (refusesToListen(core, message, this.#role instanceof Leader)) return false;
        this.#follow(message.term, null);
        return true;
      case "PreVoteResult":
        if (message.granted) return message.term === core.term + 1;
        this.#follow(message.term, null);
        return false;
      default:
        this.#follow(message.term, isFromLeader(message) ? message.from : null);
        return true;
    }
  }

  #onLowerTerm(message: Message): boolean {
    const core = this.#core;
    const to = message.from;
    switch (message.type) {
      case "AppendEntries":
      case "Heartbeat":
      case "InstallSnapshot":
        // Without an answer a leader of an older term would go on for ever, and this node, whose PreVotes its
        // followers ignore, could never come back (etcd issue 8243).
        core.sendAfterPersist({
          type: "AppendEntriesResult",
          to,
          success: false,
          matchIndex: 0,
          hintIndex: 0,
          hintTerm: 0,
        });
        return false;
      case "RequestVote":
        core.sendAfterPersist({ type: "RequestVoteResult", to, granted: false });
        return false;
      case "PreVote":
      case "ReadIndexRequest":
      case "ReadIndexResult":
        return true;
      case "AppendEntriesResult":
      case "HeartbeatResult":
      case "RequestVoteResult":
      case "PreVoteResult":
      case "TimeoutNow":
        return false;
      default:
        return assertNever(message, "message");
    }
  }

  #onReplicationEvent(
    event: Extract<RaftEvent, { type: "logRead" | "logReadCompacted" | "snapshotReport" | "unreachable" }>,
  ): void {
    if (!(this.#role instanceof Leader)) return;
    const { replication } = this.#role;
    if (event.type === "logRead") replication.onLogRead(event.to, event.from, event.prevTerm, event.entries);
    else if (event.type === "logReadCompacted") replication.onLogReadCompacted(event.to, event.from);
    else if (event.type === "snapshotReport") replication.onSnapshotReport(event.to, event.ok);
    else replication.onUnreachable(event.node);
  }

  // Requests

  #asLeader(request: (leader: Leader) => Outcome): Outcome {
    if (this.#role instanceof Leader) return request(this.#role);
    return { ok: false, rejection: { reason: "notLeader", leaderId: this.#core.leaderId } };
  }

  #readIndex(readId: bigint, lease: boolean): Outcome {
    if (this.#role instanceof Leader) return this.#role.read({ readId, from: null }, lease);
    const { leaderId } = this.#core;
    if (leaderId === null) return { ok: false, rejection: { reason: "noLeader" } };
    this.#core.send({ type: "ReadIndexRequest", to: leaderId, readId, lease });
    return OK;
  }

  #applyConfChange(change: ConfChange): Outcome {
    const core = this.#core;
    // Handed out before the snapshot that is being restored, whose configuration already says what became of it.
    if (core.log.isRestoring) return { ok: true, config: core.config };
    const config = changeConfig(core.config, change);
    // The leader refused what does not fit; the rest is the same on every node.
    assert(!("refused" in config), "a committed membership change fits the configuration it meets");
    core.config = config;
    this.#role.onConfig();
    if (this.#role instanceof Follower) this.#settle(this.#role);
    return { ok: true, config: core.config };
  }

  /** At once, but for the promise to a leader heard a moment ago: leases rest on one's own vote as well (§6.4.1). */
  #campaignOnDemand(): void {
    const core = this.#core;
    if (!core.mayCampaign() || this.#role.role === "leader") return;
    const freeAtMs = core.lastLeaderContactMs + core.options.electionTimeoutMs;
    if (this.#role instanceof Follower && core.nowMs < freeAtMs) this.#role.hurryElection(freeAtMs);
    else this.#campaign("preVote");
  }

  // Transitions

  #follow(term: Term, leaderId: NodeId | null): void {
    const core = this.#core;
    assert(term >= core.term, "terms only grow");
    if (term > core.term) {
      core.term = term;
      core.vote = null;
    }
    core.leaderId = leaderId;
    core.asleep = false;
    // A follower keeps its election timer: a higher term alone is no sign of a leader.
    if (this.#role instanceof Follower) return this.#settle(this.#role);
    this.#role.onExit();
    this.#role = this.#restingRole();
  }

  #campaign(kind: CampaignKind): void {
    const core = this.#core;
    core.leaderId = null;
    if (kind !== "preVote") {
      core.term++;
      core.vote = core.id;
    }
    this.#role.onExit();
    const candidate = new Candidate(core, kind);
    this.#role = candidate;
    candidate.campaign(kind);
  }

  #lead(): void {
    this.#role.onExit();
    this.#core.leaderId = this.#core.id;
    this.#role = new Leader(this.#core);
  }

  #restingRole(): Follower {
    const voter = isVoter(this.#core.config, this.#core.id);
    return voter ? new Follower(this.#core, this.#readiness) : new Learner(this.#core, this.#readiness);
  }

  /** A follower that became a learner, or a learner a voter. */
  #settle(follower: Follower): void {
    const isLearner = follower instanceof Learner;
    if (isLearner === isVoter(this.#core.config, this.#core.id)) this.#role = this.#restingRole();
  }
}

const OK: Outcome = { ok: true };

/** Only the leader of its term sends these. */
function isFromLeader(message: Message): boolean {
  return (
    message.type === "AppendEntries" || message.type === "Heartbeat" || message.type === "InstallSnapshot"
  );
}
