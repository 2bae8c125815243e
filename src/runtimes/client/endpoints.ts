import type { EngineError } from "../../core/errors/index.ts";
import { backoffMs, type Surroundings } from "../../core/node/client/index.ts";

/** An endpoint to ask, and how long it should be left alone before. */
export interface Choice {
  readonly url: string;
  readonly restMs: number;
}

interface Rest {
  readonly failures: number;
  readonly untilMs: number;
}

const MAX_REST_MS = 2000;
/** A server may ask for patience, but not for ever. */
const MAX_RETRY_AFTER_MS = 30_000;

/**
 * The endpoints, of which one is stayed with as long as it answers. One that failed rests, longer each time; when all
 * rest, whoever asks waits for the first to be rested, so that is where callers back off.
 */
export class Endpoints {
  readonly #given: readonly string[];
  readonly #surroundings: Surroundings;
  #urls: readonly string[];
  /** Index of the one that is stayed with. */
  #current: number;
  readonly #rests = new Map<string, Rest>();

  constructor(given: readonly string[], surroundings: Surroundings) {
    this.#given = given;
    this.#surroundings = surroundings;
    this.#urls = given;
    // Many clients of the same configuration spread out.
    this.#current = Math.floor(surroundings.random.next() * given.length);
  }

  get given(): readonly string[] {
    return this.#given;
  }

  get all(): readonly string[] {
    return this.#urls;
  }

  /** Takes these besides those given. */
  found(urls: readonly string[]): void {
    const current = this.#urls[this.#current]!;
    this.#urls = [...new Set([...this.#given, ...urls])];
    this.#current = Math.max(0, this.#urls.indexOf(current));
    for (const url of this.#rests.keys()) if (!this.#urls.includes(url)) this.#rests.delete(url);
  }

  /** The one to ask now, or the first that may be asked again. */
  choose(): Choice {
    const nowMs = this.#surroundings.clock.nowMs();
    let best: Choice | null = null;
    for (let i = 0; i < this.#urls.length; i++) {
      const url = this.#urls[(this.#current + i) % this.#urls.length]!;
      const restMs = Math.max(0, (this.#rests.get(url)?.untilMs ?? 0) - nowMs);
      if (best === null || restMs < best.restMs) best = { url, restMs };
      if (restMs === 0) break;
    }
    return best!;
  }

  worked(url: string): void {
    this.#rests.delete(url);
  }

  /** Lets it rest, and goes on with another: the leader, if the error names one of ours. */
  failed(url: string, error: EngineError): void {
    const { clock, random } = this.#surroundings;
    const failures = (this.#rests.get(url)?.failures ?? 0) + 1;
    const askedForMs = Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
    const restMs = Math.max(backoffMs(failures, random, MAX_REST_MS), askedForMs);
    this.#rests.set(url, { failures, untilMs: clock.nowMs() + restMs });
    if (this.#urls[this.#current] !== url) return;
    const leader = error.leaderUrls?.map((each) => this.#urls.indexOf(each.replace(/\/+$/, "")));
    const known = leader?.find((index) => index >= 0 && index !== this.#current);
    this.#current = known ?? (this.#current + 1) % this.#urls.length;
  }
}
