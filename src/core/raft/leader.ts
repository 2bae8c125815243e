import { assertNever } from "../errors/index.ts";
import { isJoint, isVoter } from "./cluster-config.ts";
import { changeConfig } from "./conf-change.ts";
import type { Core, RoleBehaviour } from "./core.ts";
import { Departure } from "./departure.ts";
import type { Outcome, Rejection } from "./events.ts";
import type { Message } from "./messages.ts";
import type { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import { entryBytes } from "./raft-log.ts";
import { Replication } from "./replication.ts";
import { type PendingRead, Rounds } from "./rounds.ts";
import { LeadershipTransfer } from "./transfer.ts";
import type { ConfChange, Entry, LogIndex, NodeId } from "./types.ts";
import { answerPreVote, answerRequestVote } from "./voting.ts";

/** Replicates its log and answers for the group (paper figure 2 "Leaders"). One object a term. */
export class Leader implements RoleBehaviour {
  readonly role = "leader" as const;
  readonly replication: Replication;
  readonly #core: Core;
  readonly #rounds: Rounds = new Rounds();
  readonly #transfer: LeadershipTransfer;
  readonly #departure: Departure = new Departure();
  /** The empty entry of this term: once it is committed, so is everything before it. */
  readonly #noopIndex: LogIndex;
  /** No membership change is proposed before this index is applied. */
  #pendingConfIndex: LogIndex;
  #uncommittedBytes = 0;
  #heartbeatDueMs: number;
  #lastActivityMs: number;
  /** A lease counts only if it rests on this round or a later one. */
  #leaseFloor = 1;

  constructor(core: Core) {
    this.#core = core;
    this.replication = new Replication(core);
    this.#transfer = new LeadershipTransfer(core);
    // There may be an unapplied change among the inherited entries; after them there is none (thesis §4.1).
    this.#pendingConfIndex = core.log.lastIndex;
    for (let i = core.log.commitIndex + 1; i <= core.log.lastIndex; i++) {
      this.#uncommittedBytes += entryBytes(core.log.entry(i));
    }
    this.#noopIndex = core.log.lastIndex + 1;
    this.#append({ kind: "noop", index: this.#noopIndex, term: core.term });
    // With it whatever was inherited is committed, and others may wait for that.
    this.replication.awaitCommit(this.#noopIndex);
    this.#heartbeatDueMs = core.nowMs;
    this.#lastActivityMs = core.nowMs;
  }

  get noopIndex(): LogIndex {
    return this.#noopIndex;
  }

  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }

  get transferTarget(): NodeId | null {
    return this.#transfer.target;
  }

  // Time

  deadlineMs(): number | null {
    if (this.#core.asleep) return null;
    const transferMs = this.#transfer.deadlineMs;
    if (!this.replication.hasPeers()) return transferMs;
    const never = Number.POSITIVE_INFINITY;
    const newsMs = this.replication.newsDueMs() ?? never;
    return Math.min(this.#heartbeatDueMs, this.#quorumDeadline(), newsMs, transferMs ?? never);
  }

  onDeadline(): void {
    const core = this.#core;
    // CheckQuorum (thesis §6.2): a leader that a majority no longer hears steps down, so that clients move on.
    if (core.nowMs >= this.#quorumDeadline()) return core.become.follow(core.term, null);
    this.#transfer.onDeadline();
    if (core.nowMs < this.#heartbeatDueMs) return this.replication.onDeadline();
    if (this.#mayQuiesce()) this.#quiesce();
    else this.#beginRound(false);
  }

  /** When a quorum will not have been heard from for an election timeout. */
  #quorumDeadline(): number {
    return this.#quorumHeardMs() + this.#core.options.electionTimeoutMs;
  }

  #quorumHeardMs(): number {
    const { id, config } = this.#core;
    return quorumValue(config, (node) =>
      node === id
        ? Number.POSITIVE_INFINITY
        : (this.replication.get(node)?.lastHeardMs ?? Number.NEGATIVE_INFINITY),
    );
  }

  #beginRound(quiesce: boolean): void {
    const core = this.#core;
    const round = this.#rounds.begin(core.nowMs, this.#committedInTerm() ? core.log.commitIndex : null);
    this.#heartbeatDueMs = core.nowMs + core.options.heartbeatIntervalMs;
    for (const [to, progress] of this.replication.peers()) {
      // Not beyond what the member is known to hold: the rest of its log may differ from this one.
      const leaderCommit = Math.min(progress.match, core.log.commitIndex);
      // And nobody sleeps who lacks something: from the commit index alone it could not tell.
      const caughtUp = progress.match === core.log.lastIndex;
      core.send({ type: "Heartbeat", to, leaderCommit, round, quiesce: quiesce && caughtUp });
      this.replication.onHeartbeat(progress, leaderCommit);
      this.#departure.onHeartbeat(to, round, leaderCommit);
    }
    // A quorum of one needs no answer, and may never get any.
    this.#confirmReads();
  }

  // Sleep

  #mayQuiesce(): boolean {
    const { nowMs, log, options, config } = this.#core;
    if (options.quiesceAfterMs === 0 || nowMs - this.#lastActivityMs < options.quiesceAfterMs) return false;
    if (log.appliedIndex < log.lastIndex || isJoint(config)) return false;
    if (this.#rounds.pendingReads > 0 || this.#transfer.target !== null || this.#departure.begun)
      return false;
    for (const [, progress] of this.replication.peers()) {
      const live = nowMs - progress.lastHeardMs < options.electionTimeoutMs;
      if (live && progress.match < log.lastIndex) return false;
    }
    return true;
  }

  #quiesce(): void {
    this.#beginRound(true);
    this.#core.asleep = true;
    // No lease survives sleep.
    this.#leaseFloor = this.#rounds.current + 1;
  }

  onWake(): void {
    const core = this.#core;
    for (const [, progress] of this.replication.peers()) progress.lastHeardMs = core.nowMs;
    this.#lastActivityMs = core.nowMs;
    this.#beginRound(false);
  }

  // Proposals

  /** @param awaitedBy members at which somebody waits until the commands have been applied there. */
  propose(commands: readonly Uint8Array[], awaitedBy: readonly NodeId[]): Outcome {
    const core = this.#core;
    const refusal = this.#refusal();
    if (refusal !== null) return { ok: false, rejection: refusal };
    let bytes = 0;
    for (const data of commands) bytes += data.length;
    if (bytes > 0 && this.#isFull(bytes)) {
      return { ok: false, rejection: { reason: "backPressure", uncommittedBytes: this.#uncommittedBytes } };
    }
    const index = core.log.lastIndex + 1;
    commands.forEach((data, i) => this.#append({ kind: "command", index: index + i, term: core.term, data }));
    for (const node of awaitedBy) this.replication.awaitCommit(core.log.lastIndex, node);
    return { ok: true, index };
  }

  /** One proposal is let through however large it is, when nothing else is waiting. */
  #isFull(bytes: number): boolean {
    const { log, options } = this.#core;
    if (this.#uncommittedBytes > 0 && this.#uncommittedBytes + bytes > options.maxUncommittedBytes)
      return true;
    // Also where a quorum is fast and this node's state machine is not: what it has yet to apply stays in memory.
    return log.appliedIndex < log.commitIndex && log.unappliedBytes + bytes > options.maxUnappliedBytes;
  }

  proposeConfChange(change: ConfChange): Outcome {
    const core = this.#core;
    const refusal = this.#refusal() ?? this.#confChangeRefusal(change);
    if (refusal !== null) return { ok: false, rejection: refusal };
    const index = core.log.lastIndex + 1;
    this.#appendConfChange(index, change);
    return { ok: true, index };
  }

  #confChangeRefusal(change: ConfChange): Rejection | null {
    const { config, log } = this.#core;
    // Not before an entry of this term is committed either: Ongaro's correction of 2015 to thesis §4.1.
    const pendingIndex = Math.max(this.#pendingConfIndex, this.#noopIndex);
    if (pendingIndex > log.appliedIndex) return { reason: "confChangePending", pendingIndex };
    const result = changeConfig(config, change);
    if ("refused" in result) return { reason: "invalidConfChange", detail: result.refused };
    for (const { type, node } of change.steps) {
      if (type !== "addVoter" || !config.learners.includes(node)) continue;
      const progress = this.replication.get(node);
      if (!this.#isCaughtUp(progress)) return { reason: "learnerNotReady", matchIndex: progress?.match ?? 0 };
    }
    return null;
  }

  #isCaughtUp(progress: Progress | undefined): boolean {
    const { log, nowMs, options } = this.#core;
    if (progress === undefined || progress.state !== "replicate") return false;
    const live = nowMs - progress.lastHeardMs < options.electionTimeoutMs;
    return live && progress.match + options.promotionMaxLag >= log.lastIndex;
  }

  /** Why nothing can be proposed now. */
  #refusal(): Rejection | null {
    if (this.#departure.begun) return { reason: "notLeader", leaderId: null };
    const { target } = this.#transfer;
    return target === null ? null : { reason: "transferring", target };
  }

  #append(entry: Entry): void {
    this.#core.log.append([entry]);
    this.#uncommittedBytes += entryBytes(entry);
    this.#lastActivityMs = this.#core.nowMs;
  }

  transferLeadership(target: NodeId): Outcome {
    this.#lastActivityMs = this.#core.nowMs;
    if (this.#departure.begun) return { ok: false, rejection: { reason: "notLeader", leaderId: null } };
    return this.#transfer.begin(target, this.replication.get(target));
  }

  // Reads

  read(read: PendingRead, lease: boolean): Outcome {
    const core = this.#core;
    if (this.#departure.begun) return { ok: false, rejection: { reason: "notLeader", leaderId: null } };
    if (lease && this.hasLease()) {
      this.#answer(read, core.log.commitIndex);
      return { ok: true };
    }
    if (this.#rounds.pendingReads >= core.options.maxPendingReads) {
      return { ok: false, rejection: { reason: "tooManyReads" } };
    }
    this.#lastActivityMs = core.nowMs;
    this.#rounds.add(read);
    return { ok: true };
  }

  /**
   * Whether no other leader can have been elected yet (thesis §6.4.1): a quorum answered a round that was *sent*
   * less than an election timeout ago, less the drift bound, and promised thereby to elect nobody meanwhile. A
   * transfer overrides that promise, so after TimeoutNow was sent there is no lease in this term any more. Nor is
   * there one while a membership change is on its way: a voter that it leaves alone leads at once after a restart.
   */
  hasLease(): boolean {
    const core = this.#core;
    if (!this.#committedInTerm() || this.#transfer.timeoutNowSent || core.asleep) return false;
    if (this.#pendingConfIndex > core.log.appliedIndex || this.#departure.begun) return false;
    const round = this.#confirmedRound();
    if (round === Number.POSITIVE_INFINITY) return true;
    if (round < this.#leaseFloor) return false;
    const sentAtMs = this.#rounds.sentAtMs(round);
    const { electionTimeoutMs, clockDriftBoundMs } = core.options;
    return sentAtMs !== undefined && core.nowMs < sentAtMs + electionTimeoutMs - clockDriftBoundMs;
  }

  #committedInTerm(): boolean {
    return this.#core.log.commitIndex >= this.#noopIndex;
  }

  #confirmedRound(): number {
    const { id, config } = this.#core;
    return quorumValue(config, (node) =>
      node === id ? Number.POSITIVE_INFINITY : (this.replication.get(node)?.ackedRound ?? 0),
    );
  }

  #confirmReads(): void {
    for (const read of this.#rounds.confirm(this.#confirmedRound())) this.#answer(read, read.index);
  }

  #answer({ readId, from }: PendingRead, index: LogIndex | null): void {
    if (from === null) {
      this.#core.readStates.push({ readId, index });
      return;
    }
    this.#core.send({ type: "ReadIndexResult", to: from, readId, index });
    if (index !== null) this.replication.awaitCommit(index, from);
  }

  // Input

  onMessage(message: Message): void {
    const core = this.#core;
    switch (message.type) {
      case "RequestVote":
        answerRequestVote(core, message);
        return;
      case "PreVote":
        return answerPreVote(core, message);
      case "ReadIndexRequest": {
        const read = { readId: message.readId, from: message.from };
        if (!this.read(read, message.lease).ok) this.#answer(read, null);
        return;
      }
      case "AppendEntriesResult":
      case "HeartbeatResult":
        return this.#onResult(message);
      case "AppendEntries":
      case "Heartbeat":
      case "InstallSnapshot":
      case "TimeoutNow":
      case "RequestVoteResult":
      case "PreVoteResult":
        return; // Nobody else leads in this term; answers to the election come after it was won.
      case "ReadIndexResult":
        // Of a leader before: what was asked of it is as well answered now.
        core.readStates.push({ readId: message.readId, index: message.index });
        return;
      default:
        assertNever(message, "message");
    }
  }

  #onResult(message: Extract<Message, { type: "AppendEntriesResult" | "HeartbeatResult" }>): void {
    const core = this.#core;
    const progress = this.replication.get(message.from);
    if (progress === undefined) return;
    progress.lastHeardMs = core.nowMs;
    if (message.type === "AppendEntriesResult") {
      this.replication.onAppendEntriesResult(message, progress);
      this.#advanceCommit();
      this.#transfer.onProgress(message.from, progress);
      if (this.#departure.canTell(message.from, progress.match)) this.#beginRound(false);
      return;
    }
    // A round this leader never began would come from nobody honest.
    if (message.round <= this.#rounds.current)
      progress.ackedRound = Math.max(progress.ackedRound, message.round);
    this.#confirmReads();
    if (this.#departure.isKnown(core.config, this.replication)) return core.become.follow(core.term, null);
    progress.probeSent = false;
    const behind = progress.match < core.log.lastIndex;
    if (core.asleep && behind) {
      // A member that was away when the group went to sleep is back, and gets what it lacks.
      core.asleep = false;
      this.onWake();
    }
    // Whatever was sent and not acknowledged may have been lost: an empty append finds out.
    if (behind || progress.state === "probe") progress.resend = true;
  }

  onPersisted(): void {
    this.replication.onPersisted();
    this.#advanceCommit();
  }

  onApplied(): void {
    const { config, log } = this.#core;
    if (!isJoint(config) || !config.autoLeave || log.appliedIndex < this.#pendingConfIndex) return;
    const index = log.lastIndex + 1;
    const change: ConfChange = { steps: [], transition: "auto", context: new Uint8Array(0) };
    this.#appendConfChange(index, change);
  }

  #appendConfChange(index: LogIndex, change: ConfChange): void {
    this.#append({ kind: "confChange", index, term: this.#core.term, change });
    this.#pendingConfIndex = index;
    // Who is removed is sent nothing any more once this node has applied it, and must have heard of it by then.
    this.replication.awaitCommit(index);
  }

  onConfig(): void {
    const core = this.#core;
    this.replication.onConfig();
    this.#transfer.onConfig();
    // A smaller quorum may have been reached already.
    this.#advanceCommit();
    this.#confirmReads();
    if (isVoter(core.config, core.id)) return;
    // Tell the others what is committed; they know when they answer this round.
    this.#departure.begin(this.#pendingConfIndex);
    this.#beginRound(false);
  }

  /** Commits what a quorum holds, if it is of this term (paper §5.4.2, figure 8). */
  #advanceCommit(): void {
    const { log, term } = this.#core;
    const index = this.replication.quorumMatch();
    if (index <= log.commitIndex || log.term(index) !== term) return;
    for (let i = log.commitIndex + 1; i <= index; i++) this.#uncommittedBytes -= entryBytes(log.entry(i));
    log.commitTo(index);
  }

  /** Sends what has gathered: called once for every Ready, so that one message carries all that came in before it. */
  flush(): void {
    if (this.#core.asleep) return;
    if (this.#rounds.wantsRound && this.#committedInTerm()) this.#beginRound(false);
    this.replication.flush();
  }

  onExit(): void {
    for (const read of this.#rounds.takeAll()) this.#answer(read, null);
  }
}
