import { assert, EngineError } from "../../core/errors/index.ts";
import type { DurableObjectStorage, SqlValue } from "./platform.ts";
import { checkBody, decodeHead, type Head, MAX_BODY_BYTES, type Row } from "./row-codec.ts";
import { corrupt, storageError } from "./storage-error.ts";

export type TableName = "d_engine_log" | "d_engine_meta" | "d_engine_snapshots";

const TABLES: readonly TableName[] = ["d_engine_log", "d_engine_meta", "d_engine_snapshots"];

/** An INTEGER PRIMARY KEY is the table itself: one row billed for each row written, and no index. */
const schemaOf = (table: TableName): string =>
  `CREATE TABLE ${table} (slot INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL)`;

/** Storages that are open: two that write the same slots would destroy each other's log. */
const OPEN = new WeakSet<object>();

/**
 * The object's database: three tables of rows as row-codec.ts has them. Writes take effect at once and in order;
 * {@link durable} tells when they are safe. After a write has failed nothing more can be read or written, because
 * what the database holds is unknown; the platform resets the object besides.
 */
export class Database {
  readonly #storage: DurableObjectStorage;
  #failure: EngineError | null = null;
  #closed = false;
  #rowsRead = 0;
  #rowsWritten = 0;
  #durable: Promise<void> = Promise.resolve();

  /** Makes the tables in a new object. Throws `storageLocked`, `storageForeign`, `storageCorrupt`. */
  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    if (OPEN.has(storage.sql)) throw new EngineError("storageLocked", { detail: "this object's storage" });
    this.#prepareTables();
    OPEN.add(storage.sql);
  }

  get rowsRead(): number {
    return this.#rowsRead;
  }

  get rowsWritten(): number {
    return this.#rowsWritten;
  }

  /** The heads of all rows. Without an `await` before the last. */
  *heads(table: TableName): Generator<{ slot: number; head: Head }, void, undefined> {
    for (const [slot, head] of this.#select(`SELECT slot, head FROM ${table}`)) {
      const name = rowName(table, slot as number);
      if (!(head instanceof ArrayBuffer)) throw corrupt(`${name} has no head`);
      yield { slot: slot as number, head: decodeHead(name, slot as number, head) };
    }
  }

  /** One row, checked; null if it is not there. */
  row(table: TableName, slot: number): { head: Head; body: Uint8Array } | null {
    for (const [head, body] of this.#select(`SELECT head, body FROM ${table} WHERE slot = ?`, slot)) {
      const name = rowName(table, slot);
      if (!(head instanceof ArrayBuffer && body instanceof ArrayBuffer)) {
        throw corrupt(`${name} is not made of bytes`);
      }
      const decoded = decodeHead(name, slot, head);
      return { head: decoded, body: checkBody(decoded, body) };
    }
    return null;
  }

  /** Writes rows over what their slots held before, all of them or none. */
  put(table: TableName, rows: readonly Row[]): void {
    const query = `INSERT INTO ${table} (slot, head, body) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET head = excluded.head, body = excluded.body`;
    const run = (): void => {
      for (const { slot, head, body } of rows) {
        assert(body.length <= MAX_BODY_BYTES, "a row is cut to what the platform takes");
        this.#rowsWritten += this.#storage.sql.exec(query, slot, head, body).rowsWritten;
      }
    };
    this.requireUsable();
    try {
      if (rows.length === 1) run();
      else this.#storage.transactionSync(run);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** An empty transaction: goes the way of a write, without a row. */
  touch(): void {
    this.requireUsable();
    try {
      this.#storage.transactionSync(() => {});
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Resolves when all that was written before is durable, and after every earlier call has. */
  durable(): Promise<void> {
    const synced = Promise.all([this.#durable, this.#storage.sync()]).then(
      () => {},
      (error: unknown) => {
        throw this.#fail(error);
      },
    );
    this.#durable = synced;
    // Whoever called learns of it; nobody else need look.
    synced.catch(() => {});
    return synced;
  }

  requireUsable(): void {
    if (this.#closed) throw new EngineError("storageFailed", { detail: "the store is closed" });
    if (this.#failure !== null) {
      throw new EngineError("storageFailed", {
        detail: `an earlier write failed (${this.#failure.message})`,
      });
    }
  }

  /** Waits for writes under way. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#durable.catch(() => {});
    OPEN.delete(this.#storage.sql);
  }

  *#select(query: string, ...bindings: SqlValue[]): Generator<SqlValue[], void, undefined> {
    this.requireUsable();
    try {
      const cursor = this.#storage.sql.exec(query, ...bindings);
      try {
        yield* cursor.raw();
      } finally {
        this.#rowsRead += cursor.rowsRead;
      }
    } catch (error) {
      throw storageError(error);
    }
  }

  #fail(error: unknown): EngineError {
    this.#failure ??= storageError(error);
    return this.#failure;
  }

  #prepareTables(): void {
    const { sql } = this.#storage;
    const found = new Map<SqlValue, SqlValue>();
    try {
      const query = `SELECT name, sql FROM sqlite_master WHERE name IN (?, ?, ?)`;
      for (const [name, schema] of sql.exec(query, ...TABLES).raw()) found.set(name!, schema!);
    } catch (error) {
      throw storageError(error);
    }
    for (const table of TABLES) {
      if (!found.has(table) || found.get(table) === schemaOf(table)) continue;
      const detail = `the object has a table ${table} of another program or version`;
      throw new EngineError("storageForeign", { detail });
    }
    if (found.size === TABLES.length) return;
    // They are made in one step: a store of which only parts are left must not be taken for a new one.
    const missing = TABLES.filter((table) => !found.has(table));
    if (found.size > 0) throw corrupt(`${missing.join(", ")} is missing`);
    try {
      this.#storage.transactionSync(() => {
        for (const table of TABLES) this.#rowsWritten += sql.exec(schemaOf(table)).rowsWritten;
      });
    } catch (error) {
      throw this.#fail(error);
    }
  }
}

function rowName(table: TableName, slot: number): string {
  return `row ${slot} of ${table}`;
}
