import type { Bounds } from "./bounds.ts";
import { type Action, Model, actionOf, partsOf } from "./model.ts";
import type { OpenCore } from "./open-core.ts";
import { isAllSpent } from "./spent.ts";
import { HISTORY_AT, MESSAGES_AT, RENAMINGS, SPENT_AT, type State, Symmetry } from "./symmetry.ts";
import { Visited } from "./visited.ts";

export interface SearchLimits {
  readonly maxDepth: number;
  readonly maxStates: number;
  /** Invariants, by the beginning of their name, that are not to count: to see what comes of breaking them. */
  readonly ignore: readonly string[];
}

/** How a search ended: everything within the bounds visited, or cut short, or something is wrong. */
export type Ending = "exhausted" | "depth" | "states" | "violation";

export interface Violation {
  readonly broken: readonly string[];
  /** One line for each step from the beginning; there is no shorter way to break anything. */
  readonly trace: readonly string[];
}

export interface SearchReport {
  readonly ending: Ending;
  readonly violation: Violation | null;
  readonly depth: number;
  readonly states: number;
  /** States not visited because another that was has the same nodes and more messages. */
  readonly covered: number;
  readonly transitions: number;
  /** Different states of a single node, and how often the core's own code ran. */
  readonly nodeStates: number;
  readonly coreRuns: number;
  readonly reached: Reached;
}

/** What was seen on the way, so that a clean search can be told from an empty one. */
export interface Reached {
  /** The greatest number of leaders that a run had, in different terms. */
  readonly leaders: number;
  /** The greatest number of entries committed. */
  readonly committed: number;
  readonly smallestConfig: number;
  readonly joint: boolean;
  readonly allSpent: boolean;
  readonly mostMessages: number;
}

export interface Progress {
  readonly depth: number;
  readonly states: number;
  readonly frontier: number;
}

/** Breadth first from the founding of the group, every state once, every invariant at every step. */
export class Search {
  readonly #model: Model;
  readonly #symmetry: Symmetry;
  readonly #limits: SearchLimits;
  readonly #visited: Visited = new Visited();
  #start: State = [];
  #transitions = 0;
  #covered = 0;
  #reached = { leaders: 0, committed: 0, smallestConfig: 3, joint: false, allSpent: false, mostMessages: 0 };

  constructor(core: OpenCore, bounds: Bounds, limits: SearchLimits) {
    this.#model = new Model(core, bounds);
    this.#symmetry = new Symmetry(this.#model.table, this.#model.histories);
    this.#limits = limits;
  }

  run(onLevel: (progress: Progress) => void = () => {}): SearchReport {
    this.#start = this.#model.bounds.elected ? elected(this.#model) : this.#model.initial();
    this.#visited.add(this.#symmetry.canonical(this.#start).state, -1, 0, 0);
    for (let depth = 0, level = 0; ; depth++) {
      const end = this.#visited.size;
      onLevel({ depth, states: end, frontier: end - level });
      if (level === end) return this.#report("exhausted", depth - 1);
      if (depth === this.#limits.maxDepth) return this.#report("depth", depth);
      for (let id = level; id < end; id++) {
        if (this.#visited.isCovered(id)) {
          this.#covered++;
          continue;
        }
        const violation = this.#expand(id, end);
        if (violation !== null) return this.#report("violation", depth + 1, violation);
        if (this.#visited.size >= this.#limits.maxStates) return this.#report("states", depth + 1);
      }
      level = end;
    }
  }

  #expand(id: number, level: number): Violation | null {
    const state = this.#visited.get(id);
    this.#note(state);
    for (const action of this.#model.actions(state)) {
      const successor = this.#model.successor(state, action);
      if (successor === null) continue;
      this.#transitions++;
      const broken = successor.broken.filter(
        (what) => !this.#limits.ignore.some((name) => what.startsWith(name)),
      );
      if (broken.length > 0) return this.#violation(id, action);
      const novelty = this.#visited.add(this.#symmetry.canonical(successor.state).state, id, action, level);
      if (novelty === "covered") this.#covered++;
    }
    return null;
  }

  #note(state: State): void {
    const reached = this.#reached;
    const { leaders, committed } = this.#model.histories.get(state[HISTORY_AT]!);
    const { bounds } = this.#model;
    reached.leaders = Math.max(reached.leaders, leaders.filter((node) => node > 0).length);
    reached.committed = Math.max(reached.committed, committed.length);
    reached.mostMessages = Math.max(reached.mostMessages, state.length - MESSAGES_AT);
    reached.allSpent ||= isAllSpent(state[SPENT_AT]!, bounds);
    for (const { voters, votersOutgoing } of this.#model.facts(state)) {
      reached.smallestConfig = Math.min(reached.smallestConfig, voters.length);
      reached.joint ||= votersOutgoing.length > 0;
    }
  }

  /** Tells the story once more from the beginning, with the names that the nodes had there. */
  #violation(id: number, last: Action): Violation {
    const actions: Action[] = [last];
    for (let at = id; this.#visited.parentOf(at) >= 0; at = this.#visited.parentOf(at)) {
      actions.unshift(this.#visited.actionOf(at));
    }
    const trace: string[] = [];
    let { state, renaming } = this.#symmetry.canonical(this.#start);
    let original = this.#start;
    // From canonical names back to those of the beginning.
    let back = inverse(renaming);
    let broken: readonly string[] = [];
    for (const action of actions) {
      const told = this.#model.renamedAction(action, back);
      trace.push(this.#model.describe(original, told));
      const successor = this.#model.successor(original, told);
      const canonical = this.#model.successor(state, action);
      if (successor === null || canonical === null) throw new Error("the way there cannot be gone again");
      broken = successor.broken;
      original = successor.state;
      ({ state, renaming } = this.#symmetry.canonical(canonical.state));
      back = composed(inverse(renaming), back);
    }
    return { broken, trace };
  }

  #report(ending: Ending, depth: number, violation: Violation | null = null): SearchReport {
    const { table } = this.#model;
    return {
      ending,
      violation,
      depth,
      states: this.#visited.size,
      covered: this.#covered,
      transitions: this.#transitions,
      nodeStates: table.size,
      coreRuns: table.runs,
      reached: this.#reached,
    };
  }
}

function inverse(renaming: number): number {
  const names = RENAMINGS[renaming]!;
  return renamingOf((node) => names.indexOf(node));
}

/** First `first`, then `second`. */
function composed(first: number, second: number): number {
  return renamingOf((node) => RENAMINGS[second]![RENAMINGS[first]![node]!]!);
}

function renamingOf(name: (node: number) => number): number {
  return RENAMINGS.findIndex((names) => names.every((to, node) => node === 0 || to === name(node)));
}

/** Node 1 leads in term 2, and everybody has its first entry and knows it to be committed. Nothing is spent yet. */
function elected(model: Model): State {
  let state = model.initial();
  const seen = new Set<string>();
  const isOver = (): boolean => model.facts(state).every(({ commit, writes }) => commit === 2 && !writes);
  for (let successor = model.successor(state, actionOf("timeout", 0, 0)); successor !== null;) {
    state = successor.state;
    seen.add(state.join());
    if (isOver()) return state.with(SPENT_AT, 0);
    successor =
      model
        .actions(state)
        .filter((action) => ["deliver", "persist"].includes(partsOf(action).kind))
        .map((action) => model.successor(state, action))
        .find((next) => next !== null && !seen.has(next.state.join())) ?? null;
  }
  throw new Error("no leader was elected");
}
