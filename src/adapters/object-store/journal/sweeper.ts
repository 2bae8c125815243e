import type { Logger } from "../../../core/node/index.ts";
import type { ObjectStore } from "../object-store.ts";
import { SLOT_OVERHEAD_BYTES, slotName } from "./slot.ts";

const SLOTS_PER_DELETE = 500;
const SLOTS_PER_LIST = 1000;

export interface SweeperOptions {
  readonly store: ObjectStore;
  readonly journal: string;
  /** The boundary at the time of opening. */
  readonly boundary: number;
  /** Slots that are fences, to be left. */
  readonly isFence: (seq: number) => boolean;
  readonly logger: Logger;
}

/**
 * Deletes slots before the boundary, in the background, and never a fence: a fence is what a stalled owner of an
 * earlier epoch must find when it goes on. What an earlier owner did not come to delete is looked for, a page of a
 * listing after each trim. A failure is no harm: what was left is found later.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  /** What is before was deleted by this process, or is left to the listings. */
  #swept: number;
  #boundary: number;
  #cursor: string;
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#swept = options.boundary;
    this.#boundary = options.boundary;
    this.#cursor = "";
  }

  /** The boundary is durable. */
  trimmedTo(boundary: number): void {
    this.#boundary = Math.max(this.#boundary, boundary);
    this.#running ??= this.#sweep()
      .catch((error: unknown) => {
        const { logger, store } = this.#options;
        logger.log("warn", "old log segments were not deleted; a later sweep tries again", {
          location: store.location,
          error: String(error),
        });
      })
      .finally(() => {
        this.#running = null;
      });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const { store, journal, isFence } = this.#options;
    while (this.#swept < this.#boundary && !this.#closed) {
      const end = Math.min(this.#boundary, this.#swept + SLOTS_PER_DELETE);
      const names: string[] = [];
      for (let seq = this.#swept; seq < end; seq++) if (!isFence(seq)) names.push(slotName(journal, seq));
      // Moved on first: what fails to be deleted is left to the listings, and not tried for ever.
      this.#swept = end;
      if (names.length > 0) await store.delete(names);
    }
    if (!this.#closed) await this.#sweepListed();
  }

  async #sweepListed(): Promise<void> {
    const { store, journal } = this.#options;
    const startAfter = this.#cursor === "" ? {} : { startAfter: this.#cursor };
    const { objects, more } = await store.list(`${journal}/`, { ...startAfter, limit: SLOTS_PER_LIST });
    const end = slotName(journal, this.#boundary);
    const before = objects.filter(({ name }) => name < end);
    const old = before.filter(({ size }) => size !== SLOT_OVERHEAD_BYTES).map(({ name }) => name);
    if (old.length > 0) await store.delete(old);
    const reachedEnd = !more || before.length < objects.length;
    this.#cursor = reachedEnd ? "" : (before.at(-1)?.name ?? "");
  }
}
