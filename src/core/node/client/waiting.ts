import { EngineError } from "../../errors/index.ts";
import type { Clock, Random } from "../ports.ts";

/** What a client has of the world besides its engine. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
}

/** How long one attempt may take of something that can be repeated. */
export const ATTEMPT_MS = 3000;

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5000;

/**
 * How long to wait after so many failures in a row: at random up to a bound that doubles each time, so that those who
 * failed together do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter": full jitter).
 */
export function backoffMs(failures: number, random: Random, maxDelayMs: number = MAX_DELAY_MS): number {
  const bound = Math.min(maxDelayMs, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 20));
  // Not zero: whoever waits must let others have their turn.
  return bound * (0.1 + 0.9 * random.next());
}

/** Resolves after so long, or as soon as `signal` aborts. */
export async function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      cancel();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, wake);
    signal.addEventListener("abort", wake, { once: true });
  });
}

/**
 * Asks again after whatever passes by itself, until `signal` aborts: for what does no harm when it is done twice.
 *
 * @param ask is told how often it has failed.
 */
export async function patiently<T>(
  ask: (failures: number) => Promise<T>,
  { clock, random }: Surroundings,
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await ask(failures);
    } catch (error) {
      if (signal.aborted || !(error instanceof EngineError) || !error.retryable) throw error;
      await sleep(clock, Math.max(backoffMs(++failures, random), error.retryAfterMs ?? 0), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** Rejects with `canceled` as soon as `signal` aborts, although what was waited for goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = (): void => reject(reasonOf(signal));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    // Whichever was not waited for may fail unheard.
    work.catch(() => undefined);
  }
}

/** Why a signal aborted: the reason, where it is one of ours, or else that somebody has given up. */
export function reasonOf(signal: AbortSignal): EngineError {
  const { reason } = signal;
  return reason instanceof EngineError ? reason : new EngineError("canceled", { cause: reason });
}

/** A signal that aborts with any of others, or after a time; it must be let go of with `end`. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #cancelTimer: () => void;

  /** @param timeoutMs absent: without a limit. Over it, the signal's reason is an EngineError `timeout`. */
  constructor(clock: Clock, sources: readonly (AbortSignal | undefined)[], timeoutMs?: number) {
    this.#sources = sources.filter((signal) => signal !== undefined);
    for (const signal of this.#sources) {
      if (signal.aborted) this.#controller.abort(signal.reason);
      else signal.addEventListener("abort", this.#follow);
    }
    this.#cancelTimer =
      timeoutMs === undefined
        ? () => undefined
        : clock.setTimer(timeoutMs, () =>
            this.#controller.abort(new EngineError("timeout", { detail: `after ${timeoutMs} ms` })),
          );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts it for another reason. */
  abort(reason: EngineError): void {
    this.#controller.abort(reason);
  }

  /** Listens to nobody any more. */
  end(): void {
    this.#cancelTimer();
    for (const signal of this.#sources) signal.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (): void => {
    this.#controller.abort(this.#sources.find(({ aborted }) => aborted)?.reason);
  };
}
