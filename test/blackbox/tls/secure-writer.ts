import { decode, encode, prefixEnd } from "../support/api.ts";
import { sleep, until } from "../support/waiting.ts";
import { type Identity, secureCall } from "./secure-call.ts";

const PREFIX = "written/";

/** Writes key after key, at one member after the other, with whatever certificate it has at the moment. */
export class SecureWriter {
  readonly #acknowledged = new Set<string>();
  readonly #problems = new Map<string, number>();
  readonly #urls: readonly string[];
  readonly #identity: () => Identity;
  readonly #done: Promise<unknown>;
  #over = false;

  constructor(urls: readonly string[], identity: () => Identity) {
    this.#urls = urls;
    this.#identity = identity;
    this.#done = Promise.all([0, 1, 2].map((lane) => this.#run(lane)));
  }

  get count(): number {
    return this.#acknowledged.size;
  }

  /** What went wrong, and how often. */
  get problems(): string {
    return JSON.stringify(Object.fromEntries(this.#problems));
  }

  /** Resolves when so many more writes have been acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.count + count;
    await until(20, `${count} more writes after ${this.problems}`, async () => this.count >= goal);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  /** Keys whose write was acknowledged, and that this member does not have. */
  async lostAt(url: string): Promise<string[]> {
    const range = { key: encode(PREFIX), range_end: encode(prefixEnd(PREFIX)) };
    const { kvs } = await until(20, `a read at ${url}`, async () => {
      const outcome = await secureCall(url, "kv/range", range, this.#identity());
      return outcome.status === "ok" ? outcome.reply : null;
    });
    const present = new Map((kvs ?? []).map(({ key, value }) => [decode(key), decode(value)]));
    return [...this.#acknowledged].filter((key) => present.get(key) !== key);
  }

  async #run(lane: number): Promise<void> {
    for (let i = 0; !this.#over; i++) {
      const key = `${PREFIX}${lane}-${i}`;
      const url = this.#urls[(i + lane) % this.#urls.length]!;
      const put = { key: encode(key), value: encode(key) };
      const outcome = await secureCall(url, "kv/put", put, this.#identity());
      if (outcome.status === "ok") this.#acknowledged.add(key);
      else {
        const problem = `${outcome.status}: ${outcome.problem.slice(0, 100)}`;
        this.#problems.set(problem, (this.#problems.get(problem) ?? 0) + 1);
        await sleep(50);
      }
    }
  }
}
