/** How often a client may do what makes work for nothing: so much at once, and more as time goes by. */
export class Budget {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #atMs = performance.now();

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
  }

  /** False when it has done so too often. */
  take(cost = 1): boolean {
    const nowMs = performance.now();
    this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
    if (this.#left < cost) return false;
    this.#left -= cost;
    return true;
  }
}
