import type { StorageEngine } from "../../core/node/index.ts";
import type { Entry, HardState } from "../../core/raft/index.ts";
import { Database } from "./database.ts";
import { DurableObjectLogStore } from "./log-store.ts";
import { LogRing } from "./log-ring.ts";
import { DurableObjectMetaStore } from "./meta-store.ts";
import type { DurableObjectStorage } from "./platform.ts";
import { EMPTY, encodeRow } from "./row-codec.ts";
import { DurableObjectSnapshotStore } from "./snapshot-store.ts";

/** The stores of one node in one Durable Object, and what they cost. */
export interface DurableObjectStorageEngine extends StorageEngine {
  commit(hardState: HardState, entries: readonly Entry[]): Promise<void>;
  /**
   * Writes a row that says nothing, for answers that need no write of their own. Whoever replaced this object without
   * its knowing is found out by a write and by nothing else: what is sent after this call waits in the output gate
   * until the write is confirmed, and is never sent if it cannot be. To be called in the event that brought the
   * question, after it came, unless something else was written since: then {@link rowsWritten} has changed.
   *
   * Resolves when the write is confirmed.
   */
  touch(): Promise<void>;
  /** Rows that were read since opening, as the platform bills them. */
  readonly rowsRead: number;
  /** Rows that were written since opening, as the platform bills them. */
  readonly rowsWritten: number;
}

const TOUCH_SLOT = 2;

/**
 * Opens the stores of one node in the database of a Durable Object, `ctx.storage`. One at a time; tables of the same
 * object whose names do not begin with `d_engine_` are left alone.
 *
 * Throws `storageLocked` while another one is open, `storageForeign` for tables of another program or format, and
 * `storageCorrupt`; nothing has been changed then. The log is verified when it is opened.
 */
export function openDurableObjectStorage(storage: DurableObjectStorage): DurableObjectStorageEngine {
  return new ObjectStorage(new Database(storage));
}

/*
 * When is a write durable? The platform would let the object go on at once, and hold back whatever it sends until
 * the write is confirmed: responses, fetches, calls of other objects, WebSocket messages (the output gate). That is
 * relied on for the second line only. `append` and the like resolve when `storage.sync()` does, which is when the
 * gate would open, because
 *
 * - not every way out passes through the gate: chunks of a streamed response that a JavaScript source feeds are
 *   piped on as they come, and objects of one class may share an isolate and so its memory;
 * - the driver lets proposals gather while writes are under way, so that resolving early would not only be no faster
 *   for whoever waits at the other side of the gate, but write more rows.
 *
 * `sync` does not close the input gate: other events go on being delivered meanwhile.
 */
class ObjectStorage implements DurableObjectStorageEngine {
  readonly meta: DurableObjectMetaStore;
  readonly log: DurableObjectLogStore;
  readonly snapshots: DurableObjectSnapshotStore;
  readonly #db: Database;
  #ring: LogRing | null = null;

  constructor(db: Database) {
    this.#db = db;
    const ring = (): LogRing => this.#opened();
    this.meta = new DurableObjectMetaStore(db, ring);
    this.log = new DurableObjectLogStore(db, ring);
    this.snapshots = new DurableObjectSnapshotStore(db);
  }

  async commit(hardState: HardState, entries: readonly Entry[]): Promise<void> {
    this.#opened().write(hardState, entries);
    await this.#db.durable();
  }

  async touch(): Promise<void> {
    this.#db.put("d_engine_meta", [encodeRow(TOUCH_SLOT, EMPTY, () => {})]);
    await this.#db.durable();
  }

  get rowsRead(): number {
    return this.#db.rowsRead;
  }

  get rowsWritten(): number {
    return this.#db.rowsWritten;
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  /** Read when it is first asked for, and known from then on. */
  #opened(): LogRing {
    this.#db.requireUsable();
    this.#ring ??= new LogRing(this.#db);
    return this.#ring;
  }
}
