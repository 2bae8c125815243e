import type { ObjectRecord } from "./object-record.ts";
import type { ObjectStorage } from "./platform.ts";

/**
 * An object that only sends is evicted 70 seconds or more after the last event that came in, whatever timers it has,
 * and has used up its outgoing requests some time later. An alarm is an event that comes in; and it brings back an
 * object that was evicted for another reason.
 */
export const WATCHDOG_INTERVAL_MS = 30_000;

/**
 * The object's one alarm. It is set while the node is awake and at no other time: a group that sleeps costs nothing.
 * Whether it is awake is written down as well, before anything that it does then can be seen by others.
 */
export class Watchdog {
  readonly #storage: ObjectStorage;
  readonly #record: ObjectRecord;
  readonly #isAwake: () => boolean;
  readonly #failed: (error: unknown) => void;
  #recorded: boolean;
  /** Null: not known. */
  #armed: boolean | null;

  constructor(
    storage: ObjectStorage,
    record: ObjectRecord,
    isAwake: () => boolean,
    failed: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#record = record;
    this.#isAwake = isAwake;
    this.#failed = failed;
    this.#recorded = record.awake;
    // An alarm that failed too often is given up by the platform.
    this.#armed = this.#recorded ? null : false;
  }

  /** To be called after everything that may have put the node to sleep or awakened it, in the same turn. */
  poll(): void {
    const awake = this.#isAwake();
    if (awake !== this.#recorded) {
      this.#recorded = awake;
      this.#record.saveAwake(awake);
    }
    if (awake !== this.#armed) this.#arm(awake);
  }

  /** The alarm has gone off, and with it is gone. */
  rang(): void {
    this.#armed = false;
    this.poll();
  }

  #arm(armed: boolean): void {
    this.#armed = armed;
    const done = armed
      ? this.#storage.setAlarm(Date.now() + WATCHDOG_INTERVAL_MS)
      : this.#storage.deleteAlarm();
    done.catch((error: unknown) => this.#failed(error));
  }
}
