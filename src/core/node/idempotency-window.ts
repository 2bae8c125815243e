import type { Clock } from "./ports.ts";

/** Looks that are remembered within a window: what is forgotten is older than that by a hundredth at most. */
const LOOKS_PER_WINDOW = 100;

interface Look {
  readonly atMs: number;
  readonly serial: number;
}

/**
 * Knows which named writes this member has known for a whole window, by its own monotonic clock: those may be
 * forgotten. It says so in the next named write, so that forgetting costs no command and wakes nobody. A member that
 * was started anew, or whose clock stood still, forgets later and never earlier.
 */
export class IdempotencyWindow {
  readonly #clock: Clock;
  readonly #windowMs: number;
  #looks: Look[] = [];

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  /**
   * The serial up to which writes may be forgotten; 0: none.
   *
   * @param serial of the last one that was applied here.
   */
  forgetTo(serial: number): number {
    const nowMs = this.#clock.nowMs();
    const last = this.#looks.at(-1);
    if (last === undefined || nowMs - last.atMs >= this.#windowMs / LOOKS_PER_WINDOW) {
      this.#looks.push({ atMs: nowMs, serial });
    }
    const young = this.#looks.findIndex((look) => look.atMs > nowMs - this.#windowMs);
    // The newest of those that are old enough is the one to go by.
    const old = young === -1 ? this.#looks.length - 1 : young - 1;
    if (old < 0) return 0;
    this.#looks = this.#looks.slice(old);
    return this.#looks[0]!.serial;
  }
}
