import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "../../../../src/core/bytes/index.ts";
import type { Cancel } from "../../../../src/core/node/index.ts";
import { Prng } from "../../raft/harness/prng.ts";
import { EventHeap } from "./event-heap.ts";
import type { Life } from "./life.ts";

/** More events than this at one moment of virtual time: something runs in a circle. */
const MAX_EVENTS_AT_ONCE = 200_000;
/** Everything outside the world (a test's own time limit, say) gets its turn once in so many events. */
const EVENTS_PER_TURN = 1024;

/** Resolves when no promise is left that can settle: Node runs the callback only then. Much cheaper than a turn. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

/**
 * Time and chance for everything in a run. One heap of events by (time, sequence); between two events every promise
 * that can settle does, so that the same seed gives the same run, down to the last byte.
 */
export class World {
  readonly random: Prng;
  readonly seed: number;
  readonly #events: EventHeap = new EventHeap();
  #nowMs = 0;
  #executed = 0;
  #atOnce = 0;
  #hash = 0x811c9dc5;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Prng(seed);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get executed(): number {
    return this.#executed;
  }

  /** A hash of everything that was noted, when, and in which order. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** Makes a fact part of the run's hash. */
  note(what: string | Uint8Array): void {
    if (typeof what !== "string") this.#mix(crc32(what));
    else for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i));
    this.#mix(this.#nowMs);
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }

  /** Runs `work` after `delayMs`, unless its owner is gone by then. */
  schedule(delayMs: number, owner: Life | null, work: () => void): Cancel {
    if (!Number.isFinite(delayMs) || delayMs < 0)
      throw new Error(`a delay must be a time to come, not ${delayMs}`);
    const event = this.#events.add(this.#nowMs + delayMs, () => (owner === null ? work() : owner.run(work)));
    return () => {
      event.canceled = true;
    };
  }

  /** Runs the next event, and everything that follows from it at once. False if there is none. */
  async step(): Promise<boolean> {
    if (!this.#runNext()) return false;
    await (this.#executed % EVENTS_PER_TURN === 0 ? nextTurn() : settled());
    return true;
  }

  #runNext(): boolean {
    const event = this.#events.next();
    if (event === undefined) return false;
    this.#atOnce = event.atMs === this.#nowMs ? this.#atOnce + 1 : 0;
    if (this.#atOnce > MAX_EVENTS_AT_ONCE) throw new Error(`time stands still at ${this.#nowMs} ms`);
    this.#nowMs = event.atMs;
    this.#executed++;
    this.#mix(event.sequence);
    event.run();
    return true;
  }

  async runFor(ms: number): Promise<void> {
    await nextTurn();
    const end = this.#nowMs + ms;
    while (!(await this.#runTo(end))) await nextTurn();
    this.#nowMs = end;
    this.#atOnce = 0;
  }

  /** As many steps as there are up to a time, without a promise for each. False when it is time for a turn. */
  #runTo(endMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        try {
          const atMs = this.#events.nextAtMs();
          if (atMs === undefined || atMs > endMs) return resolve(true);
          this.#runNext();
        } catch (error) {
          return reject(error as Error);
        }
        if (this.#executed % EVENTS_PER_TURN === 0) resolve(false);
        else queueMicrotask(whenSettled);
      };
      // A tick that a microtask asks for comes when there are no more of them.
      const whenSettled = (): void => process.nextTick(next);
      next();
    });
  }

  /** Runs until `condition` holds; fails if it does not within `limitMs` of virtual time. */
  async until(what: string, condition: () => boolean, limitMs: number = 30_000): Promise<void> {
    await nextTurn();
    const end = this.#nowMs + limitMs;
    while (!condition()) {
      const at = this.#events.nextAtMs();
      if (at === undefined || at > end)
        throw new Error(`${what}: not within ${limitMs} ms (seed ${this.seed})`);
      await this.step();
    }
  }

  /** Runs until the promise settles, and gives what it gave. */
  async complete<T>(what: string, promise: Promise<T>, limitMs?: number): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    await this.until(what, () => settled, limitMs);
    return await promise;
  }

  /** Runs until the promise fails, and gives the error. */
  async failure(what: string, promise: Promise<unknown>, limitMs?: number): Promise<unknown> {
    const outcome = promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const result = await this.complete(what, outcome, limitMs);
    if (!("error" in result)) throw new Error(`${what}: expected to fail (seed ${this.seed})`);
    return result.error;
  }
}
