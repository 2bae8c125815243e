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
   * Costs one row for all calls that gather while one is under way: whoever has been replaced finds out by a write
   * that is confirmed, and by nothing less, since the object's database is read without asking anyone.
   */
  readonly confirmOwner: () => Promise<void>;
  /**
   * Touches the storage, for messages that rest on what was written before: the platform refuses this to an object
   * that is known to have been replaced, and holds back what is sent afterwards as it would behind a write. It costs
   * no row, and is no proof: that is {@link confirmOwner}.
   */
  touch(): void;
  /** Rows that were read since opening, as the platform bills them. */
  readonly rowsRead: number;
  /** Rows that were written since opening, as the platform bills them. */
  readonly rowsWritten: number;
}

/** Of the row that says nothing, and is written to see whether it can be. */
const PROBE_SLOT = 2;

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
 * - nothing promises that every way out passes through the gate: calls by RPC once did not (workerd, pull request
 *   2062), a body that is already being streamed need not, and objects of one class may share an isolate's memory;
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
  /** The one under way, which never rejects, and the one after it. */
  #probe: Promise<void> = Promise.resolve();
  #nextProbe: Promise<void> | null = null;

  /** Without a receiver, since the driver keeps it by itself. */
  readonly confirmOwner = (): Promise<void> => {
    // Only a write that is begun after the call says anything: calls that come meanwhile share the next one.
    this.#nextProbe ??= this.#probe.then(() => {
      this.#nextProbe = null;
      const probe = this.#writeProbe();
      this.#probe = probe.catch(() => {});
      return probe;
    });
    return this.#nextProbe;
  };

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

  async #writeProbe(): Promise<void> {
    this.#db.put("d_engine_meta", [encodeRow(PROBE_SLOT, EMPTY, () => {})]);
    await this.#db.durable();
  }

  touch(): void {
    this.#db.touch();
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
