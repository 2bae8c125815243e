import { join } from "node:path";
import type { StorageEngine } from "../../core/node/index.ts";
import type { Entry, HardState } from "../../core/raft/index.ts";
import { SNAPSHOT_DIRECTORY } from "./database.ts";
import { DatabaseThread } from "./database-thread.ts";
import { SqliteLogStore, writeBatch } from "./log-store.ts";
import { hardStateBytes, SqliteMetaStore } from "./meta-store.ts";
import { FileSnapshotStore } from "./snapshot-store.ts";

/** Where the stores of one node are. */
export interface SqliteStorageOptions {
  /** The node's own directory; made if it is missing. One process at a time. */
  readonly dir: string;
  /**
   * The largest size of the database, in pages of 4 KiB; a write past it fails with `storageFull`, as on a full
   * disk. Default: none.
   */
  readonly maxPages?: number;
}

/**
 * Opens the stores of one node in a directory of the local file system: log and metadata in an SQLite database,
 * snapshots in files beside it.
 *
 * Rejects with `storageLocked` while another process (or another call in this one) has the directory open,
 * `storageForeign` for a database of another program or format version, and `storageCorrupt`; nothing has been
 * changed then.
 */
export async function openSqliteStorage(options: SqliteStorageOptions): Promise<StorageEngine> {
  const thread = await DatabaseThread.open({ dir: options.dir, maxPages: options.maxPages });
  try {
    const snapshots = await FileSnapshotStore.open(join(options.dir, SNAPSHOT_DIRECTORY));
    return new SqliteStorage(thread, snapshots);
  } catch (error) {
    await thread.close();
    throw error;
  }
}

class SqliteStorage implements StorageEngine {
  readonly meta: SqliteMetaStore;
  readonly log: SqliteLogStore;
  readonly snapshots: FileSnapshotStore;
  readonly #thread: DatabaseThread;

  constructor(thread: DatabaseThread, snapshots: FileSnapshotStore) {
    this.#thread = thread;
    this.meta = new SqliteMetaStore(thread);
    this.log = new SqliteLogStore(thread);
    this.snapshots = snapshots;
  }

  commit(hardState: HardState, entries: readonly Entry[]): Promise<void> {
    return writeBatch(this.#thread, hardStateBytes(hardState), entries);
  }

  async close(): Promise<void> {
    // Before the lock is given up with the database, lest another process meet files still being written.
    await this.snapshots.close();
    await this.#thread.close();
  }
}
