// Servers that do what a test tells them, behind a `fetch` that needs no network, and time that passes at once.

import type { Cancel, Clock, Random } from "../../../src/core/node/index.ts";
import type { Client } from "../../../src/core/node/index.ts";
import { type ConnectOptions, createClient } from "../../../src/runtimes/client/index.ts";

/** What a server was asked. */
export interface Asked {
  readonly url: string;
  readonly path: string;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
  readonly atMs: number;
}

export type Script = (asked: Asked, signal: AbortSignal) => Response | Promise<Response>;

/** Time that jumps to the next timer whenever nothing else is to be done. */
export class JumpingClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly dueMs: number; readonly callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Cancel {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Time passes, and nobody does anything meanwhile. */
  pause(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  /** Lets time pass until `work` has ended. */
  async run<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => void (over = true);
    work.then(end, end);
    for (let turns = 0; !over; turns++) {
      if (turns > 100_000) throw new Error("it does not end");
      // Several turns, so that whatever can go on without time passing does.
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
      if (!over) this.#jump();
    }
    return await work;
  }

  #jump(): void {
    const next = [...this.#timers].toSorted((a, b) => a.dueMs - b.dueMs)[0];
    if (next === undefined) return;
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.callback();
  }
}

/** The first endpoint is asked first, and delays are as short as they can be. */
export const STEADY: Random = { next: () => 0, id: () => 77n };

export interface Scripted {
  readonly client: Client;
  readonly clock: JumpingClock;
  readonly asked: readonly Asked[];
}

/** A client of servers at `http://a`, `http://b`, ... */
export function scripted(scripts: Record<string, Script>, options: Partial<ConnectOptions> = {}): Scripted {
  const clock = new JumpingClock();
  const asked: Asked[] = [];
  const client = createClient({
    endpoints: Object.keys(scripts).filter((url) => !url.endsWith("/hidden")),
    clock,
    random: STEADY,
    fetch: async (target, init) => {
      const { origin, pathname: path } = new URL(target);
      const [first] = (init.body as string).split("\n");
      const headers = new Headers(init.headers);
      const request = {
        url: origin,
        path,
        body: JSON.parse(first!) as Record<string, unknown>,
        headers,
        atMs: clock.nowMs(),
      };
      asked.push(request);
      const signal = init.signal!;
      return await new Promise<Response>((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error);
        if (signal.aborted) abort();
        signal.addEventListener("abort", abort);
        Promise.resolve()
          .then(() => scripts[origin]!(request, signal))
          .then(resolve, reject);
      });
    },
    ...options,
  });
  return { client, clock, asked };
}

export const HEADER = { cluster_id: "1", member_id: "2", revision: "7", raft_term: "1" };

export function json(body: unknown, status: number = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}

export const found = (value: string): Response =>
  json({ header: HEADER, kvs: [{ key: btoa("k"), value: btoa(value), mod_revision: "7" }], count: "1" });

export const done = (): Response => json({ header: HEADER });

/** An error of a server of this project. */
export function refusal(reason: string, code: number, status: number, more: object = {}): Response {
  return json({ error: reason, message: reason, code, reason, ...more }, status);
}

/** `fetch` on Node, when nobody listens. */
export function refused(): Promise<never> {
  const cause = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), {
    code: "ECONNREFUSED",
    syscall: "connect",
  });
  return Promise.reject(new TypeError("fetch failed", { cause }));
}

/** `fetch` anywhere, when the connection breaks. */
export function broken(): Promise<never> {
  return Promise.reject(new TypeError("Failed to fetch"));
}

/** No answer ever. */
export function hang(): Promise<never> {
  return new Promise<never>(() => undefined);
}
