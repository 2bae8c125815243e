import { EngineError, type ErrorCode } from "../errors/index.ts";
import type { CallOptions } from "./engine.ts";

/** Somebody who waits for an answer: it comes, or the deadline does, or they give up. Settles once. */
export class Waiter<T> {
  readonly promise: Promise<T>;
  readonly deadlineMs: number;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #settled = false;
  #unlisten: (() => void) | undefined;

  constructor(deadlineMs: number, signal: AbortSignal | undefined) {
    this.deadlineMs = deadlineMs;
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal === undefined) return;
    const onAbort = (): void => this.fail("canceled");
    if (signal.aborted) onAbort();
    else {
      signal.addEventListener("abort", onAbort, { once: true });
      this.#unlisten = () => signal.removeEventListener("abort", onAbort);
    }
  }

  get settled(): boolean {
    return this.#settled;
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  fail(code: ErrorCode, detail?: string, retryAfterMs?: number): void {
    if (this.#settled) return;
    this.reject(
      new EngineError(code, {
        ...(detail === undefined ? {} : { detail }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      }),
    );
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#unlisten?.();
    return true;
  }
}

/** When a call that begins now must have been answered. */
export function deadlineOf(call: CallOptions, nowMs: number, defaultTimeoutMs: number): number {
  return nowMs + (call.timeoutMs ?? defaultTimeoutMs);
}
