import { assertNever, EngineError, type ErrorCode, type ErrorDetails, ERRORS } from "../errors/index.ts";
import type { ConfChange, NodeId, Raft, Rejection } from "../raft/index.ts";
import { decodeConfChangeContext, encodeProposal } from "./codec/index.ts";
import type { Member } from "./engine.ts";
import { ForwardWindow } from "./forward-window.ts";
import type { FrameBody, MemberUpdate, Proposal, ProposalId } from "./frames.ts";
import type { Meter } from "./observer.ts";
import type { Clock } from "./ports.ts";
import type { Payload, Proposals, SendOutcome } from "./proposals.ts";
import { refusedByStrictness } from "./strict-reconfiguration.ts";

type Forward = Extract<FrameBody, { type: "forward" }>;
interface Offered {
  readonly id: ProposalId;
  readonly payload: Payload;
}

/** Why a proposal was not appended: Raft's reason, or the driver's own. Null: it was. */
type Refusal = Rejection | EngineError | null;

/** Back-pressure frees as fast as the disk writes: soon. */
const BACK_PRESSURE_RETRY_MS = 50;
/** Forwarded proposals waiting for the next write; a follower's clients are bounded as well. */
const MAX_FORWARDED = 65536;
/** Learners at one time: each costs the leader a full stream (etcd's limit is 1; catching up two is common here). */
const MAX_LEARNERS = 2;

/** Brings proposals to whoever leads: into this node's own log, or to the leader's. */
export class ProposalRouter<R> {
  readonly #raft: Raft;
  readonly #proposals: Proposals<R>;
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #members: () => readonly Member[];
  readonly #send: (to: NodeId, body: FrameBody) => void;
  readonly #window: ForwardWindow;
  /** Forwarded proposals that wait, with this node's own, for the next write. */
  #forwarded: { from: NodeId; forward: Forward }[] = [];
  /** When what has gathered is to be proposed; null while nothing waits for that. */
  #lingerUntilMs: number | null = null;

  constructor(
    raft: Raft,
    proposals: Proposals<R>,
    clock: Clock,
    meter: Meter,
    members: () => readonly Member[],
    send: (to: NodeId, body: FrameBody) => void,
  ) {
    this.#raft = raft;
    this.#proposals = proposals;
    this.#clock = clock;
    this.#meter = meter;
    this.#members = members;
    this.#send = send;
    this.#window = new ForwardWindow(raft.term);
  }

  /**
   * Sends everything that waits to be proposed. A leader first lets it gather, until `lingerMs` after the first came:
   * what followers forward as well, which is why they send it at once.
   */
  flush(nowMs: number, lingerMs: number): void {
    const isWaiting = this.#forwarded.length > 0 || this.#proposals.hasUnsent;
    if (isWaiting && lingerMs > 0 && this.#raft.role === "leader") {
      this.#lingerUntilMs ??= nowMs + lingerMs;
      if (nowMs < this.#lingerUntilMs) return;
    }
    this.#lingerUntilMs = null;
    this.#flushForwarded(nowMs);
    if (!this.#proposals.hasUnsent) return;
    const { role, leaderId } = this.#raft;
    if (role === "leader") this.#proposals.offer(this.#raft.term, (batch) => this.#append(batch, nowMs));
    else if (leaderId !== null)
      this.#proposals.offer(this.#raft.term, (batch) => this.#forward(leaderId, batch));
  }

  /** The earlier of `deadlineMs` and the end of gathering; past that, a write that ends is what flushes. */
  nextDeadlineMs(deadlineMs: number | null, nowMs: number): number | null {
    const untilMs = this.#lingerUntilMs;
    if (untilMs === null || untilMs <= nowMs) return deadlineMs;
    return deadlineMs === null ? untilMs : Math.min(deadlineMs, untilMs);
  }

  #forward(leaderId: NodeId, batch: readonly Offered[]): SendOutcome[] {
    for (const { id, payload } of batch)
      this.#send(leaderId, { type: "forward", term: this.#raft.term, id, payload });
    return batch.map(() => "sent");
  }

  #append(batch: readonly Offered[], nowMs: number): SendOutcome[] {
    return this.#appendAll(batch, nowMs).map((refusal) => {
      if (refusal === null) return "sent";
      if (refusal instanceof EngineError) return refusal;
      // Nobody leads, or not for long: whoever comes next will get it.
      if (refusal.reason === "notLeader" || refusal.reason === "transferring") return "later";
      return this.errorOf(refusal);
    });
  }

  /**
   * Appends to this node's log, commands together, as many as may wait to be committed.
   *
   * @param awaitedBy the members from which they came.
   */
  #appendAll(batch: readonly Offered[], nowMs: number, awaitedBy: readonly NodeId[] = []): Refusal[] {
    const refusals: Refusal[] = [];
    const timeMs = this.#clock.wallMs();
    const { maxUncommittedBytes } = this.#raft.options;
    let run: Uint8Array[] = [];
    let runBytes = 0;
    const flushRun = (): void => {
      if (run.length === 0) return;
      const outcome = this.#raft.step({ type: "propose", commands: run, awaitedBy }, nowMs);
      const rejection = outcome.ok ? null : outcome.rejection;
      if (rejection?.reason === "backPressure") this.#meter.record("rejectedProposals", run.length);
      refusals.push(...run.map(() => rejection));
      run = [];
      runBytes = 0;
    };
    const add = (id: ProposalId, body: Proposal["body"]): void => {
      const command = encodeProposal({ id, timeMs, body });
      // The core lets the first one pass however large it is: that is meant for one proposal, not for all that came.
      if (runBytes + command.length > maxUncommittedBytes) flushRun();
      run.push(command);
      runBytes += command.length;
    };
    for (const { id, payload } of batch) {
      if (payload.type === "command") {
        add(id, payload);
        continue;
      }
      flushRun();
      if (payload.type === "confChange") refusals.push(this.#proposeConfChange(payload.change, nowMs));
      else if (this.#takesUrls(payload.update)) refusals.push(new EngineError("peerUrlExists"));
      else add(id, payload);
    }
    flushRun();
    return refusals;
  }

  /** Here and not where it was asked for: the leader takes one change at a time, and knows what the last one did. */
  #proposeConfChange(change: ConfChange, nowMs: number): Refusal {
    const refusal = this.#againstMembers(change);
    if (refusal !== null) return refusal;
    const { electionTimeoutMs } = this.#raft.options;
    const code = refusedByStrictness(change, this.#raft.status(), this.#members(), electionTimeoutMs, nowMs);
    if (code !== null) return new EngineError(code, { retryAfterMs: electionTimeoutMs });
    const outcome = this.#raft.step({ type: "proposeConfChange", change }, nowMs);
    return outcome.ok ? null : outcome.rejection;
  }

  #againstMembers({ steps, context }: ConfChange): EngineError | null {
    let updates: readonly MemberUpdate[];
    try {
      updates = decodeConfChangeContext(context).members;
    } catch (error) {
      // From a peer. Committed, it would stop every member, at every start.
      if (error instanceof EngineError) return error;
      throw error;
    }
    if (updates.some((update) => this.#takesUrls(update))) return new EngineError("peerUrlExists");
    // A promotion may have been asked for, and a removal come first: it must not bring back who has gone.
    const known = new Set([...this.#members(), ...updates].map(({ id }) => id));
    if (!steps.every(({ node }) => known.has(node))) return new EngineError("memberNotFound");
    const added = steps.filter(({ type }) => type === "addLearner").length;
    const learners = this.#members().filter(({ isLearner }) => isLearner).length;
    return added > 0 && learners + added > MAX_LEARNERS ? new EngineError("tooManyLearners") : null;
  }

  /** Whether it gives a member a peer URL that another one has. */
  #takesUrls({ id, peerUrls = [] }: MemberUpdate): boolean {
    const others = this.#members().filter((member) => member.id !== id);
    return others.some((member) => member.peerUrls.some((url) => peerUrls.includes(url)));
  }

  /** A follower's proposal. Without an answer, which may then be yes or no, its owner will call it unknown. */
  onForward(from: NodeId, forward: Forward): void {
    const { term, id } = forward;
    if (!this.#isCurrent(forward)) {
      // An earlier copy of the frame may have been taken: only where that is excluded may it be refused.
      const never = term <= this.#raft.term && this.#window.neverTook(term, id);
      if (never) this.#refuse(from, forward, new EngineError("notLeader"));
      return;
    }
    if (!this.#window.take(term, id)) return;
    if (this.#forwarded.length >= MAX_FORWARDED) {
      this.#meter.record("rejectedProposals", 1);
      const busy = new EngineError("tooManyRequests", { retryAfterMs: BACK_PRESSURE_RETRY_MS });
      return this.#refuse(from, forward, busy);
    }
    this.#forwarded.push({ from, forward });
  }

  #isCurrent({ term }: Forward): boolean {
    return this.#raft.role === "leader" && this.#raft.term === term;
  }

  #flushForwarded(nowMs: number): void {
    if (this.#forwarded.length === 0) return;
    const waiting = this.#forwarded;
    this.#forwarded = [];
    // The term may have ended while they waited; appended now they would break the promise of "at most once".
    const current = waiting.filter(({ forward }) => this.#isCurrent(forward));
    for (const { from, forward } of waiting) {
      if (!this.#isCurrent(forward)) this.#refuse(from, forward, new EngineError("notLeader"));
    }
    const refusals = this.#appendAll(
      current.map(({ forward: { id, payload } }) => ({ id, payload })),
      nowMs,
      [...new Set(current.map(({ from }) => from))],
    );
    current.forEach(({ from, forward }, i) => {
      const refusal = refusals[i]!;
      if (refusal === null) return;
      this.#refuse(from, forward, refusal instanceof EngineError ? refusal : this.errorOf(refusal));
    });
  }

  /** It was not appended and never will be: the window, if it is still its term, lets no other copy in. */
  #refuse(to: NodeId, { id }: Forward, error: EngineError): void {
    const { code, detail = "", retryAfterMs = 0 } = error;
    this.#send(to, { type: "forwardRejected", id, code, detail, retryAfterMs });
  }

  onForwardRejected({
    id,
    code,
    detail,
    retryAfterMs,
  }: Extract<FrameBody, { type: "forwardRejected" }>): void {
    const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "proposalDropped";
    this.#proposals.refused(id, known, detail, retryAfterMs);
  }

  #whoLeads(leaderId: NodeId | null): Pick<ErrorDetails, "leaderId" | "leaderUrls"> {
    if (leaderId === null) return {};
    return { leaderId, leaderUrls: this.#members().find(({ id }) => id === leaderId)?.clientUrls ?? [] };
  }

  /** What a caller is told of a rejection. */
  errorOf(rejection: Rejection): EngineError {
    switch (rejection.reason) {
      case "notLeader":
        return new EngineError("notLeader", this.#whoLeads(rejection.leaderId));
      case "transferring": {
        const detail = "leadership is being handed over";
        return new EngineError("notLeader", { detail, ...this.#whoLeads(rejection.target) });
      }
      case "backPressure":
        return new EngineError("tooManyRequests", { retryAfterMs: BACK_PRESSURE_RETRY_MS });
      case "confChangePending":
        return new EngineError("confChangePending", { retryAfterMs: BACK_PRESSURE_RETRY_MS });
      case "invalidConfChange":
        return new EngineError("invalidConfChange", { detail: rejection.detail });
      case "learnerNotReady":
        return new EngineError("learnerNotReady", { retryAfterMs: 1000 });
      case "badTransferee":
        return new EngineError("badLeaderTransferee", { detail: rejection.detail });
      case "noLeader":
        return new EngineError("noLeader");
      case "tooManyReads":
        return new EngineError("tooManyRequests", { retryAfterMs: BACK_PRESSURE_RETRY_MS });
      default:
        return assertNever(rejection, "rejection");
    }
  }
}
