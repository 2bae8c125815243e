import type { Cancel, Clock } from "./ports.ts";

/** One timer that is set, moved and taken back as the next thing to do changes. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #armed: { readonly atMs: number; readonly cancel: Cancel } | null = null;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  get isSet(): boolean {
    return this.#armed !== null;
  }

  /** Rings once at this time of the clock, or never. */
  set(atMs: number | null): void {
    if (this.#armed?.atMs === atMs) return;
    this.#armed?.cancel();
    this.#armed = null;
    if (atMs === null) return;
    const cancel = this.#clock.setTimer(Math.max(0, atMs - this.#clock.nowMs()), () => {
      this.#armed = null;
      this.#ring();
    });
    this.#armed = { atMs, cancel };
  }
}
