/** A node's own monotonic clock: it starts where it likes and may run at its own rate, or stand still. */
export class NodeClock {
  #rate: number;
  #sinceMs: number;
  #baseMs: number;

  constructor(startMs: number, worldMs: number, rate = 1) {
    this.#baseMs = startMs;
    this.#sinceMs = worldMs;
    this.#rate = rate;
  }

  get rate(): number {
    return this.#rate;
  }

  /** What it shows when the world's time is `worldMs`. */
  nowMs(worldMs: number): number {
    return this.#baseMs + (worldMs - this.#sinceMs) * this.#rate;
  }

  /** The first whole millisecond of the world's time when it shows at least `localMs`; infinite if it stands still. */
  worldMsAt(localMs: number, worldMs: number): number {
    if (this.nowMs(worldMs) >= localMs) return worldMs;
    if (this.#rate === 0) return Number.POSITIVE_INFINITY;
    let at = Math.ceil(this.#sinceMs + (localMs - this.#baseMs) / this.#rate);
    while (this.nowMs(at) < localMs) at++;
    return Math.max(at, worldMs);
  }

  setRate(rate: number, worldMs: number): void {
    this.#baseMs = this.nowMs(worldMs);
    this.#sinceMs = worldMs;
    this.#rate = rate;
  }
}
