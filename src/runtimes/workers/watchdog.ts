import type { ObjectRecord } from "./object-record.ts";
import type { ObjectStorage } from "./platform.ts";

/**
 * An object that only sends is evicted 70 seconds or more after the last event that came in, whatever timers it has,
 * and has used up its outgoing requests some time later. An alarm is an event that comes in; and it brings back an
 * object that was evicted for another reason.
 */
export const WATCHDOG_INTERVAL_MS = 30_000;

/** What the watchdog asks of the node. */
export interface Watched {
  /** It takes part in its group: it may have promised its silence to a leader. */
  readonly isAwake: () => boolean;
  /** It has something to do at a certain time although its group sleeps: a lease will be due. */
  readonly hasDeadlines: () => boolean;
}

/**
 * The object's one alarm. It is set while the node has something to wait for and at no other time: a group that
 * sleeps costs nothing. Whether the node is awake is written down as well, before anything that it does then can be
 * seen by others.
 */
export class Watchdog {
  readonly #storage: Pick<ObjectStorage, "setAlarm" | "deleteAlarm">;
  readonly #record: Pick<ObjectRecord, "awake" | "saveAwake">;
  readonly #watched: Watched;
  readonly #failed: (error: unknown) => void;
  #recorded: boolean;
  /** Null: not known, since an alarm that failed too often is given up by the platform. */
  #armed: boolean | null;

  constructor(
    storage: Pick<ObjectStorage, "setAlarm" | "deleteAlarm">,
    record: Pick<ObjectRecord, "awake" | "saveAwake">,
    watched: Watched,
    failed: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#record = record;
    this.#watched = watched;
    this.#failed = failed;
    this.#recorded = record.awake;
    // One that was set for leases is left to ring: somebody has to look after them.
    this.#armed = record.awake ? null : false;
  }

  /** To be called after everything that may have put the node to sleep or awakened it, in the same turn. */
  poll(): void {
    const awake = this.#watched.isAwake();
    if (awake !== this.#recorded) {
      this.#recorded = awake;
      this.#record.saveAwake(awake);
    }
    const needed = awake || this.#watched.hasDeadlines();
    if (needed !== this.#armed) this.#arm(needed);
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
