import type { KvEngine } from "../../core/node/index.ts";
import { encodeLeases } from "./lease-codec.ts";
import type { ObjectRecord } from "./object-record.ts";

type RestingEngine = Pick<KvEngine, "rest" | "saveLeases" | "leaseVersion" | "isLeader"> & {
  readonly replica: { readonly isAsleep: boolean };
};

/**
 * What an object does when its group falls asleep and when it wakes. In its sleep it has no timer, which would keep its
 * memory, and be paid for; so it may lose that, and writes down before what else it would not know: how long the leases
 * live that it looks after as their leader. That is there exactly as long as it is true.
 */
export class ObjectRest {
  readonly #engine: RestingEngine;
  readonly #record: Pick<ObjectRecord, "saveLeases">;
  readonly #keepSockets: () => void;
  #resting = false;
  /** Of the leases that are written down; null: none are. */
  #written: number | null;

  constructor(
    engine: RestingEngine,
    record: Pick<ObjectRecord, "leases" | "saveLeases">,
    keepSockets: () => void,
  ) {
    this.#engine = engine;
    this.#record = record;
    this.#keepSockets = keepSockets;
    // Of its last life, and true until something is known that is newer.
    this.#written = record.leases === null ? null : engine.leaseVersion;
  }

  /** To be called in the same turn as whatever may have put the node to sleep or awakened it. */
  poll(): void {
    const engine = this.#engine;
    const asleep = engine.replica.isAsleep;
    const rests = asleep && this.#write();
    if (!asleep) this.#erase();
    if (rests === this.#resting) return;
    this.#resting = rests;
    engine.rest(rests);
    if (rests) this.#keepSockets();
  }

  /** Returns whether all is written down that must not be forgotten. */
  #write(): boolean {
    const engine = this.#engine;
    // Who leads looks after them, and else nobody.
    if (!engine.isLeader) return true;
    if (this.#written === engine.leaseVersion) return true;
    const leases = engine.saveLeases();
    if (leases === null || leases.leases.length === 0) {
      this.#erase();
      return leases !== null;
    }
    this.#record.saveLeases(encodeLeases(leases));
    this.#written = engine.leaseVersion;
    return true;
  }

  #erase(): void {
    if (this.#written === null) return;
    this.#written = null;
    this.#record.saveLeases(null);
  }
}
