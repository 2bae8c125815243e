import { EngineError } from "../../errors/index.ts";
import type { CallOptions, LeaseTimeToLiveResponse } from "../engine.ts";
import type { ClientEngine } from "./client-engine.ts";
import { ATTEMPT_MS, backoffMs, Patience, patiently, sleep, type Surroundings } from "./waiting.ts";

/** What granting a lease may be given. */
export interface LeaseOptions extends CallOptions {
  /** How long the lease lives when nobody renews it, in milliseconds. Default: 10,000. */
  readonly ttlMs?: number;
}

/** What is left of a lease, and what hangs on it. */
export type LeaseInfo = Pick<LeaseTimeToLiveResponse, "remainingMs" | "ttlMs" | "keys">;

const DEFAULT_TTL_MS = 10_000;
const REVOKE_MS = 10_000;
/** Ids are positive: other tools print them as signed numbers. */
const ID_BITS = 63;

/**
 * A lease: keys that were put with it go when it ends.
 *
 * Whoever does something on the strength of it must be told when it is lost: `keepAlive()` renews it in the background,
 * and `lost` aborts as soon as it has ended, or may have, because no renewal has come through in time. That is early
 * rather than late: time counts from when the last successful renewal was *sent*. A process that is paused is told
 * when it wakes, so what must not be done twice needs a fencing token besides.
 */
export class Lease {
  readonly id: bigint;
  readonly #engine: ClientEngine;
  readonly #surroundings: Surroundings;
  readonly #lost = new AbortController();
  /** Aborts when nobody wants it renewed any more. */
  #keeping: AbortController | null = null;
  readonly #closed: AbortSignal;
  #ttlMs: number;
  /** It cannot have ended before, on the client's clock. */
  #safeUntilMs: number;

  /** Made by `client.grantLease`. */
  constructor(
    engine: ClientEngine,
    surroundings: Surroundings,
    closed: AbortSignal,
    granted: { readonly id: bigint; readonly ttlMs: number; readonly sentMs: number },
  ) {
    this.#engine = engine;
    this.#surroundings = surroundings;
    this.#closed = closed;
    this.id = granted.id;
    this.#ttlMs = granted.ttlMs;
    this.#safeUntilMs = granted.sentMs + granted.ttlMs;
  }

  /** What was granted, which may be more than was asked for. */
  get ttlMs(): number {
    return this.#ttlMs;
  }

  /** It lives at least so long; 0: it may have ended. */
  get remainingMs(): number {
    if (this.#lost.signal.aborted) return 0;
    return Math.max(0, this.#safeUntilMs - this.#surroundings.clock.nowMs());
  }

  /** Aborts, with an EngineError `leaseLost` as its reason, when a lease that is kept alive has ended, or may have. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Renews it whenever a third of its time is over, until `stop`, `revoke` or the client's `close`. */
  keepAlive(): this {
    if (this.#keeping === null && !this.#lost.signal.aborted) {
      this.#keeping = new AbortController();
      void this.#keep(this.#keeping.signal);
    }
    return this;
  }

  /** Renews it no more; it ends when its time is over. */
  stop(): void {
    this.#keeping?.abort();
    this.#keeping = null;
  }

  /** Renews it once. @returns how long it lives from now on, in milliseconds. @throws EngineError `leaseLost`. */
  async renew(options?: CallOptions): Promise<number> {
    const sentMs = this.#surroundings.clock.nowMs();
    const { ttlMs } = await this.#engine.leaseKeepAlive(this.id, options);
    if (ttlMs <= 0) throw this.#lose("it is gone");
    this.#ttlMs = ttlMs;
    this.#safeUntilMs = Math.max(this.#safeUntilMs, sentMs + ttlMs);
    return this.remainingMs;
  }

  /** What the group says of it; null when there is no such lease any more. */
  async info(options: CallOptions & { readonly keys?: boolean } = {}): Promise<LeaseInfo | null> {
    const { keys = false, ...call } = options;
    const found = await this.#engine.leaseTimeToLive({ id: this.id, keys }, call);
    if (found.remainingMs < 0) return null;
    return { remainingMs: found.remainingMs, ttlMs: found.ttlMs, keys: found.keys };
  }

  /**
   * Ends it, and with it every key that was put with it, in one step. It may have ended before. Repeated after errors
   * that pass, since ending it twice is no harm; `timeoutMs` is for all of it. Default: 10 s.
   */
  async revoke({ signal, timeoutMs = REVOKE_MS }: CallOptions = {}): Promise<void> {
    this.stop();
    const patience = new Patience(this.#surroundings.clock, [signal], timeoutMs);
    try {
      const call = { signal: patience.signal, timeoutMs: Math.min(timeoutMs, ATTEMPT_MS) };
      const end = async (): Promise<unknown> => await this.#engine.leaseRevoke({ id: this.id }, call);
      await patiently(end, this.#surroundings, patience.signal);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "leaseNotFound") throw error;
    } finally {
      patience.end();
    }
    this.#safeUntilMs = 0;
  }

  async #keep(stopped: AbortSignal): Promise<void> {
    const { clock, random } = this.#surroundings;
    const over = new Patience(clock, [stopped, this.#closed]);
    try {
      for (let failures = 0; !over.signal.aborted;) {
        const pauseMs = failures === 0 ? this.#ttlMs / 3 : backoffMs(failures, random, this.#ttlMs / 6);
        await sleep(clock, Math.min(pauseMs, this.remainingMs), over.signal);
        if (over.signal.aborted || this.#lost.signal.aborted) return;
        const timeoutMs = this.remainingMs;
        if (timeoutMs === 0) return void this.#lose("it was not renewed in time");
        failures = (await this.#attempt(timeoutMs, over.signal)) ? 0 : failures + 1;
      }
    } finally {
      over.end();
    }
  }

  async #attempt(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.renew({ timeoutMs, signal });
      return true;
    } catch {
      // Whatever it was: as long as the lease may live, the next attempt may succeed.
      return false;
    }
  }

  #lose(detail: string): EngineError {
    const error = new EngineError("leaseLost", { detail });
    this.stop();
    this.#lost.abort(error);
    return error;
  }
}

/**
 * Grants a lease. The client names it, so that an attempt whose outcome is not known can be repeated: where the lease
 * is there already, the earlier attempt made it.
 *
 * @throws EngineError `invalidArgument`, `leaseTtlTooLarge`, `timeout`, `canceled`.
 */
export async function grantLease(
  engine: ClientEngine,
  surroundings: Surroundings,
  closed: AbortSignal,
  options: LeaseOptions & { readonly defaultTimeoutMs: number },
): Promise<Lease> {
  const { clock, random } = surroundings;
  const { ttlMs = DEFAULT_TTL_MS, timeoutMs = options.defaultTimeoutMs, signal } = options;
  const id = BigInt.asUintN(ID_BITS, random.id()) || 1n;
  const patience = new Patience(clock, [signal, closed], timeoutMs);
  try {
    const call = { signal: patience.signal, timeoutMs: Math.min(timeoutMs, ATTEMPT_MS) };
    const attempt = async (failures: number): Promise<Lease> => {
      const sentMs = clock.nowMs();
      const granted = await grantOrFind(engine, { id, ttlMs }, failures > 0, call);
      return new Lease(engine, surroundings, closed, { id, ttlMs: granted, sentMs });
    };
    return await patiently(attempt, surroundings, patience.signal);
  } finally {
    patience.end();
  }
}

async function grantOrFind(
  engine: ClientEngine,
  request: { readonly id: bigint; readonly ttlMs: number },
  isRepeated: boolean,
  call: CallOptions,
): Promise<number> {
  try {
    return (await engine.leaseGrant(request, call)).ttlMs;
  } catch (error) {
    if (!isRepeated || !(error instanceof EngineError) || error.code !== "leaseExists") throw error;
    const { ttlMs } = await engine.leaseKeepAlive(request.id, call);
    if (ttlMs <= 0)
      throw new EngineError("leaseLost", { detail: "it ended before it was known to be granted" });
    return ttlMs;
  }
}
