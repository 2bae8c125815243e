import { type ObjectStore, openStoredLog } from "../../../adapters/object-store/index.ts";
import { EngineError } from "../../../core/errors/index.ts";
import type { KvStore } from "../../../core/kv/index.ts";
import { type Clock, type Random, type ResponseHeader, StoredReplica } from "../../../core/node/index.ts";

/** The state with every write that was acknowledged before it was asked for. */
export interface Followed {
  readonly store: KvStore;
  readonly header: ResponseHeader;
}

export interface LogFollowerOptions {
  readonly openStore: () => Promise<ObjectStore>;
  readonly clock: Clock;
  readonly random: Random;
  readonly maxStateBytes: number;
}

const STEP_BYTES = 8 << 20;

/**
 * Answers reads of a log that another process owns, without taking it over. In a log with one voter every entry that is
 * stored stays, and so does every one that anybody was told of: who has read to its end after a question came knows
 * enough to answer it. See `StoredReplica`.
 */
export class LogFollower {
  readonly #options: LogFollowerOptions;
  #replica: Promise<StoredReplica> | null = null;
  /** The reading under way, which may have begun before a question came, and the one after it. */
  #reading: Promise<unknown> = Promise.resolve();
  #next: Promise<boolean> | null = null;

  constructor(options: LogFollowerOptions) {
    this.#options = options;
  }

  /**
   * Null: only an owner of the log can answer. That is so when there are leases, since nobody else ends them, or users,
   * since it is the engine that asks what they may read; when there is no log yet, or it could not be read.
   */
  async state(): Promise<Followed | null> {
    this.#next ??= this.#reading.then(() => {
      const reading = this.#read();
      this.#reading = reading.catch(() => {});
      this.#next = null;
      return reading;
    });
    try {
      if (!(await this.#next)) return null;
    } catch (error) {
      // What is wrong with the store the engine will say.
      if (error instanceof EngineError) return null;
      throw error;
    }
    const state = (await this.#replica)?.state ?? null;
    if (state === null || state.store.auth.isEnabled || state.store.leaseCount > 0) return null;
    const { clusterId, nodeId } = state.identity;
    const { store, term } = state;
    return { store, header: { clusterId, memberId: nodeId, revision: store.revision, raftTerm: term } };
  }

  /** Whether it got to the end. */
  async #read(): Promise<boolean> {
    this.#replica ??= this.#open().catch((error: unknown) => {
      this.#replica = null;
      throw error;
    });
    const replica = await this.#replica;
    // A writer that is as fast as this reads is not caught up with; taking the log over ends that.
    for (let step = 0; step < MAX_STEPS; step++) {
      if (await replica.catchUp({ maxBytes: STEP_BYTES })) return true;
    }
    return false;
  }

  async #open(): Promise<StoredReplica> {
    const { openStore, clock, random, maxStateBytes } = this.#options;
    const log = openStoredLog({ store: await openStore(), clock, random });
    return new StoredReplica({ log, clock, maxStateBytes });
  }
}

const MAX_STEPS = 64;
