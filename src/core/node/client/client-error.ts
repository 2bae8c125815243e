import { EngineError, type ErrorCode, type RetryableCode } from "../../errors/index.ts";

/**
 * Every error of a client, told apart by `code`: switching on it narrows the rest. `retryable` says whether the same
 * request may succeed later or elsewhere, `maybeApplied` whether a write may have been done, `retryAfterMs` when to come
 * back, and `leaderUrls` where the leader is, as far as that was known.
 */
export type ClientError = {
  [C in ErrorCode]: EngineError & {
    readonly code: C;
    readonly retryable: C extends RetryableCode ? true : false;
    /** Of `compacted` alone: the oldest revision that can still be had, where it is known. */
    readonly compactRevision: C extends "compacted" ? number | undefined : undefined;
  };
}[ErrorCode];

/**
 * Whether something caught came from a client or an engine: if so, its `code` tells the rest. Of anything else (a
 * programmer's mistake, a codec's error) it is false.
 */
export function isClientError(error: unknown): error is ClientError {
  return error instanceof EngineError;
}
