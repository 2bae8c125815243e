import type { Renaming } from "./codec.ts";
import type { HistoryTable } from "./history.ts";
import type { NodeTable } from "./node-table.ts";

export const NODES = 3;

/**
 * A state of the cluster in numbers: the three nodes, the history, what is spent of the bounds, and then every
 * message that is or was under way and may arrive (again), ascending.
 */
export type State = readonly number[];

export const HISTORY_AT = NODES;
export const SPENT_AT = NODES + 1;
export const MESSAGES_AT = NODES + 2;

/** Every way to rename the nodes 1, 2, 3; the first changes nothing. Index 0 is nobody. */
export const RENAMINGS: readonly Renaming[] = [
  [0, 1, 2, 3],
  [0, 1, 3, 2],
  [0, 2, 1, 3],
  [0, 2, 3, 1],
  [0, 3, 1, 2],
  [0, 3, 2, 1],
];

/** A state in its canonical naming, and which renaming leads there. */
export interface Canonical {
  readonly state: State;
  readonly renaming: number;
}

/**
 * Of all states that differ only in the nodes' names the search visits one: nodes are put in order of their shape,
 * and where shapes are equal the least of the renamed states is taken. A core uses names only to tell nodes apart
 * (and to order what it writes, which reordering in the network hides), so what can happen is the same.
 */
export class Symmetry {
  readonly #table: NodeTable;
  readonly #histories: HistoryTable;

  constructor(table: NodeTable, histories: HistoryTable) {
    this.#table = table;
    this.#histories = histories;
  }

  canonical(state: State): Canonical {
    const shapes = [this.#table.shape(state[0]!), this.#table.shape(state[1]!), this.#table.shape(state[2]!)];
    let best: State | undefined;
    let bestRenaming = 0;
    for (let renaming = 0; renaming < RENAMINGS.length; renaming++) {
      if (!ordered(shapes, RENAMINGS[renaming]!)) continue;
      const candidate = this.renamed(state, renaming);
      if (best !== undefined && !less(candidate, best)) continue;
      best = candidate;
      bestRenaming = renaming;
    }
    return { state: best!, renaming: bestRenaming };
  }

  renamed(state: State, renaming: number): State {
    if (renaming === 0) return state;
    const names = RENAMINGS[renaming]!;
    const out = [...state];
    for (let i = 0; i < NODES; i++) out[names[i + 1]! - 1] = this.#table.renamed(state[i]!, renaming);
    out[HISTORY_AT] = this.#histories.renamed(state[HISTORY_AT]!, renaming);
    for (let i = MESSAGES_AT; i < state.length; i++) out[i] = this.#table.renamedMessage(state[i]!, renaming);
    sortFrom(out, MESSAGES_AT);
    return out;
  }
}

/** Whether the renaming puts the nodes in order of shape. */
function ordered(shapes: readonly number[], names: Renaming): boolean {
  const at = [0, 0, 0];
  for (let i = 0; i < NODES; i++) at[names[i + 1]! - 1] = shapes[i]!;
  return at[0]! <= at[1]! && at[1]! <= at[2]!;
}

function less(a: State, b: State): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

/** By insertion: a handful of numbers, nearly in order. */
export function sortFrom(numbers: number[], from: number): void {
  for (let i = from + 1; i < numbers.length; i++) {
    const item = numbers[i]!;
    let at = i;
    while (at > from && numbers[at - 1]! > item) {
      numbers[at] = numbers[at - 1]!;
      at--;
    }
    numbers[at] = item;
  }
}
