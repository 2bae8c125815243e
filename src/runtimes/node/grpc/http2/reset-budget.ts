/** Calls that a client may reset at once, and how many more each second. */
const BURST = 1000;
const PER_SECOND = 100;

/** How often a client may begin something in vain. */
export class ResetBudget {
  #left = BURST;
  #atMs = performance.now();

  /** False when it has done so too often. */
  take(): boolean {
    const nowMs = performance.now();
    this.#left = Math.min(BURST, this.#left + ((nowMs - this.#atMs) / 1000) * PER_SECOND);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
