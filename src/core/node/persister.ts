import type { Entry, HardState, Ready } from "../raft/index.ts";
import type { Meter } from "./observer.ts";
import type { StorageEngine } from "./ports.ts";

/** A Ready whose writes are under way or done. */
interface Write {
  readonly ready: Ready;
  done: boolean;
}

/** Readys that a store may have to gather: well below what the driver stops at. */
const MAX_GATHERED = 512;

/**
 * Makes Readys durable, several at a time where the store allows it, and reports them in order. The first failure
 * ends it: what the store holds is then unknown, and nothing is retried.
 */
export class Persister {
  readonly #storage: StorageEngine;
  readonly #meter: Meter;
  readonly #onPersisted: (ready: Ready) => void;
  readonly #onFailure: (error: unknown) => void;
  #writes: Write[] = [];
  #writing = 0;
  /** Settles when everything begun so far is durable. */
  #everything: Promise<unknown> = Promise.resolve();
  /** A write that the ones after it must wait for. */
  #barrier: Promise<unknown> | null = null;

  constructor(
    storage: StorageEngine,
    meter: Meter,
    onPersisted: (ready: Ready) => void,
    onFailure: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#meter = meter;
    this.#onPersisted = onPersisted;
    this.#onFailure = onFailure;
  }

  /** Readys not durable yet. */
  get inflight(): number {
    return this.#writes.length;
  }

  /**
   * Whether so much is being written that proposals had better gather, and go together into the next write.
   *
   * @param maxWriting for stores that do not gather by themselves.
   */
  isFull(maxWriting: number): boolean {
    return this.#writing >= (this.#storage.gathersWrites === true ? MAX_GATHERED : maxWriting);
  }

  /** Begins to persist. Reports at once if there is nothing to write and nothing to wait for. */
  persist(ready: Ready): void {
    const startedMs = this.#meter.nowMs();
    const begun = this.#begin(ready);
    if (begun === null && this.#writes.length === 0) return this.#onPersisted(ready);
    const write: Write = { ready, done: begun === null };
    this.#writes.push(write);
    if (begun === null) return;
    this.#writing++;
    this.#everything = Promise.all([this.#everything, begun]);
    begun.then(
      () => {
        write.done = true;
        this.#writing--;
        if (ready.entries.length > 0) this.#meter.since("logFlush", startedMs);
        this.#report();
      },
      (error: unknown) => this.#onFailure(error),
    );
    // The failure has been reported; nobody else needs to look at this promise.
    this.#everything.catch(() => {});
  }

  /** Resolves when everything begun so far is durable. */
  async settled(): Promise<void> {
    await this.#everything;
  }

  #begin({ snapshot, hardState, entries }: Ready): Promise<void> | null {
    const { log } = this.#storage;
    if (snapshot !== null) {
      // The content is in the snapshot store already; now the log begins anew behind it.
      return this.#alone(async () => {
        await log.reset(snapshot.index, snapshot.term);
        await this.#write(hardState, entries);
      });
    }
    if (hardState === null && entries.length === 0) return null;
    if (this.#barrier !== null) return this.#alone(() => this.#write(hardState, entries));
    // One store, or one kind of write: the store keeps the order, so the writes may overlap.
    if (this.#storage.commit !== undefined || hardState === null) return this.#write(hardState, entries);
    return this.#alone(() => this.#write(hardState, entries));
  }

  async #write(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    const storage = this.#storage;
    if (hardState !== null && entries.length > 0 && storage.commit !== undefined) {
      return await storage.commit(hardState, entries);
    }
    if (hardState !== null) await storage.meta.saveHardState(hardState);
    if (entries.length > 0) await storage.log.append(entries);
  }

  /** Writes to different stores keep no order by themselves: wait for all before, and let all after wait. */
  #alone(write: () => Promise<void>): Promise<void> {
    const barrier = this.#everything.then(write);
    this.#barrier = barrier;
    const lift = (): void => {
      if (this.#barrier === barrier) this.#barrier = null;
    };
    barrier.then(lift, lift);
    return barrier;
  }

  #report(): void {
    while (this.#writes[0]?.done === true) this.#onPersisted(this.#writes.shift()!.ready);
  }
}
