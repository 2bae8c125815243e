/*
 * What is used of Durable Objects, by its shape: the platform's own types would bring their globals to whoever
 * compiles against this library.
 */

/** What a column may hold. */
export type SqlValue = ArrayBuffer | string | number | null;

/** One statement that has been run. Not to be held across an `await`: it is no snapshot of the table then. */
export interface SqlCursor {
  raw(): Iterable<SqlValue[]>;
  readonly rowsRead: number;
  /** What is billed: one for each row inserted, changed or deleted, and for each index entry. */
  readonly rowsWritten: number;
}

/** `ctx.storage.sql`. A statement is run as it is called, synchronously; what fails throws. */
export interface SqlStorage {
  exec(query: string, ...bindings: unknown[]): SqlCursor;
}

/** `ctx.storage` of an object whose class is listed under `new_sqlite_classes`. */
export interface DurableObjectStorage {
  readonly sql: SqlStorage;
  transactionSync<T>(closure: () => T): T;
  /** Resolves when every write made so far is durable; rejects, and the object is reset, when that fails. */
  sync(): Promise<void>;
}
