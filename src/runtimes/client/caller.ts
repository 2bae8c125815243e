import { EngineError } from "../../core/errors/index.ts";
import { Patience, reasonOf, sleep } from "../../core/node/client/index.ts";
import type { Clock, WriteOptions } from "../../core/node/index.ts";
// Not by the index: where nothing is bundled that would load the whole store.
import { isIdempotencyKey } from "../../core/kv/idempotency-key.ts";
import type { Call, Reply } from "./calls.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Exchange } from "./exchange.ts";
import { Turnstile } from "./turnstile.ts";

export interface CallerOptions {
  readonly exchange: Exchange;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly maxConcurrentCalls: number;
  readonly maxWaitingCalls: number;
}

/** Shorter, no attempt is worth its connection. */
const MIN_ATTEMPT_MS = 20;

/**
 * Calls with as many attempts as their time allows. What does no harm when it is done twice is asked of one endpoint
 * after the other, as long as the error may pass; and so is a write under an idempotency key. Any other write is sent
 * again only after an error which says that it was not applied and will not be.
 */
export class Caller {
  readonly #options: CallerOptions;
  readonly #turnstile: Turnstile;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#turnstile = new Turnstile(options.maxConcurrentCalls, options.maxWaitingCalls);
  }

  /** @param repeatable in the place of what is known of the method. */
  async call<Req, Res extends Reply>(
    call: Call<Req, Res>,
    request: Req,
    options: WriteOptions,
    repeatable: boolean = call.repeatable,
  ): Promise<Res> {
    const { clock, timeoutMs } = this.#options;
    const headers = headersOf(options);
    const named = options.idempotencyKey !== undefined;
    const body = call.encode(request);
    const limitMs = options.timeoutMs ?? timeoutMs;
    const deadlineMs = clock.nowMs() + limitMs;
    const patience = new Patience(clock, [options.signal], limitMs);
    try {
      // Nothing has been sent: not even a write is in doubt.
      if (!(await this.#turnstile.enter(patience.signal))) throw neverSent(patience.signal);
      try {
        const { signal } = patience;
        return await this.#attempts({ call, request, body, headers, repeatable, named, deadlineMs, signal });
      } finally {
        this.#turnstile.leave();
      }
    } finally {
      patience.end();
    }
  }

  async #attempts<Req, Res extends Reply>(work: {
    readonly call: Call<Req, Res>;
    readonly request: Req;
    readonly body: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly repeatable: boolean;
    readonly named: boolean;
    readonly deadlineMs: number;
    readonly signal: AbortSignal;
  }): Promise<Res> {
    const { call, request, body, headers, repeatable, named, deadlineMs, signal } = work;
    const { endpoints, clock } = this.#options;
    for (let last: EngineError | null = null; ;) {
      const { url, restMs } = endpoints.choose();
      if (restMs > 0) {
        if (last !== null && clock.nowMs() + restMs >= deadlineMs) throw last;
        await sleep(clock, restMs, signal);
      }
      // What the last attempt met says more than that time is up.
      if (signal.aborted) throw isTimeout(signal) ? (last ?? neverSent(signal)) : reasonOf(signal);
      const leftMs = Math.max(1, deadlineMs - clock.nowMs());
      try {
        const timeoutMs = repeatable || named ? this.#attemptMs(leftMs) : leftMs;
        const reply = await this.#attempt(url, call, { request, body, headers }, { signal, timeoutMs });
        endpoints.worked(url);
        return reply;
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        if (signal.aborted && !isTimeout(signal)) throw reasonOf(signal);
        if (!error.retryable) endpoints.worked(url);
        else endpoints.failed(url, error);
        // What a later attempt met does not lift the doubt that an earlier one left.
        if (!named || last?.maybeApplied !== true || error.maybeApplied) last = error;
        if (!error.retryable || (error.maybeApplied && !repeatable && !named)) throw last;
      }
    }
  }

  /** One attempt at one endpoint. */
  async ask<Req, Res extends Reply>(
    url: string,
    call: Call<Req, Res>,
    request: Req,
    limits: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<Res> {
    return await this.#attempt(url, call, { request, body: call.encode(request), headers: {} }, limits);
  }

  async #attempt<Req, Res extends Reply>(
    url: string,
    { path, decode }: Call<Req, Res>,
    {
      request,
      body,
      headers,
    }: {
      readonly request: Req;
      readonly body: string;
      readonly headers: Readonly<Record<string, string>>;
    },
    limits: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<Res> {
    const text = await this.#options.exchange.post(`${url}/v3${path}`, body, headers, limits);
    const reply = decode(text, request);
    if (reply.header.memberId === undefined) {
      throw new EngineError("badReply", { detail: `${url} is no d-engine or etcd: its reply has no header` });
    }
    return reply;
  }

  /** Leaves time for another endpoint where there is one. */
  #attemptMs(leftMs: number): number {
    if (this.#options.endpoints.all.length === 1) return leftMs;
    return Math.min(this.#options.attemptTimeoutMs, Math.max(MIN_ATTEMPT_MS, leftMs / 2));
  }
}

/** @throws EngineError `invalidArgument` for a key that could not be sent. */
function headersOf({ idempotencyKey: key }: WriteOptions): Readonly<Record<string, string>> {
  if (key === undefined) return {};
  if (!isIdempotencyKey(key)) {
    const detail = "an idempotency key is 1 to 64 printable ASCII characters without quotes and backslashes";
    throw new EngineError("invalidArgument", { detail });
  }
  return { "Idempotency-Key": `"${key}"` };
}

function isTimeout(signal: AbortSignal): boolean {
  return reasonOf(signal).code === "timeout";
}

/** The end of a call that has waited in vain for its turn. */
function neverSent(signal: AbortSignal): EngineError {
  return isTimeout(signal)
    ? new EngineError("unreachable", { detail: "it waited for its turn, and time was up" })
    : reasonOf(signal);
}
