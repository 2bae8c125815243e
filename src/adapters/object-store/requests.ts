import { EngineError } from "../../core/errors/index.ts";
import type { ObjectVersion, PutOutcome } from "./object-store.ts";

/*
 * How the dialects ask: one request at a time, with the SDKs' own repetitions off, so that what is repeated, when and
 * how often is decided here and nowhere else.
 */

/**
 * What a failed request means, said by its dialect.
 *
 * - `absent`: there is no such object.
 * - `conditionFailed`: the condition of a put did not hold.
 * - `busy`: the store did nothing, and wants to be asked again (429, S3's 409 and 503 SlowDown).
 * - `unclear`: the reply was lost or says nothing; a put may have been done, or may yet be.
 * - `rejected`: it was not done and never will be; `detail` says how to mend that.
 */
export type RequestFailure =
  | { readonly type: "absent" }
  | { readonly type: "conditionFailed" }
  | { readonly type: "busy" }
  | { readonly type: "unclear" }
  | { readonly type: "rejected"; readonly detail: string };

/** Which store is asked, and how it says that something failed. */
export interface ObjectRequestsOptions {
  /** For messages: `s3://bucket/prefix` and the like. */
  readonly location: string;
  readonly explain: (error: unknown) => RequestFailure;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** Makes one request, and ends it when the signal says so. */
export type Attempt<T> = (signal: AbortSignal) => Promise<T>;

/** With pauses of up to 0.1, 0.2, … 1.6 s between them: past the second that GCS and R2 want between two writes. */
const MAX_ATTEMPTS = 6;
const FIRST_PAUSE_MS = 100;
/** What a caller is told to wait when the store is still busy after all attempts. */
const BUSY_AFTER_MS = 2000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Asks a store, and decides what is asked again: see {@link RequestFailure}. Its errors are those of an `ObjectStore`.
 */
export class ObjectRequests {
  readonly location: string;
  readonly #explain: (error: unknown) => RequestFailure;
  readonly #timeoutMs: number;
  /** Ends each request and each pause that is under way. */
  readonly #underWay: Set<(reason: Error) => void> = new Set();
  #closed = false;

  constructor({ location, explain, timeoutMs }: ObjectRequestsOptions) {
    if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
      throw new EngineError("invalidConfig", {
        detail: `timeoutMs must be 1 to ${MAX_TIMEOUT_MS}, not ${timeoutMs}`,
      });
    }
    this.location = location;
    this.#explain = explain;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * A request that may be repeated; null when there is no such object. Rejects with `storageThrottled` or
   * `storageUnavailable` when all attempts failed so, with `storageFailed` when the store refuses, and with
   * `canceled` by the signal.
   */
  async read<T>(attempt: Attempt<T>, signal?: AbortSignal): Promise<T | null> {
    for (let made = 1; ; made++) {
      try {
        return await this.#once(attempt, signal);
      } catch (error) {
        if (error instanceof EngineError) throw error;
        if (signal?.aborted === true) throw new EngineError("canceled", { cause: error });
        const failure = this.#explain(error);
        if (failure.type === "absent") return null;
        if (failure.type === "rejected") throw this.#refusal(failure.detail, error);
        if (failure.type === "conditionFailed") throw this.#refusal(messageOf(error), error);
        if (made === MAX_ATTEMPTS)
          throw failure.type === "busy" ? this.#throttled(error) : this.#silence(error);
        await this.#pause(made, signal);
      }
    }
  }

  /**
   * A conditional put; the attempt's null stands for a reply that names no version. It is repeated only while the
   * store says that it did nothing. Rejects with `storageThrottled` when that does not end, and with `storageFailed`
   * when the store refuses: it was not written then.
   */
  async put(attempt: Attempt<ObjectVersion | null>, signal?: AbortSignal): Promise<PutOutcome> {
    for (let made = 1; ; made++) {
      try {
        const version = await this.#once(attempt, signal);
        if (version !== null) return { type: "written", version };
        return { type: "unknown", cause: new Error(`${this.location}: the reply to a put names no version`) };
      } catch (error) {
        if (error instanceof EngineError) throw error;
        const failure = this.#explain(error);
        if (failure.type === "unclear") return { type: "unknown", cause: error };
        // What is not there has not the version that it was to have.
        if (failure.type === "conditionFailed" || failure.type === "absent") return { type: "refused" };
        if (failure.type === "rejected") throw this.#refusal(failure.detail, error);
        if (made === MAX_ATTEMPTS) throw this.#throttled(error);
        await this.#pause(made, signal);
      }
    }
  }

  /** Ends what is under way; whatever is asked later rejects with `storageFailed`. */
  close(): void {
    this.#closed = true;
    for (const end of this.#underWay) end(new Error("closed"));
  }

  async #once<T>(attempt: Attempt<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#closed) throw new EngineError("storageFailed", { detail: `${this.location} has been closed` });
    const controller = new AbortController();
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const end = (reason: Error): void => {
      controller.abort(reason);
      reject(reason);
    };
    const cancel = (): void => end(new Error("canceled by the caller"));
    const timer = setTimeout(() => end(new Error(`no reply in ${this.#timeoutMs} ms`)), this.#timeoutMs);
    signal?.addEventListener("abort", cancel);
    this.#underWay.add(end);
    try {
      if (signal?.aborted === true) throw new Error("canceled by the caller, before it was sent");
      // Raced, because not every SDK listens to a signal, and no put may hang for ever.
      return await Promise.race([ended, attempt(controller.signal)]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      this.#underWay.delete(end);
    }
  }

  /** At random, so that those who were turned away together do not come back together. The signal ends it early. */
  async #pause(made: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) return;
    const ms = FIRST_PAUSE_MS * 2 ** (made - 1) * (0.5 + random() / 2);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    this.#underWay.add(end);
    await over;
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    this.#underWay.delete(end);
  }

  #refusal(detail: string, cause: unknown): EngineError {
    return new EngineError("storageFailed", { detail: `${this.location}: ${detail}`, cause });
  }

  #throttled(cause: unknown): EngineError {
    const detail = `${this.location}: ${messageOf(cause)}`;
    return new EngineError("storageThrottled", { detail, retryAfterMs: BUSY_AFTER_MS, cause });
  }

  #silence(cause: unknown): EngineError {
    return new EngineError("storageUnavailable", { detail: `${this.location}: ${messageOf(cause)}`, cause });
  }
}

/** Uniform in [0, 1). Web Crypto's, because every platform has it and nothing here is to be replayed. */
function random(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** The message of whatever was thrown; an AggregateError of Node's sockets has none of its own. */
export function messageOf(error: unknown): string {
  const { name, message, code } = error as { name?: unknown; message?: unknown; code?: unknown };
  for (const text of [message, code, name]) if (typeof text === "string" && text !== "") return text;
  return String(error);
}

const MAX_PARALLEL = 16;

/** Does it to every item, a few at a time; rejects with the first failure, once no more are under way. */
export async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await act(item);
  };
  const workers = Array.from({ length: Math.min(MAX_PARALLEL, items.length) }, worker);
  const failed = (await Promise.allSettled(workers)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}
