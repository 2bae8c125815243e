import { EngineError } from "../../../core/errors/index.ts";
import type { Clock, Random } from "../../../core/node/index.ts";

/** How long a store may be too busy, or silent, before the node gives up. The dialects have repeated by then too. */
const GIVE_UP_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

/** Repeats what the store was too busy or too silent to do: meanwhile the caller waits, which is the back-pressure. */
export class Patience {
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A request that does no harm when it is repeated. */
  async ask<T>(request: () => Promise<T>): Promise<T> {
    const retries = this.begin();
    for (;;) {
      try {
        return await request();
      } catch (error) {
        await retries.pause(error);
      }
    }
  }

  begin(): Retries {
    return new Retries(this.#clock, this.#random);
  }
}

export class Retries {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #deadlineMs: number;
  #made = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#deadlineMs = clock.nowMs() + GIVE_UP_MS;
  }

  /** Waits before the next attempt. Throws the cause if it is final, or patience has ended. */
  async pause(cause: unknown): Promise<void> {
    if (!isTransient(cause)) throw cause;
    if (this.#clock.nowMs() >= this.#deadlineMs) {
      if (cause instanceof EngineError) throw cause;
      throw new EngineError("storageUnavailable", {
        detail: `gave up after ${GIVE_UP_MS / 1000} s: ${String(cause)}`,
        cause,
      });
    }
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#made++);
    // At random, so that those who were turned away together do not come back together.
    const jitteredMs = pauseMs * (0.5 + this.#random.next() / 2);
    await new Promise<void>((resolve) => this.#clock.setTimer(jitteredMs, resolve));
  }
}

/** What may go away by itself. What is no EngineError is the cause of an unknown outcome. */
export function isTransient(cause: unknown): boolean {
  if (!(cause instanceof EngineError)) return true;
  return cause.code === "storageThrottled" || cause.code === "storageUnavailable";
}
