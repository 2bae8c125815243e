// Stores of your own. Three ports make a StorageEngine: LogStore, MetaStore and SnapshotStore. This one keeps everything
// in SQLite, as usual, and watches how long the disk takes.

import { openSqliteStorage } from "../src/adapters/sqlite/index.ts"; // in your project: "d-engine/adapters/sqlite"
import { EmbeddedEngine } from "../src/index.ts"; // in your project: "d-engine"
import type { Entry, HardState, LogStore, MetaStore, SnapshotStore, StorageEngine } from "../src/index.ts";

class WatchedStorage implements StorageEngine {
  readonly meta: MetaStore;
  readonly log: LogStore;
  readonly snapshots: SnapshotStore;
  readonly #inner: StorageEngine;
  commits = 0;
  slowestMs = 0;

  constructor(inner: StorageEngine) {
    const { log } = inner;
    this.#inner = inner;
    this.meta = inner.meta;
    this.snapshots = inner.snapshots;
    this.log = {
      open: () => log.open(),
      append: (entries) => this.#watch(() => log.append(entries)),
      read: (from, to, maxBytes) => log.read(from, to, maxBytes),
      term: (index) => log.term(index),
      compact: (to) => log.compact(to),
      reset: (index, term) => log.reset(index, term),
    };
  }

  /** Hard state and entries in one step. A store that cannot do that leaves this method out. */
  async commit(hardState: HardState, entries: readonly Entry[]): Promise<void> {
    await this.#watch(() => this.#inner.commit!(hardState, entries));
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  /** Calls may overlap and must become durable in call order, so each goes on to the store at once. */
  async #watch(write: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    await write();
    this.commits++;
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
  }
}

const storage = new WatchedStorage(await openSqliteStorage({ dir: "./watched" }));
const engine = await EmbeddedEngine.start("./watched", { storage });
await engine.waitReady(5000);
// Writes that wait at the same time share a commit.
await Promise.all(Array.from({ length: 1000 }, (_, i) => engine.client().put(`key/${i}`, "value")));
console.log(storage.commits < 1000, storage.slowestMs > 0); // true true
await engine.stop();
