import { EngineError } from "../errors/index.ts";
import type { NodeId } from "../raft/index.ts";
import type { CallOptions } from "./engine.ts";
import type { FrameBody } from "./frames.ts";
import type { Meter } from "./observer.ts";
import type { NodeTuning } from "./options.ts";
import type { Clock } from "./ports.ts";
import { Waiter } from "./waiter.ts";

/** Answers a question as the leader; null: it is not the one to ask, or cannot tell now. */
export type Answerer = (question: Uint8Array) => Promise<Uint8Array | null>;

/** What queries ask of the node around them. */
export interface LeaderQueriesHost {
  readonly nodeId: NodeId;
  readonly leaderId: () => NodeId | null;
  /** A sleeping group must notice that it is needed. */
  readonly wake: () => void;
  readonly send: (to: NodeId, body: FrameBody) => void;
}

/** How long after an attempt that brought nothing the next one is made. */
const RETRY_MS = 25;
/** Questions of other members that are being answered; more are dropped, and asked again. */
const MAX_ANSWERING = 65536;

/**
 * Questions that only the leader can answer, because the answer is in its memory and not in the replicated state.
 * Frames may be lost, so an attempt without an answer is made again, with whoever leads then: questions must do no
 * harm when they are answered twice.
 */
export class LeaderQueries {
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #maxPending: number;
  readonly #timeoutMs: number;
  readonly #attemptMs: number;
  readonly #host: LeaderQueriesHost;
  #answerer: Answerer = () => Promise.resolve(null);
  #lastId: bigint;
  readonly #asked: Map<bigint, Waiter<Uint8Array | null>> = new Map();
  #pending = 0;
  #answering = 0;
  #stopped = false;

  /**
   * @param session random: where ids begin, so that no answer to what was asked before a restart is taken for one now.
   * @param attemptMs how long one attempt waits for its answer.
   */
  constructor(
    session: bigint,
    { maxPendingRequests, requestTimeoutMs }: NodeTuning,
    attemptMs: number,
    clock: Clock,
    meter: Meter,
    host: LeaderQueriesHost,
  ) {
    this.#lastId = session;
    this.#maxPending = maxPendingRequests;
    this.#timeoutMs = requestTimeoutMs;
    this.#attemptMs = attemptMs;
    this.#clock = clock;
    this.#meter = meter;
    this.#host = host;
  }

  /** Who answers, when this node leads. */
  answerWith(answerer: Answerer): void {
    this.#answerer = answerer;
  }

  /** Asks until somebody answers. @throws EngineError `noLeader`, `timeout`, `canceled`, `tooManyRequests`, `stopped`. */
  async ask(question: Uint8Array, { signal, timeoutMs = this.#timeoutMs }: CallOptions): Promise<Uint8Array> {
    if (this.#pending >= this.#maxPending) {
      this.#meter.record("rejectedReads", 1);
      throw new EngineError("tooManyRequests", { retryAfterMs: 100 });
    }
    const endMs = this.#clock.nowMs() + timeoutMs;
    this.#pending++;
    try {
      for (;;) {
        const leaderId = this.#host.leaderId();
        const leftMs = endMs - this.#clock.nowMs();
        if (leftMs <= 0) throw new EngineError(leaderId === null ? "noLeader" : "timeout");
        const answer =
          leaderId === null
            ? null
            : await this.#attempt(leaderId, question, Math.min(leftMs, this.#attemptMs), signal);
        if (answer !== null) return answer;
        await this.#pause(Math.min(RETRY_MS, leftMs), signal);
      }
    } finally {
      this.#pending--;
    }
  }

  async #attempt(
    to: NodeId,
    question: Uint8Array,
    patienceMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | null> {
    const id = BigInt.asUintN(64, this.#lastId + 1n);
    this.#lastId = id;
    return await this.#wait(id, patienceMs, signal, () => {
      if (to !== this.#host.nodeId) return this.#host.send(to, { type: "query", id, question });
      this.#answerer(question).then(
        (answer) => this.#asked.get(id)?.resolve(answer),
        () => this.#asked.get(id)?.resolve(null),
      );
    });
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const id = BigInt.asUintN(64, this.#lastId + 1n);
    this.#lastId = id;
    await this.#wait(id, ms, signal, () => {});
  }

  /** Waits for the answer to a question, or for so long: null then. */
  async #wait(
    id: bigint,
    ms: number,
    signal: AbortSignal | undefined,
    begin: () => void,
  ): Promise<Uint8Array | null> {
    if (this.#stopped) throw new EngineError("stopped");
    this.#host.wake();
    const waiter = new Waiter<Uint8Array | null>(this.#clock.nowMs() + ms, signal);
    const cancel = this.#clock.setTimer(ms, () => waiter.resolve(null));
    this.#asked.set(id, waiter);
    try {
      begin();
      return await waiter.promise;
    } finally {
      cancel();
      this.#asked.delete(id);
    }
  }

  onQuery(from: NodeId, { id, question }: Extract<FrameBody, { type: "query" }>): void {
    if (this.#stopped || this.#answering >= MAX_ANSWERING) return;
    this.#answering++;
    this.#answerer(question)
      .then((answer) => {
        if (!this.#stopped) this.#host.send(from, { type: "queryResult", id, answer });
      })
      // Whoever asked asks again.
      .catch(() => {})
      .finally(() => {
        this.#answering--;
      });
  }

  onResult({ id, answer }: Extract<FrameBody, { type: "queryResult" }>): void {
    // A copy: the frame's bytes are the transport's.
    this.#asked.get(id)?.resolve(answer === null ? null : answer.slice());
  }

  stop(): void {
    this.#stopped = true;
    for (const waiter of this.#asked.values()) waiter.fail("stopped");
  }
}
