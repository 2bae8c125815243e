import { EngineError } from "../errors/index.ts";
import type { LogIndex, Outcome, ReadState } from "../raft/index.ts";
import type { CallOptions, Consistency } from "./engine.ts";
import type { Meter } from "./observer.ts";
import { deadlineOf, Waiter } from "./waiter.ts";

type Confirmed = Exclude<Consistency, "eventual">;

/** Reads that share one ReadIndex. */
interface Batch {
  readonly policy: Confirmed;
  readonly waiters: Waiter<void>[];
  readonly askedAtMs: number;
}

/**
 * Reads that wait until this replica may answer them: first for a read index from the leader, then for the state
 * machine to reach it. All that arrive before the next question is asked share it. A question without an answer is
 * asked again under a fresh id, never under the old one: a late answer to it must not serve a later read
 * (etcd issue 20418).
 */
export class Reads {
  readonly #maxPending: number;
  readonly #timeoutMs: number;
  readonly #retryAfterMs: number;
  readonly #meter: Meter;
  #lastReadId: bigint;
  #count = 0;
  readonly #queued: Record<Confirmed, Waiter<void>[]> = { linearizable: [], lease: [] };
  readonly #asked: Map<bigint, Batch> = new Map();
  #confirmed: { index: LogIndex; waiters: Waiter<void>[] }[] = [];

  /**
   * @param session random: where ids begin, so that a late answer to what this node asked before a restart is not
   *   taken for one to what it asks now.
   */
  constructor(session: bigint, maxPending: number, timeoutMs: number, retryAfterMs: number, meter: Meter) {
    this.#lastReadId = session;
    this.#maxPending = maxPending;
    this.#timeoutMs = timeoutMs;
    this.#retryAfterMs = retryAfterMs;
    this.#meter = meter;
  }

  get size(): number {
    return this.#count;
  }

  async wait(policy: Confirmed, call: CallOptions, nowMs: number): Promise<void> {
    if (this.#count >= this.#maxPending) {
      this.#meter.record("rejectedReads", 1);
      throw new EngineError("tooManyRequests", { retryAfterMs: 100 });
    }
    const waiter = new Waiter<void>(deadlineOf(call, nowMs, this.#timeoutMs), call.signal);
    this.#queued[policy].push(waiter);
    this.#count++;
    try {
      await waiter.promise;
    } finally {
      this.#count--;
    }
  }

  /** Asks for what has gathered. Where there is nobody to ask, it waits on. */
  ask(readIndex: (readId: bigint, lease: boolean) => Outcome, nowMs: number): void {
    if (!this.#hasQueued) return;
    for (const policy of ["linearizable", "lease"] as const) {
      const waiters = this.#queued[policy].filter((waiter) => !waiter.settled);
      this.#queued[policy] = [];
      if (waiters.length === 0) continue;
      const readId = BigInt.asUintN(64, this.#lastReadId + 1n);
      this.#lastReadId = readId;
      if (readIndex(readId, policy === "lease").ok)
        this.#asked.set(readId, { policy, waiters, askedAtMs: nowMs });
      else this.#queued[policy] = waiters;
    }
  }

  onReadState({ readId, index }: ReadState, appliedIndex: LogIndex): void {
    const batch = this.#asked.get(readId);
    if (batch === undefined) return;
    this.#asked.delete(readId);
    if (index === null) this.#requeue(batch);
    else if (index <= appliedIndex) for (const waiter of batch.waiters) waiter.resolve();
    else this.#confirmed.push({ index, waiters: batch.waiters });
  }

  onApplied(appliedIndex: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    const waiting = this.#confirmed.filter((batch) => batch.index > appliedIndex);
    for (const { index, waiters } of this.#confirmed) {
      if (index <= appliedIndex) for (const waiter of waiters) waiter.resolve();
    }
    this.#confirmed = waiting;
  }

  /** Whoever was asked may not lead any more. */
  onLeaderChange(): void {
    for (const [readId, batch] of this.#asked) {
      this.#asked.delete(readId);
      this.#requeue(batch);
    }
  }

  #requeue({ policy, waiters }: Batch): void {
    this.#queued[policy].push(...waiters);
  }

  /** Fails what has waited too long, and asks again where no answer came. */
  sweep(nowMs: number): void {
    for (const [readId, batch] of this.#asked) {
      if (nowMs - batch.askedAtMs < this.#retryAfterMs) continue;
      this.#asked.delete(readId);
      this.#requeue(batch);
    }
    const late = (waiter: Waiter<void>): boolean => !waiter.settled && nowMs >= waiter.deadlineMs;
    for (const policy of ["linearizable", "lease"] as const) {
      for (const waiter of this.#queued[policy]) if (late(waiter)) waiter.fail("noLeader");
    }
    for (const { waiters } of this.#asked.values())
      for (const waiter of waiters) if (late(waiter)) waiter.fail("timeout");
    for (const { waiters } of this.#confirmed)
      for (const waiter of waiters) if (late(waiter)) waiter.fail("timeout");
    // While nothing is applied nothing else clears away those that were given up.
    this.#confirmed = this.#confirmed.filter(({ waiters }) => waiters.some((waiter) => !waiter.settled));
  }

  get #hasQueued(): boolean {
    return this.#queued.linearizable.length > 0 || this.#queued.lease.length > 0;
  }

  stop(): void {
    const all = [...this.#queued.linearizable, ...this.#queued.lease];
    for (const { waiters } of this.#asked.values()) all.push(...waiters);
    for (const { waiters } of this.#confirmed) all.push(...waiters);
    for (const waiter of all) waiter.fail("stopped");
  }
}
