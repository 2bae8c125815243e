import { CALM, type Hazards, RandomFate } from "../../../../adapters/object-store/exploration/fate.ts";
import { World, type WorldLimits } from "../../../../adapters/object-store/exploration/world.ts";
import { Prng } from "../../../../core/raft/harness/prng.ts";
import { kvModel } from "../../../../sim/checkers/kv-model.ts";
import { checkLinearizability } from "../../../../sim/checkers/linearizability.ts";
import { Environment, type EnvironmentOptions, type History } from "./environment.ts";
import { LeaseLedger } from "./lease-ledger.ts";
import { promptDigests } from "./prompt-digest.ts";

export interface RunResult {
  readonly seed: number;
  readonly problem: string | null;
  readonly steps: number;
  readonly answered: number;
  readonly failed: number;
  readonly unknown: number;
  readonly story: readonly string[];
}

interface Plan {
  readonly hazards: Hazards;
  readonly limits: WorldLimits;
  readonly environments: number;
  readonly invocations: number;
  readonly options: EnvironmentOptions;
}

const MAX_STEPS = 6000;
const MAX_HEALING_STEPS = 6000;
/** Time that passes while everybody is frozen, at most. */
const LONGEST_PAUSE_MS = 600_000;
const CHECKER_STEPS = 2_000_000;

/** So often a lease that is due is looked at by an environment that has just taken the log over. */
const MAX_LEASE_ROUNDS = 3;

/** One schedule: invocations in rival environments under faults, then one environment in peace, which reads all. */
export async function run(seed: number, tell = false): Promise<RunResult> {
  const prng = new Prng(seed);
  const plan = drawPlan(prng);
  const world = new World(new RandomFate(prng.fork(), plan.hazards), plan.limits, tell);
  const ttlMs = plan.options.leases?.ttlMs ?? null;
  world.tell(() => JSON.stringify({ ...plan, options: { ...plan.options, leases: ttlMs } }));
  const history: History = [];
  const environments: Environment[] = [];
  let problem: string | null = null;
  const restoreDigests = promptDigests();
  try {
    await underFaults(world, environments, history, plan, prng);
    world.fate = new RandomFate(prng.fork(), CALM);
    if (prng.chance(0.5)) world.exorcise();
    await inPeace(world, environments, history, plan, prng);
    problem = check(history);
  } catch (error) {
    problem = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } finally {
    restoreDigests();
  }
  world.tell(() => problem ?? "nothing found");
  const count = (status: string): number => history.filter((operation) => operation.status === status).length;
  return {
    seed,
    problem,
    steps: world.step,
    answered: count("ok"),
    failed: count("failed"),
    unknown: count("unknown"),
    story: world.story ?? [],
  };
}

async function underFaults(
  world: World,
  environments: Environment[],
  history: History,
  plan: Plan,
  prng: Prng,
): Promise<void> {
  let invoked = 0;
  for (let step = 0; step < MAX_STEPS; step++) {
    const living = environments.filter(({ process }) => process.alive);
    if (invoked === plan.invocations && living.every(({ running }) => running === 0)) return;
    if (invoked < plan.invocations && prng.chance(0.05)) {
      if (living.length < plan.environments && prng.chance(0.3)) {
        environments.push(new Environment(world, history, plan.options, prng.fork()));
      }
      const free = environments.filter(({ isFree }) => isFree);
      if (free.length > 0) prng.pick(free).invoke(++invoked);
    }
    if (prng.chance(0.002)) world.pass(prng.int(LONGEST_PAUSE_MS));
    await advance(world, environments);
  }
}

async function inPeace(
  world: World,
  environments: Environment[],
  history: History,
  plan: Plan,
  prng: Prng,
): Promise<void> {
  const last = new Environment(world, history, { ...plan.options, timeoutMs: 60_000 }, prng.fork());
  environments.push(last);
  for (let key = 0; key < plan.options.keys; key++) {
    // One after the other, with nothing else asked of anybody.
    last.process.stalledUntil = 0;
    last.read(-1 - key, `k${key}`);
    for (let step = 0; last.running > 0; step++) {
      if (step > MAX_HEALING_STEPS) throw new Error("an invocation in peace hangs");
      await advance(world, environments);
    }
  }
  if (last.answered !== plan.options.keys) {
    throw new Error(`an invocation in peace failed: ${String(last.lastError)}`);
  }
  // What others were doing meanwhile ends, or is given up by them.
  for (const environment of environments) environment.died();
  if (plan.options.leases !== null) await endLeases(world, environments, plan.options.leases);
}

/**
 * Nobody renews a lease any more: at the first invocation after its time it is over, unless the log has a new owner, who
 * gives it its whole time.
 */
async function endLeases(world: World, environments: Environment[], leases: LeaseLedger): Promise<void> {
  const last = environments.pop()!;
  for (const { process } of environments) world.kill(process);
  for (let round = 1; leases.living.length > 0; round++) {
    if (round > MAX_LEASE_ROUNDS) throw new Error("leases have a new owner each time");
    const before = last.node.engine;
    world.pass(2 * leases.ttlMs);
    for (const id of leases.living) {
      last.process.stalledUntil = 0;
      last.lookAtLease(leases, id);
      for (let step = 0; last.running > 0; step++) {
        if (step > MAX_HEALING_STEPS) throw new Error("a look at a lease hangs");
        await advance(world, [last]);
      }
    }
    const left = leases.living;
    if (left.length > 0 && last.node.engine === before) {
      throw new Error(`leases ${left.join(", ")} outlive their time: ${String(last.lastError)}`);
    }
  }
}

async function advance(world: World, environments: readonly Environment[]): Promise<void> {
  // What was just begun asks for something first, or time would pass before that.
  await new Promise((resolve) => setImmediate(resolve));
  await world.advance();
  for (const environment of environments) {
    if (environment.failure !== null) throw environment.failure;
    if (!environment.process.alive) environment.died();
  }
}

function check(history: History): string | null {
  const ordered = history.toSorted((a, b) => a.callAt - b.callAt);
  const result = checkLinearizability(kvModel(), ordered, { maxSteps: CHECKER_STEPS });
  if (result.verdict === "ok") return null;
  return `${result.verdict}: ${result.explanation}`;
}

/** Runs differ in what they are hard with: all faults at once leave little that can go on. */
function drawPlan(prng: Prng): Plan {
  const some = (most: number): number => (prng.chance(0.5) ? prng.next() * most : 0);
  return {
    hazards: {
      replyLost: some(0.1),
      lateOrNever: some(0.1),
      busy: some(0.1),
      lateReply: some(0.2),
      stall: some(0.01),
      crash: some(0.003),
    },
    limits: { maxObjectBytes: 1 << 20, pageSize: prng.pick([5, 1000]), timersInOrder: true },
    environments: 1 + prng.int(4),
    invocations: 30,
    options: {
      keys: 1 + prng.int(2),
      snapshotEntries: prng.pick([4, 12, 1000]),
      concurrency: prng.pick([1, 1, 3]),
      timeoutMs: prng.pick([1000, 10_000]),
      freeze: some(0.8),
      freezeSteps: prng.pick([50, 500]),
      leases: prng.chance(0.4) ? new LeaseLedger(prng.pick([500, 5000, 100_000])) : null,
    },
  };
}
