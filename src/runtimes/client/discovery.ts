import type { Member } from "../../core/node/index.ts";

const MAX_FOUND = 32;
const LOOPBACK = /^(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]|0\.0\.0\.0|\[::\])$/;

/**
 * The client URLs of members that may be used as endpoints. A reply must lead the token neither onto an unencrypted
 * connection, when all endpoints given are encrypted, nor to this very machine, unless an endpoint given is there: what
 * is "localhost" to a member is somebody else to us.
 */
export function usableUrls(members: readonly Member[], given: readonly string[]): readonly string[] {
  const trusted = given.map((url) => new URL(url));
  const mayBePlain = trusted.some(({ protocol }) => protocol === "http:");
  const mayBeLocal = trusted.some(({ hostname }) => LOOPBACK.test(hostname));
  const urls = members
    .filter(({ isLearner }) => !isLearner)
    .flatMap(({ clientUrls }) => clientUrls)
    .filter((text) => {
      if (text.length > 1000 || !URL.canParse(text)) return false;
      const { protocol, hostname, username, password, search, hash } = new URL(text);
      const isWeb = protocol === "https:" || (protocol === "http:" && mayBePlain);
      const isBare = username === "" && password === "" && search === "" && hash === "";
      return isWeb && isBare && (mayBeLocal || !LOOPBACK.test(hostname));
    });
  return [...new Set(urls.map((text) => new URL(text).href.replace(/\/+$/, "")))].slice(0, MAX_FOUND);
}

/** How often the members are asked for. */
const INTERVAL_MS = 60_000;

/** Asks for the members now and then, when there is something to ask at all: no timers run for it. */
export class Discovery {
  readonly #nowMs: () => number;
  readonly #ask: () => Promise<readonly Member[]>;
  readonly #found: (members: readonly Member[]) => void;
  #nextMs: number = Number.NEGATIVE_INFINITY;

  constructor(
    nowMs: () => number,
    ask: () => Promise<readonly Member[]>,
    found: (members: readonly Member[]) => void,
  ) {
    this.#nowMs = nowMs;
    this.#ask = ask;
    this.#found = found;
  }

  /** To be called when a call is made; does not hold it up. */
  nudge(): void {
    const nowMs = this.#nowMs();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + INTERVAL_MS;
    // Who cannot be asked now is asked at the next opportunity; calls go to the endpoints that are known.
    this.#ask().then(this.#found, () => {
      this.#nextMs = Number.NEGATIVE_INFINITY;
    });
  }
}
