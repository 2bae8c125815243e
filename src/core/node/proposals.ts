import { EngineError, type ErrorCode } from "../errors/index.ts";
import type { ConfChangeStep, LogIndex } from "../raft/index.ts";
import { encodeConfChangeContext } from "./codec/index.ts";
import type { CallOptions } from "./engine.ts";
import type { FrameBody, MemberUpdate, ProposalId } from "./frames.ts";
import { deadlineOf, Waiter } from "./waiter.ts";

/** What a follower hands to the leader, and what a leader proposes itself. */
export type Payload = Extract<FrameBody, { type: "forward" }>["payload"];

/** A proposal of this node that is not answered yet. */
interface Pending<R> {
  readonly sequence: number;
  readonly payload: Payload;
  readonly waiter: Waiter<R | undefined>;
  /** From `sent` on nobody knows whether it will be applied, until it is, or its place is taken by another. */
  state: "unsent" | "sent";
}

/** What became of an offered proposal: taken, to be offered again, or refused for good. */
export type SendOutcome = "sent" | "later" | EngineError;

/**
 * The proposals that this node's callers wait for. A proposal that was not sent has definitely not happened, and
 * may be sent again when there is a leader; one that was sent is never sent again.
 */
export class Proposals<R> {
  readonly #session: bigint;
  readonly #maxPending: number;
  readonly #timeoutMs: number;
  #sequence = 0;
  readonly #pending: Map<number, Pending<R>> = new Map();
  #unsent: Pending<R>[] = [];
  /** Refused by one that does not lead, or not for long: to be offered again a little later. */
  #held: Pending<R>[] = [];
  /** Appended to this node's own log, in order: when the log has passed them, they have lost their place. */
  #appended: { index: LogIndex; sequence: number }[] = [];

  /** @param session random, unique to this start of the node. */
  constructor(session: bigint, maxPending: number, timeoutMs: number) {
    this.#session = session;
    this.#maxPending = maxPending;
    this.#timeoutMs = timeoutMs;
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
    const id = { proposer: this.#session, sequence: this.#sequence + 1 };
    const context = encodeConfChangeContext({ id, members });
    return this.submit({ type: "confChange", change: { steps, transition: "auto", context } }, call, nowMs);
  }

  async submit(payload: Payload, call: CallOptions, nowMs: number): Promise<R | undefined> {
    if (this.#pending.size >= this.#maxPending)
      throw new EngineError("tooManyRequests", { retryAfterMs: 100 });
    const sequence = ++this.#sequence;
    const waiter = new Waiter<R | undefined>(deadlineOf(call, nowMs, this.#timeoutMs), call.signal);
    const pending: Pending<R> = { sequence, payload, waiter, state: "unsent" };
    this.#pending.set(sequence, pending);
    this.#unsent.push(pending);
    try {
      return await waiter.promise;
    } finally {
      this.#pending.delete(sequence);
    }
  }

  /**
   * Offers what is unsent to `send`, oldest first, in one batch. Those it could not take now stay.
   *
   * @param send answers for each proposal of the batch, in order.
   */
  offer(send: (batch: readonly { id: ProposalId; payload: Payload }[]) => readonly SendOutcome[]): void {
    const batch = this.#unsent.filter((pending) => !pending.waiter.settled);
    this.#unsent = [];
    if (batch.length === 0) return;
    const outcomes = send(batch.map(({ sequence, payload }) => ({ id: this.#id(sequence), payload })));
    batch.forEach((pending, i) => {
      const outcome = outcomes[i]!;
      if (outcome === "sent") pending.state = "sent";
      else if (outcome === "later") this.#unsent.push(pending);
      else pending.waiter.reject(outcome);
    });
  }

  #id(sequence: number): ProposalId {
    return { proposer: this.#session, sequence };
  }

  /** This node, as leader, put the proposal at `index` of its log. */
  appendedAt(id: ProposalId, index: LogIndex): void {
    if (id.proposer === this.#session) this.#appended.push({ index, sequence: id.sequence });
  }

  /** The leader definitely did not take it. */
  refused(id: ProposalId, code: ErrorCode, detail: string, retryAfterMs: number): void {
    const pending = id.proposer === this.#session ? this.#pending.get(id.sequence) : undefined;
    if (pending === undefined || pending.state !== "sent") return;
    pending.state = "unsent";
    if (code === "notLeader") this.#held.push(pending);
    else pending.waiter.fail(code, detail, retryAfterMs > 0 ? retryAfterMs : undefined);
  }

  applied(id: ProposalId, result: R | undefined): void {
    if (id.proposer === this.#session) this.#pending.get(id.sequence)?.waiter.resolve(result);
  }

  /** Everything up to `index` has been applied: what was appended there and is not answered was overwritten. */
  appliedUpTo(index: LogIndex): void {
    let passed = 0;
    while (passed < this.#appended.length && this.#appended[passed]!.index <= index) {
      const { sequence } = this.#appended[passed++]!;
      this.#pending.get(sequence)?.waiter.fail("proposalDropped", "a new leader overwrote it");
    }
    if (passed > 0) this.#appended.splice(0, passed);
  }

  /** The state jumped ahead by a snapshot, and nobody can say what it contains: every sent proposal is unknown. */
  restored(): void {
    this.#appended = [];
    for (const pending of this.#pending.values()) {
      if (pending.state === "sent") pending.waiter.fail("leaderChanged");
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
    for (const { state, waiter } of this.#pending.values()) {
      if (nowMs < waiter.deadlineMs) continue;
      if (state === "unsent") waiter.fail("proposalDropped", "no leader took it in time", 1000);
      else waiter.fail(leaderId === null ? "timeoutLeaderFail" : "timeout");
    }
  }

  /** The node is stopping: what was sent may still happen, the rest will not. */
  stop(): void {
    for (const { state, waiter } of this.#pending.values()) {
      if (state === "sent") waiter.fail("stopped");
      else waiter.fail("proposalDropped", "the node is stopping");
    }
  }
}
