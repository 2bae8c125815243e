import { EngineError } from "../../core/errors/index.ts";
import type { Entry, HardState } from "../../core/raft/index.ts";
import type { StorageEngine } from "../../core/node/index.ts";
import { MemoryLogStore } from "./log-store.ts";
import { MemoryMetaStore } from "./meta-store.ts";
import { MemorySnapshotStore } from "./snapshot-store.ts";

/**
 * A node's stores in memory: for tests, examples and caches. NOT durable: what it calls durable lasts as long as
 * this object. A node that loses it must not come back under the same id, since it has forgotten its vote.
 *
 * To restart a node within one process, `close` it and `reopen` it.
 */
export class MemoryStorage implements StorageEngine {
  readonly meta: MemoryMetaStore;
  readonly log: MemoryLogStore;
  readonly snapshots: MemorySnapshotStore;
  #closed = false;

  constructor() {
    const ready = (): void => {
      if (this.#closed) throw new EngineError("storageFailed", { detail: "the memory store is closed" });
    };
    this.meta = new MemoryMetaStore(ready);
    this.log = new MemoryLogStore(ready);
    this.snapshots = new MemorySnapshotStore(ready);
  }

  async commit(hardState: HardState, entries: readonly Entry[]): Promise<void> {
    // Entries first: they may be refused, and then nothing must have changed.
    this.log.appendNow(entries);
    this.meta.saveHardStateNow(hardState);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.snapshots.abandonUnfinished();
    return Promise.resolve();
  }

  /** The same contents, open again: what a restart finds. */
  reopen(): this {
    this.#closed = false;
    return this;
  }
}
