import { setTimeout as sleep } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { CliError } from "./exit-codes.ts";
import { integer, object } from "./replies.ts";

/** A lease that is renewed in the background for as long as a command needs it. */
export class Session {
  readonly lease: string;
  readonly #api: ApiClient;
  readonly #ttlMs: number;
  readonly #over = new AbortController();
  readonly #lost = new AbortController();
  /** Until then nobody can have ended it. */
  #safeUntilMs: number;

  static async begin(api: ApiClient, ttlSeconds: number): Promise<Session> {
    const sentMs = performance.now();
    const reply = await api.write("/v3/lease/grant", { TTL: ttlSeconds });
    return new Session(api, String(integer(reply, "ID")), Number(integer(reply, "TTL")) * 1000, sentMs);
  }

  private constructor(api: ApiClient, lease: string, ttlMs: number, sentMs: number) {
    this.#api = api;
    this.lease = lease;
    this.#ttlMs = ttlMs;
    this.#safeUntilMs = sentMs + ttlMs;
    void this.#renew();
  }

  /** Aborts when the lease has ended, or may have: what rests on it must stop. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async #renew(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await sleep(this.#ttlMs / 3, undefined, { signal: this.#over.signal }).catch(() => {});
      if (this.#over.signal.aborted) return;
      const sentMs = performance.now();
      const alive = await this.#attempt();
      if (alive === true) this.#safeUntilMs = sentMs + this.#ttlMs;
      if (alive === false || performance.now() >= this.#safeUntilMs) return this.#lost.abort();
    }
  }

  /** Null: nobody could say. */
  async #attempt(): Promise<boolean | null> {
    const call = this.#api.read("/v3/lease/keepalive", { ID: this.lease });
    const patience = sleep(Math.max(0, this.#safeUntilMs - performance.now()), null, { ref: false });
    try {
      const reply = await Promise.race([call, patience]);
      return reply === null ? null : integer(object(reply, "result"), "TTL") > 0n;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      return null;
    } finally {
      call.catch(() => {});
    }
  }

  /** Gives the lease back, and with it everything that rests on it. */
  async end(): Promise<void> {
    this.#over.abort();
    await this.#api.write("/v3/lease/revoke", { ID: this.lease }).catch(() => {});
  }
}
