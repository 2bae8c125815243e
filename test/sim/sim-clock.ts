import type { Cancel, Clock } from "../../src/core/node/index.ts";
import type { Life } from "../core/node/world/life.ts";
import type { World } from "../core/node/world/world.ts";
import { NodeClock } from "../core/raft/harness/clock.ts";

/** Where the wall clock stands when a run begins. */
const EPOCH_MS = 1_700_000_000_000;

interface Timer {
  readonly dueMs: number;
  readonly ring: () => void;
  cancel: Cancel;
}

/** One machine's clock over all its lives: an offset of its own, a rate that may change, jumps, standing still. */
export class SimClock {
  readonly #world: World;
  readonly #clock: NodeClock;
  readonly #timers: Set<Timer> = new Set();
  #jumpedMs = 0;
  #wallOffsetMs = 0;

  constructor(world: World, startMs: number) {
    this.#world = world;
    this.#clock = new NodeClock(startMs, world.nowMs);
  }

  get rate(): number {
    return this.#clock.rate;
  }

  nowMs(): number {
    return this.#clock.nowMs(this.#world.nowMs) + this.#jumpedMs;
  }

  /** The clock as one life of the machine sees it; its timers end with the life. */
  forLife(life: () => Life | null): Clock {
    return {
      nowMs: () => this.nowMs(),
      wallMs: () => EPOCH_MS + Math.floor(this.#world.nowMs) + this.#wallOffsetMs,
      setTimer: (delayMs, callback) => this.#setTimer(life(), delayMs, callback),
    };
  }

  /** Of a machine whose wall clock is kept right by its platform. */
  trueWallMs(): number {
    return EPOCH_MS + Math.floor(this.#world.nowMs);
  }

  #setTimer(life: Life | null, delayMs: number, ring: () => void): Cancel {
    if (life === null || !life.isAlive) return () => {};
    if (!Number.isFinite(delayMs)) throw new Error(`a timer of ${delayMs} ms`);
    // In the same moment as ever, whatever the clock does meanwhile.
    if (delayMs <= 0) return this.#world.schedule(0, life, ring);
    const timer: Timer = {
      dueMs: this.nowMs() + delayMs,
      ring: () => life.run(ring),
      cancel: () => {},
    };
    this.#timers.add(timer);
    this.#arm(timer);
    return () => {
      this.#timers.delete(timer);
      timer.cancel();
    };
  }

  #arm(timer: Timer): void {
    const { nowMs } = this.#world;
    const atMs = this.#clock.worldMsAt(timer.dueMs - this.#jumpedMs, nowMs);
    // A clock that stands still rings nothing until it goes on.
    if (atMs === Number.POSITIVE_INFINITY) {
      timer.cancel = () => {};
      return;
    }
    timer.cancel = this.#world.schedule(atMs - nowMs, null, () => {
      this.#timers.delete(timer);
      timer.ring();
    });
  }

  setRate(rate: number): void {
    this.#clock.setRate(rate, this.#world.nowMs);
    this.#rearm();
  }

  /** Forward only: a monotonic clock never goes back. */
  jump(ms: number): void {
    this.#jumpedMs += Math.max(0, ms);
    this.#rearm();
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #rearm(): void {
    for (const timer of this.#timers) {
      timer.cancel();
      this.#arm(timer);
    }
  }
}
