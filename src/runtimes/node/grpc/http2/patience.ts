import { Budget } from "./budget.ts";
import { ErrorCode, Http2Problem } from "./protocol.ts";

/** At once at the least, and how many more each second. */
const RESETS = [1000, 100] as const;
const REFUSALS = [1000, 1000] as const;
const CHATTER = [1000, 100] as const;

/**
 * How much a client may have done for nothing. Each way throws Http2Problem when it is too much, which ends the
 * connection.
 */
export class Patience {
  readonly #resets: Budget;
  readonly #refusals: Budget;
  readonly #chatter = new Budget(...CHATTER);

  /** @param maxCalls that can be under way: so many may come to nothing in the same moment. */
  constructor(maxCalls: number) {
    this.#resets = new Budget(Math.max(maxCalls, RESETS[0]), RESETS[1]);
    this.#refusals = new Budget(Math.max(maxCalls, REFUSALS[0]), REFUSALS[1]);
  }

  /** A call came to nothing by the client's doing (CVE-2023-44487; CVE-2025-8671 where it had the server do it). */
  reset(): void {
    if (!this.#resets.take()) throw calm("too many resets");
  }

  /** A call was refused. Whoever has not heard of the end of a connection yet still begins calls on it. */
  refusal(): void {
    if (!this.#refusals.take()) throw calm("too many calls that were refused");
  }

  /** What says little is cheap to send, and is not for nothing here (CVE-2019-9515, CVE-2019-9518). */
  chat(cost = 1): void {
    if (!this.#chatter.take(cost)) throw calm("too much about nothing");
  }
}

function calm(message: string): Http2Problem {
  return new Http2Problem(ErrorCode.enhanceYourCalm, message);
}
