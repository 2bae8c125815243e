import { EngineError, type ErrorCode } from "../../core/errors/index.ts";

/** SQLite's result codes, with which the platform ends its messages. https://sqlite.org/rescode.html */
const SQLITE_CODES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/\bSQLITE_FULL\b/, "storageFull"],
  [/\bSQLITE_(CORRUPT|NOTADB)\b/, "storageCorrupt"],
];

/** What went wrong with the object's database, in the engine's words. */
export function storageError(error: unknown): EngineError {
  if (error instanceof EngineError) {
    // Bytes that match their checksum and still cannot be read.
    return error.code === "malformed" ? corrupt(error.detail ?? error.message) : error;
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = SQLITE_CODES.find(([pattern]) => pattern.test(message))?.[1] ?? "storageFailed";
  return new EngineError(code, { detail: message, cause: error });
}

export function corrupt(problem: string): EngineError {
  return new EngineError("storageCorrupt", { detail: `the object's database: ${problem}` });
}

/** What matches its checksum and still makes no sense is damage as well. */
export function decoding<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storageError(error);
  }
}
