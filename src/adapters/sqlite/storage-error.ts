import { EngineError, type ErrorCode } from "../../core/errors/index.ts";

/** Primary result codes of SQLite, https://sqlite.org/rescode.html. */
const SQLITE_CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [5, "storageLocked"], // BUSY
  [6, "storageLocked"], // LOCKED
  [11, "storageCorrupt"], // CORRUPT
  [13, "storageFull"], // FULL
  [26, "storageCorrupt"], // NOTADB
]);

const SYSTEM_CODES: ReadonlyMap<string, ErrorCode> = new Map([
  ["ENOSPC", "storageFull"],
  ["EDQUOT", "storageFull"],
  ["EFBIG", "storageFull"],
]);

/** What went wrong with `path`, in the engine's words. An EngineError passes as it is, if it is about storage. */
export function storageError(error: unknown, path: string): EngineError {
  if (error instanceof EngineError) {
    // Bytes that match their checksum and still cannot be read.
    return error.code === "malformed" ? corrupt(path, error.detail ?? error.message) : error;
  }
  const { errcode, code, message } = error as { errcode?: unknown; code?: unknown; message?: unknown };
  // The low byte of an extended result code is the primary one.
  const sqlite = typeof errcode === "number" ? SQLITE_CODES.get(errcode & 0xff) : undefined;
  const system = typeof code === "string" ? SYSTEM_CODES.get(code) : undefined;
  const detail = `${path}: ${typeof message === "string" ? message : String(error)}`;
  return new EngineError(sqlite ?? system ?? "storageFailed", { detail, cause: error });
}

export function corrupt(path: string, problem: string): EngineError {
  return new EngineError("storageCorrupt", { detail: `${path}: ${problem}` });
}
