/** One run of a node's process, from its start to its end. What it began ends with it. */
export class Life {
  #alive = true;
  #paused = false;
  #backlog: (() => void)[] = [];

  get isAlive(): boolean {
    return this.#alive;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  end(): void {
    this.#alive = false;
    this.#backlog = [];
  }

  /** The process stands still, as a virtual machine that is being moved; time goes on without it. */
  pause(): void {
    this.#paused = true;
  }

  /** What came meanwhile, in order, for the caller to run. */
  resume(): (() => void)[] {
    this.#paused = false;
    const missed = this.#backlog;
    this.#backlog = [];
    return missed;
  }

  /** Runs `work` now, after the pause, or never. */
  run(work: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#backlog.push(work);
    else work();
  }
}
