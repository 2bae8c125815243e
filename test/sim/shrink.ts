import { gravest, type Problem } from "./problem.ts";
import type { Action, Scenario } from "./scenario.ts";
import { type RunOptions, runScenario } from "./simulation.ts";

/** Runs that shrinking may take. */
const MAX_RUNS = 400;

export interface Shrunk {
  readonly scenario: Scenario;
  readonly problem: Problem;
  readonly runs: number;
}

/**
 * Reduces a failing scenario: first what comes after the failure, then faults, then requests, then machines, as long
 * as the same rule is broken. What is left is small, and any part of it taken away makes the failure disappear.
 *
 * @throws Error when the scenario does not fail.
 */
export async function shrink(
  scenario: Scenario,
  log: (line: string) => void = () => {},
  options: RunOptions = {},
): Promise<Shrunk> {
  const problem = gravest((await runScenario(scenario, options)).problems);
  if (problem === null) throw new Error("there is nothing to shrink: the scenario does not fail");
  const shrinker = new Shrinker(problem, log, options);
  const small = await shrinker.run(scenario);
  return { scenario: small, problem, runs: shrinker.runs };
}

class Shrinker {
  readonly #problem: Problem;
  readonly #log: (line: string) => void;
  readonly #options: RunOptions;
  runs = 0;

  constructor(problem: Problem, log: (line: string) => void, options: RunOptions) {
    this.#problem = problem;
    this.#log = log;
    this.#options = options;
  }

  async run(scenario: Scenario): Promise<Scenario> {
    let small = await this.#shorten(scenario);
    for (let before = -1; before !== small.actions.length && this.runs < MAX_RUNS;) {
      before = small.actions.length;
      small = await this.#without(small, "faults", (action) => action.do !== "op");
      small = await this.#without(small, "requests", (action) => action.do === "op");
    }
    return await this.#fewerMachines(small);
  }

  async #fails(scenario: Scenario): Promise<boolean> {
    if (this.runs >= MAX_RUNS) return false;
    this.runs++;
    const { problems } = await runScenario(scenario, this.#options);
    const found = gravest(problems);
    return found?.kind === this.#problem.kind && found.rule === this.#problem.rule;
  }

  /** Faults end as early as possible. */
  async #shorten(scenario: Scenario): Promise<Scenario> {
    let small = scenario;
    for (let share = 0.5; share < 0.95; share += (1 - share) / 2) {
      const durationMs = Math.ceil(small.options.durationMs * share);
      const actions = small.actions.filter(({ at }) => at <= durationMs);
      const shorter = { ...small, options: { ...small.options, durationMs }, actions };
      if (!(await this.#fails(shorter))) continue;
      small = shorter;
      share = 0;
    }
    this.#log(`${small.options.durationMs} ms, ${small.actions.length} actions`);
    return small;
  }

  /** Delta debugging (Zeller & Hildebrandt, TSE 2002) on the actions of one sort. */
  async #without(scenario: Scenario, what: string, isOne: (action: Action) => boolean): Promise<Scenario> {
    let { actions } = scenario;
    for (let size = Math.ceil(actions.filter(isOne).length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let skip = 0; ;) {
        const candidates = actions.filter(isOne);
        if (skip >= candidates.length) break;
        const gone = new Set(candidates.slice(skip, skip + size));
        const fewer = actions.filter((action) => !gone.has(action));
        if (await this.#fails({ ...scenario, actions: fewer })) actions = fewer;
        else skip += size;
      }
    }
    this.#log(`without needless ${what}: ${actions.length} actions after ${this.runs} runs`);
    return { ...scenario, actions };
  }

  async #fewerMachines(scenario: Scenario): Promise<Scenario> {
    let small = scenario;
    for (const founders of [1, 3]) {
      if (founders >= small.options.founders) break;
      const fewer = { ...small, options: { ...small.options, founders } };
      if (await this.#fails(fewer)) small = fewer;
    }
    this.#log(`${small.options.founders} machines`);
    return small;
  }
}
