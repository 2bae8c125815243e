import { type Client, EngineError, type HeldLock } from "../../../src/runtimes/client/index.ts";
import type { Run } from "../support/program.ts";
import type { Seeded } from "../support/random.ts";
import { sleep } from "../support/waiting.ts";
import type { Seen } from "./watchers.ts";

/** A change with what was written. */
export interface Written extends Seen {
  readonly value: string;
  readonly createRevision: number;
}

const LOCKS = "locks/";
const GUARDED = "guarded/";

/** Those who want the same few locks, and write what these protect only under their fencing token. */
export class Contenders {
  readonly #random: Seeded;
  readonly #ended: Promise<void>[] = [];
  #held = 0;
  #lost = 0;

  constructor(random: Seeded) {
    this.#random = random;
  }

  /** Has the lock and loses it, again and again, until it is over. */
  work(client: Client, name: string, lock: string, isOver: () => boolean): void {
    this.#ended.push(this.#run(client, name, lock, isOver));
  }

  async #run(client: Client, name: string, lock: string, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      try {
        const options = { ttlMs: 3000, timeoutMs: 15_000 };
        await client.lock(`${LOCKS}${lock}`, (held) => this.#write(client, name, lock, held), options);
        this.#held++;
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        this.#lost++;
        await sleep(200);
      }
    }
  }

  async #write(client: Client, name: string, lock: string, held: HeldLock): Promise<void> {
    for (let step = 0; step < 3; step++) {
      // Of those who have lost the lock, some do not notice: their token alone holds them back.
      if (held.signal.aborted && this.#random.below(2) === 0) return;
      await client
        .txn()
        .ifCreateRevision(held.key, "equal", held.fencingToken)
        .thenPut(`${GUARDED}${lock}`, `${held.fencingToken} ${name}`)
        .commit();
      await sleep(20 + this.#random.below(60));
    }
  }

  async ended(): Promise<void> {
    await Promise.all(this.#ended);
  }

  /** Requires that each write was made by whoever was, at that very revision, first in the line for the lock. */
  check(run: Run, history: readonly Written[]): void {
    const lines = new Map<string, Map<string, number>>();
    const holders = new Map<string, string>();
    const wrong: string[] = [];
    let writes = 0;
    for (const { key, type, value, revision, createRevision } of history) {
      if (key.startsWith(LOCKS)) {
        const lock = key.slice(LOCKS.length, key.lastIndexOf("/"));
        const line = lines.get(lock) ?? new Map<string, number>();
        lines.set(lock, line);
        if (type === "put") line.set(key, createRevision);
        else line.delete(key);
      } else if (key.startsWith(GUARDED)) {
        const lock = key.slice(GUARDED.length);
        const [token = "", name = ""] = value.split(" ");
        const first = Math.min(...(lines.get(lock)?.values() ?? []));
        const holder = holders.get(`${lock} ${token}`) ?? name;
        holders.set(`${lock} ${token}`, holder);
        writes++;
        if (first !== Number(token) || holder !== name) {
          wrong.push(`at ${revision} ${name} wrote with ${token}, but ${first} was first (${holder})`);
        }
      }
    }
    run.require(
      wrong.length === 0,
      `${writes} writes under ${holders.size} fencing tokens, each while its token was the lock's ${wrong.slice(0, 3).join("; ")}`,
    );
    run.require(
      holders.size > 20,
      `locks were had ${this.#held} times, and lost or not had ${this.#lost} times`,
    );
  }
}
