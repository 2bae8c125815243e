import { EngineError } from "../../../core/errors/index.ts";

/** Counts what is held of what clients have sent, over all calls. */
export class ReceiveBudget {
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  /** False, and nothing taken, when there is not so much left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** What is set aside at first. */
const FIRST_BYTES = 4 << 10;
const NOTHING = new Uint8Array(0);

/**
 * Puts pieces together in memory of its own, at most twice what they are: a piece of one byte would keep all that came
 * with it, and a thousand of them cost more than they say.
 */
export class ReceiveBuffer {
  readonly #budget: ReceiveBudget;
  #bytes: Uint8Array = NOTHING;
  #filled = 0;
  #takenBytes = 0;

  constructor(budget: ReceiveBudget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#filled;
  }

  /**
   * @param mostBytes that there can be in all.
   * @throws EngineError `tooManyRequests` when all calls together hold too much.
   */
  append(part: Uint8Array, mostBytes: number = Infinity): void {
    const needed = this.#filled + part.length;
    if (needed > this.#bytes.length) {
      const room = Math.min(mostBytes, Math.max(needed, this.#bytes.length * 2, FIRST_BYTES));
      if (!this.#budget.take(room - this.#bytes.length)) throw new EngineError("tooManyRequests");
      const grown = new Uint8Array(room);
      grown.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = grown;
    }
    this.#bytes.set(part, this.#filled);
    this.#filled = needed;
  }

  /** All there is, which counts until the next time, or until it is released. */
  take(): Uint8Array {
    this.#budget.giveBack(this.#takenBytes);
    const all = this.#bytes.subarray(0, this.#filled);
    this.#takenBytes = this.#bytes.length;
    this.#bytes = NOTHING;
    this.#filled = 0;
    return all;
  }

  /** Forgets everything. */
  release(): void {
    this.take();
    this.take();
  }
}
