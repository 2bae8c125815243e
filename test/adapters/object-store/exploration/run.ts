import { Prng } from "../../../core/raft/harness/prng.ts";
import { Oracle, Violation } from "./oracle.ts";
import { Session, type SessionOptions } from "./session.ts";
import { CALM, type Hazards, RandomFate } from "./fate.ts";
import { World, type WorldLimits } from "./world.ts";

export interface RunResult {
  readonly seed: number;
  readonly problem: string | null;
  readonly steps: number;
  /** Owners that there were, and writes that they acknowledged. */
  readonly reigns: number;
  readonly acknowledged: number;
  readonly outcomes: readonly string[];
  readonly story: readonly string[];
}

const MAX_STEPS = 250;
const MAX_HEALING_STEPS = 4000;

/** One schedule: rival processes under faults, then one that is left in peace and must find everything. */
export async function run(seed: number, tell = false): Promise<RunResult> {
  const prng = new Prng(seed);
  const plan = drawPlan(prng, seed);
  const world = new World(new RandomFate(prng.fork(), plan.hazards), plan.limits, tell);
  world.tell(() => JSON.stringify(plan));
  const oracle = new Oracle();
  const sessions: Session[] = [];
  const rivals = async (): Promise<void> => {
    const until = 30 + prng.int(MAX_STEPS - 30);
    for (let step = 0; step < until; step++) {
      const living = sessions.filter(({ isOver }) => !isOver).length;
      if (living < plan.rivals && (living === 0 || prng.chance(0.05))) {
        sessions.push(new Session(world, oracle, plan.session, prng.fork()));
      }
      await world.advance();
      check(sessions);
    }
  };
  const problem = await finish(world, oracle, sessions, rivals, plan.session, prng);
  return {
    seed,
    problem,
    steps: world.step,
    reigns: oracle.reigns.length,
    acknowledged: oracle.reigns.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    outcomes: sessions.map(({ outcome }) => outcome ?? "died"),
    story: world.story ?? [],
  };
}

/** Lets the rivals go on, then leaves everybody in peace, and starts two more: they must find everything. */
export async function finish(
  world: World,
  oracle: Oracle,
  sessions: Session[],
  rivals: () => Promise<void>,
  session: SessionOptions,
  prng: Prng,
): Promise<string | null> {
  try {
    await rivals();
    world.fate = new RandomFate(prng.fork(), CALM);
    if (prng.chance(0.5)) world.exorcise();
    // The first comes while the others still run, the second when all is quiet.
    for (const quiet of [false, true]) {
      const few = { ...session, writes: 6, compactions: 0.2 };
      const last = new Session(world, oracle, few, prng.fork());
      sessions.push(last);
      for (let step = 0; !sessions.every(({ isOver }) => isOver); step++) {
        if (!(await world.advance()) || step > MAX_HEALING_STEPS) throw new Violation("a process hangs");
        check(sessions);
      }
      if (quiet && last.outcome !== "closed") {
        throw new Violation(`one process alone, and it ended: ${last.outcome}`);
      }
    }
    return null;
  } catch (error) {
    const problem = String(error);
    world.tell(() => problem);
    return problem;
  }
}

export function check(sessions: readonly Session[]): void {
  for (const { violation } of sessions) if (violation !== null) throw violation;
}

interface Plan {
  readonly hazards: Hazards;
  readonly limits: WorldLimits;
  readonly rivals: number;
  readonly session: SessionOptions;
}

/** Runs differ in what they are hard with: all faults at once leave little that can go on. */
function drawPlan(prng: Prng, seed: number): Plan {
  const some = (most: number): number => (prng.chance(0.5) ? prng.next() * most : 0);
  return {
    hazards: {
      replyLost: some(0.2),
      lateOrNever: some(0.2),
      busy: some(0.2),
      lateReply: some(0.4),
      stall: some(0.05),
      crash: some(0.03),
    },
    limits: {
      maxObjectBytes: prng.pick([1400, 1 << 20]),
      pageSize: prng.pick([2, 5, 1000]),
    },
    rivals: 1 + prng.int(3),
    session: {
      writes: prng.pick([3, 10, 50]),
      lingerMs: prng.pick([0, 0, 20]),
      maxEntryBytes: prng.pick([10, 4000]),
      compactions: prng.pick([0, 0.05, 0.25]),
      // In a third of the runs: they take their time, and some faults of the log need all of it.
      snapshots: seed % 3 === 0 ? 0.3 : 0,
    },
  };
}
