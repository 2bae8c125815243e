import { EngineError } from "../../../core/errors/index.ts";

/** Work of which only so much is done at a time, and for which only so many wait. */
export class Places {
  readonly #maxTaken: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(maxTaken: number, maxWaiting: number) {
    this.#maxTaken = maxTaken;
    this.#maxWaiting = maxWaiting;
  }

  /** Does the work when there is a place for it. @throws EngineError `tooManyRequests` when too many wait. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    await this.#enter();
    try {
      return await work();
    } finally {
      // Whoever waits longest takes over the place.
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken--;
      else next();
    }
  }

  async #enter(): Promise<void> {
    if (this.#taken < this.#maxTaken) {
      this.#taken++;
      return;
    }
    if (this.#waiting.length >= this.#maxWaiting) throw tooManyPasswords();
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

export function tooManyPasswords(): EngineError {
  return new EngineError("tooManyRequests", {
    detail: "too many passwords are being checked",
    retryAfterMs: 1000,
  });
}
