/** After so long without an answer from a node it is asked anew who leads: most likely this process was frozen. */
const HINT_MS = 2000;
const DISCOVERY_MS = 1000;

/** Answers whether a node says that it leads. Never rejects. */
export type AskWhetherLeading = (endpoint: string, signal: AbortSignal) => Promise<boolean>;

/**
 * In which order to ask the nodes: whoever led last comes first. Any of them takes any request, and passes on what only
 * the leader can do; so what is known here is a hint, kept between invocations, that saves a step when it is right.
 */
export class NodeRing {
  readonly #endpoints: readonly string[];
  readonly #ask: AskWhetherLeading;
  #leader: string | null = null;
  #heardMs = 0;

  constructor(endpoints: readonly string[], ask: AskWhetherLeading) {
    this.#endpoints = endpoints;
    this.#ask = ask;
  }

  /** All of them, each once. Asks who leads where that is not known, for a second at most. */
  async inOrder(patienceMs: number): Promise<readonly string[]> {
    const isOld = Math.abs(Date.now() - this.#heardMs) > HINT_MS;
    if (this.#endpoints.length > 1 && (this.#leader === null || isOld)) {
      this.#leader = await this.#discover(Math.min(DISCOVERY_MS, patienceMs));
      this.#heardMs = Date.now();
    }
    const first = this.#leader;
    return first === null ? this.#endpoints : [first, ...this.#endpoints.filter((url) => url !== first)];
  }

  answered(endpoint: string, leaderUrls: readonly string[] = []): void {
    this.#heardMs = Date.now();
    const named = leaderUrls.map((url) => url.replace(/\/+$/, ""));
    const leader = this.#endpoints.find((url) => named.includes(url));
    if (leader !== undefined) this.#leader = leader;
    else this.#leader ??= endpoint;
  }

  failed(endpoint: string): void {
    if (this.#leader === endpoint) this.#leader = null;
  }

  async #discover(patienceMs: number): Promise<string | null> {
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(new Error("no answer in time")), patienceMs);
    const asked = this.#endpoints.map(async (endpoint) => {
      if (await this.#ask(endpoint, aborter.signal)) return endpoint;
      throw new Error("does not lead");
    });
    try {
      return await Promise.any(asked);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
      aborter.abort(new Error("somebody leads"));
    }
  }
}
