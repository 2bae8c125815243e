import { Prng } from "../../../core/raft/harness/prng.ts";
import type { Fate, Misfortune, RequestEnd } from "./fate.ts";
import { check, finish } from "./run.ts";
import { Oracle } from "./oracle.ts";
import { Session } from "./session.ts";
import { World } from "./world.ts";

/*
 * All schedules of two rivals that differ from the ordinary one in at most so many places. Ordinary is: what was
 * asked for first happens first, and all goes well. (Emmi, Qadeer, Rakamarić: "Delay-Bounded Scheduling", POPL'11.)
 */

/** Where it differs: the number of a decision, and which of its alternatives was taken. */
export interface Deviation {
  readonly decision: number;
  readonly alternative: number;
}

const ENDS: readonly RequestEnd[] = ["done", "reply lost", "late or never", "busy"];
/** Until nobody else has anything to do. */
const FOR_LONG = 1e9;
/** Of the things that could happen next, how many besides the first are tried. */
const MAX_CHOICES = 5;
const LIMITS = { maxObjectBytes: 1400, pageSize: 3 };
const SESSION = { writes: 4, lingerMs: 0, maxEntryBytes: 10, compactions: 0.3, snapshots: 0.2 };
const MAX_STEPS = 1000;

/** Follows a list, and notes what else it could have done. */
class ListedFate implements Fate {
  readonly #deviations: ReadonlyMap<number, number>;
  /** How many alternatives each decision had. */
  readonly alternatives: number[] = [];

  constructor(deviations: readonly Deviation[]) {
    this.#deviations = new Map(deviations.map(({ decision, alternative }) => [decision, alternative]));
  }

  misfortune(processes: number): Misfortune | null {
    const taken = this.#decide(1 + 2 * processes);
    if (taken === 0) return null;
    const process = (taken - 1) % processes;
    return taken <= processes ? { type: "crash", process } : { type: "stall", process, steps: FOR_LONG };
  }

  choose(among: number): number {
    return this.#decide(Math.min(among, 1 + MAX_CHOICES));
  }

  end(): RequestEnd {
    return ENDS[this.#decide(ENDS.length)]!;
  }

  #decide(alternatives: number): number {
    const decision = this.alternatives.push(alternatives) - 1;
    return this.#deviations.get(decision) ?? 0;
  }
}

export interface Enumeration {
  readonly schedules: number;
  /** The first schedule that breaks a rule. */
  readonly problem: {
    readonly problem: string;
    readonly start: number;
    readonly deviations: readonly Deviation[];
  } | null;
}

/**
 * @param starts after how many steps of the first process the second one starts
 * @param most in how many places a schedule may differ
 */
export async function enumerate(starts: readonly number[], most: number): Promise<Enumeration> {
  let schedules = 0;
  let problem: Enumeration["problem"] = null;
  const explore = async (start: number, deviations: readonly Deviation[]): Promise<void> => {
    const fate = new ListedFate(deviations);
    schedules++;
    const found = await follow(fate, start, false);
    if (found.problem !== null) problem = { problem: found.problem, start, deviations };
    if (deviations.length === most) return;
    for (
      let decision = (deviations.at(-1)?.decision ?? -1) + 1;
      decision < fate.alternatives.length;
      decision++
    ) {
      for (let alternative = 1; alternative < fate.alternatives[decision]!; alternative++) {
        if (problem !== null) return;
        await explore(start, [...deviations, { decision, alternative }]);
      }
    }
  };
  for (const start of starts) if (problem === null) await explore(start, []);
  return { schedules, problem };
}

/** The story of one schedule. */
export async function tellSchedule(
  start: number,
  deviations: readonly Deviation[],
): Promise<readonly string[]> {
  return (await follow(new ListedFate(deviations), start, true)).story;
}

async function follow(
  fate: ListedFate,
  start: number,
  tell: boolean,
): Promise<{ readonly problem: string | null; readonly story: readonly string[] }> {
  const world = new World(fate, LIMITS, tell);
  const oracle = new Oracle();
  const sessions = [new Session(world, oracle, SESSION, new Prng(1))];
  const rivals = async (): Promise<void> => {
    for (let step = 0; step < MAX_STEPS; step++) {
      if (step === start) sessions.push(new Session(world, oracle, SESSION, new Prng(2)));
      const goesOn = await world.advance();
      check(sessions);
      if (!goesOn && step >= start) return;
    }
  };
  const problem = await finish(world, oracle, sessions, rivals, SESSION, new Prng(3));
  return { problem, story: world.story ?? [] };
}
