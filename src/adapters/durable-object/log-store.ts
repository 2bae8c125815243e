import type { LogBounds, LogStore } from "../../core/node/index.ts";
import type { Entry, LogIndex, Term } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import type { LogRing } from "./log-ring.ts";

/** The log of the object. Writes take effect when they are called, and resolve when they are durable. */
export class DurableObjectLogStore implements LogStore {
  readonly #db: Database;
  readonly #ring: () => LogRing;

  constructor(db: Database, ring: () => LogRing) {
    this.#db = db;
    this.#ring = ring;
  }

  async open(): Promise<LogBounds> {
    return this.#ring().bounds();
  }

  async append(entries: readonly Entry[]): Promise<void> {
    this.#ring().write(null, entries);
    await this.#db.durable();
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    return this.#ring().read(from, to, maxBytes);
  }

  async term(index: LogIndex): Promise<Term> {
    return this.#ring().term(index);
  }

  async compact(to: LogIndex): Promise<void> {
    this.#ring().compact(to);
    await this.#db.durable();
  }

  async reset(index: LogIndex, term: Term): Promise<void> {
    this.#ring().reset(index, term);
    await this.#db.durable();
  }
}
