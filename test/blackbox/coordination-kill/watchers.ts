import type { Change, Client } from "../../../src/runtimes/client/index.ts";
import type { Run } from "../support/program.ts";
import { until } from "../support/waiting.ts";

/** One change, as little of it as tells it from every other. */
export interface Seen {
  readonly revision: number;
  readonly key: string;
  readonly type: Change["type"];
}

/** How a key ends after which nothing more is written where it is. */
export const LAST = "~last";

/** Watches that go on through everything, each of which keeps what it was told. */
export class Watchers {
  readonly #told: { readonly prefix: string; readonly startRevision: number; readonly seen: Seen[] }[] = [];
  readonly #problems: string[] = [];
  #open = 0;

  get count(): number {
    return this.#told.length;
  }

  /** Begins to watch all keys with this prefix, until the last of them is put. */
  async watch(client: Client, prefix: string): Promise<void> {
    const watch = client.watchPrefix(prefix);
    await watch.ready();
    const told = { prefix, startRevision: watch.toldRevision + 1, seen: [] as Seen[] };
    this.#told.push(told);
    this.#open++;
    void this.#keep(watch, told.seen, prefix + LAST).finally(() => this.#open--);
  }

  async #keep(watch: AsyncIterable<Change>, seen: Seen[], last: string): Promise<void> {
    try {
      for await (const { key, revision, type } of watch) {
        seen.push({ revision, key, type });
        if (key === last) return;
      }
      this.#problems.push("a watch ended by itself");
    } catch (error) {
      this.#problems.push(String(error));
    }
  }

  /** Requires that each was told exactly what the history has for it, in its order. */
  async check(run: Run, history: readonly Seen[]): Promise<void> {
    await until(60, "all watches to have been told the last change", async () => this.#open === 0);
    run.require(this.#problems.length === 0, `no watch failed ${this.#problems.slice(0, 3).join("; ")}`);
    let changes = 0;
    const wrong: string[] = [];
    for (const { prefix, startRevision, seen } of this.#told) {
      const ofPrefix = history.filter(
        ({ key, revision }) => key.startsWith(prefix) && revision >= startRevision,
      );
      const end = ofPrefix.findIndex(({ key }) => key === prefix + LAST) + 1;
      const expected = ofPrefix.slice(0, end);
      changes += seen.length;
      if (line(seen) !== line(expected)) {
        wrong.push(`${prefix} from ${startRevision}: ${line(seen)} instead of ${line(expected)}`);
      }
    }
    run.require(
      wrong.length === 0,
      `${this.#told.length} watches were told ${changes} changes, none missing, none twice, in order ${wrong[0]?.slice(0, 2000) ?? ""}`,
    );
  }
}

function line(seen: readonly Seen[]): string {
  return seen.map(({ revision, key, type }) => `${revision} ${type} ${key}`).join(", ");
}
