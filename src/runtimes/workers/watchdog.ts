import type { Clock } from "../../core/node/index.ts";
import type { ObjectRecord } from "./object-record.ts";
import type { ObjectStorage } from "./platform.ts";

/**
 * An object that only sends is evicted 70 seconds or more after the last event that came in, whatever timers it has,
 * and has used up its outgoing requests some time later. An alarm is an event that comes in; and it brings back an
 * object that was evicted for another reason.
 */
const WATCHDOG_INTERVAL_MS = 30_000;
/** From one alarm to the next: what was due is perhaps under way. */
const MIN_GAP_MS = 500;

export type WatchdogStorage = Pick<ObjectStorage, "getAlarm" | "setAlarm" | "deleteAlarm">;

/** What the watchdog asks of the node. */
export interface Watched {
  /** It takes part in its group: it may have promised its silence to a leader. */
  readonly isAwake: () => boolean;
  /** When it has something to do although its group sleeps, on the wall clock: a lease will be due. Null: never. */
  readonly dueAtMs: () => number | null;
}

/**
 * The object's one alarm. It is set while the node has something to wait for and at no other time: a group that
 * sleeps costs nothing. Whether the node is awake is written down as well, before anything that it does then can be
 * seen by others.
 */
export class Watchdog {
  readonly #storage: WatchdogStorage;
  readonly #record: Pick<ObjectRecord, "awake" | "saveAwake">;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #watched: Watched;
  readonly #failed: (error: unknown) => void;
  #recorded: boolean;
  /** When the alarm goes off, on the wall clock; Infinity: there is none; null: the platform has yet to say. */
  #armedAtMs: number | null = null;
  #rangAtMs = -Infinity;
  /** Whether it was set in this life of the object. */
  #isOwn = false;

  constructor(
    storage: WatchdogStorage,
    record: Pick<ObjectRecord, "awake" | "saveAwake">,
    clock: Pick<Clock, "wallMs">,
    watched: Watched,
    failed: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#record = record;
    this.#clock = clock;
    this.#watched = watched;
    this.#failed = failed;
    this.#recorded = record.awake;
    this.#find().catch(failed);
  }

  async #find(): Promise<void> {
    const atMs = (await this.#storage.getAlarm()) ?? Infinity;
    if (this.#armedAtMs !== null) return;
    this.#armedAtMs = atMs;
    this.poll();
  }

  /** To be called after everything that may have put the node to sleep or awakened it, in the same turn. */
  poll(): void {
    const awake = this.#watched.isAwake();
    const wasAwake = this.#recorded;
    if (awake !== wasAwake) {
      this.#recorded = awake;
      this.#record.saveAwake(awake);
    }
    if (awake) this.#armBy(this.#clock.wallMs() + WATCHDOG_INTERVAL_MS);
    else this.#armFor(this.#watched.dueAtMs(), wasAwake);
  }

  /** The alarm has gone off, and with it is gone. */
  rang(): void {
    this.#armedAtMs = Infinity;
    this.#rangAtMs = this.#clock.wallMs();
    this.poll();
  }

  /** It goes off until then, and perhaps before: each change is a row. */
  #armBy(atMs: number): void {
    if (this.#armedAtMs === null || this.#armedAtMs > atMs) this.#arm(atMs);
  }

  /** @param anew it was set for something else before. */
  #armFor(dueAtMs: number | null, anew: boolean): void {
    if (this.#armedAtMs === null && !anew) return;
    if (dueAtMs !== null) {
      const atMs = Math.max(dueAtMs, this.#rangAtMs + MIN_GAP_MS);
      if (anew || this.#armedAtMs! > atMs) this.#arm(atMs);
    } else if (this.#armedAtMs !== Infinity && (anew || this.#isOwn)) {
      // One that was set in another life is left to ring: it may be for a lease of which this one has yet to hear.
      this.#arm(Infinity);
    }
  }

  #arm(atMs: number): void {
    if (atMs === this.#armedAtMs) return;
    this.#armedAtMs = atMs;
    this.#isOwn = true;
    const done = atMs === Infinity ? this.#storage.deleteAlarm() : this.#storage.setAlarm(atMs);
    done.catch((error: unknown) => this.#failed(error));
  }
}
