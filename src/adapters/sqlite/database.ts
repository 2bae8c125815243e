import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { equalBytes } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { describeIdentity } from "../../core/node/codec/index.ts";
import type { LogBounds } from "../../core/node/index.ts";
import type { LogIndex, Term } from "../../core/raft/index.ts";
import { encodeBase, LOG_SCHEMA, LogTable } from "./log-table.ts";
import { META_SCHEMA, MetaTable } from "./meta-table.ts";
import { corrupt, storageError } from "./storage-error.ts";
import { checkWal } from "./wal-check.ts";

/** Marks the file as ours: "DEng". */
const APPLICATION_ID = 0x44456e67;
export const FORMAT_VERSION = 1;

const DATABASE_FILE = "log.db";
const LOCK_FILE = "lock";
export const SNAPSHOT_DIRECTORY = "snapshots";

/** Pages in the WAL after which a commit also moves them into the database: bounds the file, and the pause. */
const CHECKPOINT_PAGES = 1000;
/** What is left of a WAL that a large transaction has blown up. */
const WAL_BYTES_KEPT = 16 << 20;

export interface DatabaseOptions {
  readonly dir: string;
  /** Pages of 4 KiB that the database may have: lets tests fill the disk. Default: as many as SQLite can. */
  readonly maxPages?: number | undefined;
}

/** One write; several become durable in one commit. */
export interface WriteBatch {
  readonly hardState: Uint8Array | null;
  /** Packed entries, the first of which has index `firstIndex`; null: none. */
  readonly entries: Uint8Array | null;
  readonly firstIndex: LogIndex;
}

/**
 * The database of one node, and the lock on its directory. Synchronous: it lives in the thread of worker.ts. After a
 * write has failed nothing more can be read or written, because what is on the disk is unknown.
 */
export class Database {
  readonly #path: string;
  readonly #lock: DatabaseSync;
  readonly #db: DatabaseSync;
  readonly #meta: MetaTable;
  readonly #log: LogTable;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  #failure: EngineError | null = null;

  /** Takes the directory, and refuses it (changing nothing) unless it is empty or holds a sound store of ours. */
  constructor({ dir, maxPages }: DatabaseOptions) {
    this.#path = join(dir, DATABASE_FILE);
    this.#lock = lockDirectory(dir);
    try {
      this.#db = openDatabase(dir, this.#path);
    } catch (error) {
      this.#lock.close();
      throw storageError(error, this.#path);
    }
    try {
      if (maxPages !== undefined) this.#db.exec(`PRAGMA max_page_count = ${maxPages}`);
      this.#meta = new MetaTable(this.#db, this.#path);
      this.#log = new LogTable(this.#db, this.#path, this.#meta);
      this.#begin = this.#db.prepare("BEGIN IMMEDIATE");
      this.#commit = this.#db.prepare("COMMIT");
    } catch (error) {
      this.close();
      throw storageError(error, this.#path);
    }
  }

  verifyLog(): LogBounds {
    return this.#reading(() => this.#log.verify());
  }

  identity(): Uint8Array | null {
    return this.#reading(() => this.#meta.get("identity"));
  }

  hardState(): Uint8Array | null {
    return this.#reading(() => this.#meta.get("hardState"));
  }

  saveIdentity(identity: Uint8Array): void {
    const existing = this.identity();
    if (existing === null) {
      this.#writing(() => this.#meta.put("identity", identity));
    } else if (!equalBytes(existing, identity)) {
      const detail = `${this.#path} belongs to ${describeIdentity(existing)}, not to ${describeIdentity(identity)}`;
      throw new EngineError("storageForeign", { detail });
    }
  }

  /**
   * Makes all of them durable in one commit. The answer has an error for each batch that was refused and has changed
   * nothing, null for the others; a failure of the commit is thrown, and nothing of any batch may be relied on.
   */
  write(batches: readonly WriteBatch[]): (EngineError | null)[] {
    return this.#writing(() => {
      let hardState: Uint8Array | null = null;
      const outcomes = batches.map((batch) => {
        if (batch.entries !== null) {
          try {
            this.#log.checkAppend(batch.firstIndex);
          } catch (error) {
            if (error instanceof EngineError) return error;
            throw error;
          }
          this.#log.append(batch.firstIndex, batch.entries);
        }
        hardState = batch.hardState ?? hardState;
        return null;
      });
      if (hardState !== null) this.#meta.put("hardState", hardState);
      return outcomes;
    });
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): Uint8Array[] {
    return this.#reading(() => this.#log.read(from, to, maxBytes));
  }

  term(index: LogIndex): Term {
    return this.#reading(() => this.#log.term(index));
  }

  /** Moves the log's beginning; {@link trimStep} frees the space. */
  compact(to: LogIndex): void {
    if (this.#reading(() => this.#log.checkCompact(to))) this.#writing(() => this.#log.compact(to));
  }

  reset(index: LogIndex, term: Term): void {
    this.#writing(() => this.#log.reset(index, term));
  }

  /** A bounded part of the cleaning up after compaction; false once there is nothing to do. */
  trimStep(): boolean {
    return this.#writing(() => this.#log.trimStep());
  }

  close(): void {
    this.#db.close();
    this.#lock.close();
  }

  #reading<T>(read: () => T): T {
    this.#refuseIfFailed();
    try {
      return read();
    } catch (error) {
      throw storageError(error, this.#path);
    }
  }

  #writing<T>(write: () => T): T {
    this.#refuseIfFailed();
    try {
      this.#begin.run();
      const result = write();
      this.#commit.run();
      return result;
    } catch (error) {
      this.#failure = storageError(error, this.#path);
      throw this.#failure;
    }
  }

  #refuseIfFailed(): void {
    if (this.#failure === null) return;
    throw new EngineError("storageFailed", { detail: `an earlier write failed (${this.#failure.message})` });
  }
}

/**
 * The lock is SQLite's own lock on an empty file that holds nothing else: the system drops it with the process,
 * however that ends. Taken before anything else is looked at.
 */
function lockDirectory(dir: string): DatabaseSync {
  const path = join(dir, LOCK_FILE);
  let lock: DatabaseSync | undefined;
  try {
    makeDirectory(dir);
    lock = new DatabaseSync(path);
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    const failure = storageError(error, path);
    if (failure.code !== "storageLocked") throw failure;
    throw new EngineError("storageLocked", { detail: dir, cause: error });
  }
}

function openDatabase(dir: string, path: string): DatabaseSync {
  const isNew = !existsSync(path);
  if (isNew) refuseRemains(dir, path);
  else checkWal(`${path}-wal`);
  const db = new DatabaseSync(path);
  try {
    // Exclusive from the first access on, so that the WAL's index is kept in memory and no lock is taken again.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF");
    const applicationId = pragma(db, "application_id");
    const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
    // A file without tables is one whose creation was interrupted.
    if (applicationId === 0 && tables.n === 0) {
      createTables(db, path);
      syncDirectory(dir);
    } else {
      checkFormat(db, path, applicationId);
    }
    configure(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A store of which only parts are left must not be taken for a new one. */
function refuseRemains(dir: string, path: string): void {
  const snapshots = join(dir, SNAPSHOT_DIRECTORY);
  const remains =
    existsSync(`${path}-wal`) ||
    (existsSync(snapshots) && readdirSync(snapshots).some((name) => name.endsWith(".snap")));
  if (remains) throw corrupt(path, "it is missing, while other files of the store are there");
}

function createTables(db: DatabaseSync, path: string): void {
  db.exec(`PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    BEGIN;${META_SCHEMA};${LOG_SCHEMA};
    PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT_VERSION}`);
  new MetaTable(db, path).put("base", encodeBase(0, 0));
  db.exec("COMMIT");
}

function checkFormat(db: DatabaseSync, path: string, applicationId: number): void {
  if (applicationId !== APPLICATION_ID) {
    throw new EngineError("storageForeign", { detail: `${path} is a database of another program` });
  }
  const version = pragma(db, "user_version");
  if (version !== FORMAT_VERSION) {
    const detail = `${path} has format version ${version}, this build reads version ${FORMAT_VERSION}`;
    throw new EngineError("storageForeign", { detail });
  }
  const found = db.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
  if (found.quick_check !== "ok") throw corrupt(path, found.quick_check.replaceAll(/\s+/g, " "));
}

function configure(db: DatabaseSync): void {
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    PRAGMA journal_size_limit = ${WAL_BYTES_KEPT};
    PRAGMA wal_checkpoint(TRUNCATE)`);
  // The checkpoint above is not for speed: it removes the frames of writes that were torn by a crash, which the
  // next WAL check could not tell from those of acknowledged ones.
}

function pragma(db: DatabaseSync, name: "application_id" | "user_version"): number {
  return (db.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[name]!;
}

function makeDirectory(dir: string): void {
  if (existsSync(dir)) return;
  mkdirSync(dir, { recursive: true });
  syncDirectory(dirname(dir));
}

function syncDirectory(dir: string): void {
  // Windows has no way to sync a directory, and no need.
  if (process.platform === "win32") return;
  const handle = openSync(dir, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
