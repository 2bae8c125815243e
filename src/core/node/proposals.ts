import { EngineError, type ErrorCode } from "../errors/index.ts";
import type { ConfChangeStep, Term } from "../raft/index.ts";
import { encodeConfChangeContext, MAX_COMMAND_BYTES, requireStorable } from "./codec/index.ts";
import type { CallOptions } from "./engine.ts";
import type { FrameBody, MemberUpdate, ProposalId } from "./frames.ts";
import type { Meter } from "./observer.ts";
import { deadlineOf, Waiter } from "./waiter.ts";

/** What a follower hands to the leader, and what a leader proposes itself. */
export type Payload = Extract<FrameBody, { type: "forward" }>["payload"];

/** A proposal of this node that is not answered yet. */
interface Pending<R> {
  /** Of the attempt under way. */
  sequence: number;
  readonly write: (id: ProposalId) => Payload;
  readonly waiter: Waiter<R | undefined>;
  readonly submittedAtMs: number;
  /**
   * The term of the leader that it was given to, or null. From then on nobody knows whether it will be applied, until
   * it is, or until an entry of a later term is: what that leader had not committed by then, nobody ever will.
   */
  sentIn: Term | null;
}

/** What became of an offered proposal: taken, to be offered again, or refused for good. */
export type SendOutcome = "sent" | "later" | EngineError;

/**
 * The proposals that this node's callers wait for. One that was given to a leader is not given to another before it
 * is certain that the first did not get it committed; so each takes effect at most once, and a change of leaders is
 * no failure.
 */
export class Proposals<R> {
  readonly #session: bigint;
  readonly #maxPending: number;
  readonly #timeoutMs: number;
  readonly #meter: Meter;
  #sequence = 0;
  readonly #pending: Map<number, Pending<R>> = new Map();
  #unsent: Pending<R>[] = [];
  /** Refused by one that does not lead, or not for long: to be offered again a little later. */
  #held: Pending<R>[] = [];
  #appliedTerm: Term = 0;

  /** @param session random, unique to this start of the node. */
  constructor(session: bigint, maxPending: number, timeoutMs: number, meter: Meter) {
    this.#session = session;
    this.#maxPending = maxPending;
    this.#timeoutMs = timeoutMs;
    this.#meter = meter;
  }

  get size(): number {
    return this.#pending.size;
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** A change of membership carries its own id inside, because the log entry has no other place for it. */
  submitConfChange(
    steps: readonly ConfChangeStep[],
    members: readonly MemberUpdate[],
    call: CallOptions,
    nowMs: number,
  ): Promise<R | undefined> {
    for (const member of members) requireStorable(member);
    const write = (id: ProposalId): Payload => {
      const context = encodeConfChangeContext({ id, members });
      return { type: "confChange", change: { steps, transition: "auto", context } };
    };
    return this.#submit(write, call, nowMs);
  }

  /** @throws EngineError for what, once committed, could not be replicated, or be read again. */
  submit(payload: Payload, call: CallOptions, nowMs: number): Promise<R | undefined> {
    if (payload.type === "member") requireStorable(payload.update);
    if (payload.type === "command" && payload.command.length > MAX_COMMAND_BYTES)
      throw new EngineError("requestTooLarge");
    return this.#submit(() => payload, call, nowMs);
  }

  async #submit(
    write: (id: ProposalId) => Payload,
    call: CallOptions,
    nowMs: number,
  ): Promise<R | undefined> {
    if (this.#pending.size >= this.#maxPending) {
      this.#meter.record("rejectedProposals", 1);
      throw new EngineError("tooManyRequests", { retryAfterMs: 100 });
    }
    const sequence = ++this.#sequence;
    const waiter = new Waiter<R | undefined>(deadlineOf(call, nowMs, this.#timeoutMs), call.signal);
    const pending: Pending<R> = { sequence, write, waiter, submittedAtMs: nowMs, sentIn: null };
    this.#pending.set(sequence, pending);
    this.#unsent.push(pending);
    try {
      return await waiter.promise;
    } finally {
      this.#pending.delete(pending.sequence);
    }
  }

  /**
   * Offers what is unsent to `send`, oldest first, in one batch. Those it could not take now stay.
   *
   * @param term of the leader that it is offered to.
   * @param send answers for each proposal of the batch, in order.
   */
  offer(
    term: Term,
    send: (batch: readonly { id: ProposalId; payload: Payload }[]) => readonly SendOutcome[],
  ): void {
    const batch = this.#unsent.filter((pending) => !pending.waiter.settled);
    this.#unsent = [];
    if (batch.length === 0) return;
    const outcomes = send(
      batch.map(({ sequence, write }) => {
        const id = this.#id(sequence);
        return { id, payload: write(id) };
      }),
    );
    batch.forEach((pending, i) => {
      const outcome = outcomes[i]!;
      if (outcome === "sent") pending.sentIn = term;
      else if (outcome === "later") this.#unsent.push(pending);
      else pending.waiter.reject(outcome);
    });
  }

  #id(sequence: number): ProposalId {
    return { proposer: this.#session, sequence };
  }

  /** The leader definitely did not take it. */
  refused(id: ProposalId, code: ErrorCode, detail: string, retryAfterMs: number): void {
    const pending = id.proposer === this.#session ? this.#pending.get(id.sequence) : undefined;
    if (pending === undefined || pending.sentIn === null) return;
    if (code !== "notLeader") {
      pending.waiter.fail(
        code,
        detail === "" ? undefined : detail,
        retryAfterMs > 0 ? retryAfterMs : undefined,
      );
      return;
    }
    this.#renew(pending);
    this.#held.push(pending);
  }

  /** Prepares another attempt, under a name of its own: copies of the last one may still be under way. */
  #renew(pending: Pending<R>): void {
    this.#pending.delete(pending.sequence);
    pending.sequence = ++this.#sequence;
    pending.sentIn = null;
    this.#pending.set(pending.sequence, pending);
  }

  /** @param committedAtMs by the meter, since when this node has known that it is committed. */
  applied(id: ProposalId, result: R | undefined, committedAtMs: number): void {
    const pending = id.proposer === this.#session ? this.#pending.get(id.sequence) : undefined;
    if (pending === undefined) return;
    this.#meter.between("proposeToCommit", pending.submittedAtMs, committedAtMs);
    this.#meter.since("proposeToApply", pending.submittedAtMs);
    pending.waiter.resolve(result);
  }

  /**
   * Everything up to an entry of `term` has been applied. Whatever a leader of an earlier term was given and is not
   * among it will never be committed (paper §5.4, leader completeness), so it may be offered again.
   */
  termApplied(term: Term): void {
    if (term === this.#appliedTerm) return;
    this.#appliedTerm = term;
    for (const pending of this.#pending.values()) {
      if (pending.sentIn === null || pending.sentIn >= term) continue;
      this.#renew(pending);
      this.#unsent.push(pending);
    }
  }

  /** The state jumped to an entry of `term` by a snapshot, and nobody can say what of the earlier ones it contains. */
  restored(term: Term): void {
    for (const { sentIn, waiter } of this.#pending.values()) {
      if (sentIn !== null && sentIn <= term) waiter.fail("leaderChanged");
    }
  }

  /** Somebody else may lead now. */
  release(): void {
    this.#unsent.push(...this.#held);
    this.#held = [];
  }

  /** Fails what has waited too long, and lets what was held back try again. */
  sweep(nowMs: number, leaderId: bigint | null): void {
    this.release();
    for (const { sentIn, waiter } of this.#pending.values()) {
      if (nowMs < waiter.deadlineMs) continue;
      if (sentIn === null) waiter.fail("proposalDropped", "no leader took it in time", 1000);
      else waiter.fail(leaderId === null ? "timeoutLeaderFail" : "timeout");
    }
    // Without a leader nothing else clears away those that were given up.
    this.#unsent = this.#unsent.filter((pending) => !pending.waiter.settled);
  }

  /** The node is stopping: what was sent may still happen, the rest will not. */
  stop(): void {
    for (const { sequence, sentIn, waiter } of this.#pending.values()) {
      if (sentIn !== null) waiter.reject(new EngineError("stopped", { proposal: this.#id(sequence) }));
      else waiter.fail("proposalDropped", "the node is stopping");
    }
  }
}
