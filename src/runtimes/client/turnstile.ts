import { EngineError } from "../../core/errors/index.ts";

/** Lets so many through at a time, and so many wait. */
export class Turnstile {
  readonly #maxWaiting: number;
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(size: number, maxWaiting: number) {
    this.#free = size;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Resolves when it is one's turn, or when `signal` aborts: true if it is, and then `leave` must be called.
   *
   * @throws EngineError `tooManyRequests`.
   */
  async enter(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    if (this.#waiting.size >= this.#maxWaiting) {
      throw new EngineError("tooManyRequests", { detail: "too many calls of this client wait already" });
    }
    return await new Promise((resolve) => {
      const enter = (): void => {
        signal.removeEventListener("abort", giveUp);
        resolve(true);
      };
      const giveUp = (): void => {
        this.#waiting.delete(enter);
        resolve(false);
      };
      this.#waiting.add(enter);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
