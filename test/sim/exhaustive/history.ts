import type { Term } from "../../../src/core/raft/index.ts";
import type { Renaming } from "./codec.ts";
import { Interner } from "./node-table.ts";

/** What must be remembered about the group as a whole to judge it by. */
export interface History {
  /** Who led in a term, by term; 0 for nobody. */
  readonly leaders: readonly number[];
  /** What leaders have known to be committed, from index 2 on: the entry's term and the committing leader's. */
  readonly committed: readonly { readonly term: Term; readonly by: Term }[];
}

/** Histories by number. */
export class HistoryTable {
  readonly #interner: Interner = new Interner();
  readonly #histories: History[] = [];
  readonly #renamings: readonly Renaming[];

  constructor(renamings: readonly Renaming[]) {
    this.#renamings = renamings;
  }

  intern(history: History): number {
    const { leaders, committed } = history;
    const text = `${leaders.join()};${committed.map(({ term, by }) => `${term}/${by}`).join()}`;
    const id = this.#interner.internText(text);
    this.#histories[id] ??= history;
    return id;
  }

  get(id: number): History {
    return this.#histories[id]!;
  }

  get size(): number {
    return this.#histories.length;
  }

  renamed(id: number, renaming: number): number {
    if (renaming === 0) return id;
    const history = this.get(id);
    const names = this.#renamings[renaming]!;
    return this.intern({ ...history, leaders: history.leaders.map((node) => names[node]!) });
  }
}
