// Plants each bug and runs seeds until it is found. Arguments: --quick, --only NAME, --limit SEEDS, --markdown.

import { parseArgs } from "node:util";
import { type Mutant, MUTANTS } from "./mutants.ts";
import { runInPool, type WorkerTask } from "./pool.ts";
import { gravest, type Problem } from "./problem.ts";

interface Found {
  readonly mutant: Mutant;
  readonly problem: Problem | null;
  readonly seeds: number;
  readonly cpuSeconds: number;
}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    limit: { type: "string", default: "2000" },
    workers: { type: "string", default: "2" },
    markdown: { type: "boolean", default: false },
  },
});

async function hunt(mutant: Mutant): Promise<Found> {
  const draw = mutant.draw ?? "hard";
  let seed = 1;
  let seeds = 0;
  let cpuSeconds = 0;
  let problem: Problem | null = null;
  let last = 0;
  const next = (): WorkerTask | null =>
    seed > Number(values.limit) ? null : { seed: seed++, repeat: false, draw };
  const options = { workers: Number(values.workers), mutant: mutant.name, marks: false };
  await runInPool(options, next, ({ result, cpuMs }) => {
    seeds++;
    cpuSeconds += cpuMs / 1000;
    problem = gravest(result.problems);
    // Then nothing ran at all: the place to plant it in is gone, say.
    if (problem?.rule === "the process of the run" && cpuMs === 0)
      throw new Error(`${mutant.name}: ${problem.detail}`);
    if (problem !== null) last = result.seed;
    return problem === null ? "more" : "enough";
  });
  if (problem !== null) await requireClean(last, draw);
  return { mutant, problem, seeds, cpuSeconds };
}

/** What fails without the bug as well has not found it. */
async function requireClean(seed: number, draw: WorkerTask["draw"]): Promise<void> {
  let task: WorkerTask | null = { seed, repeat: false, draw };
  const next = (): WorkerTask | null => {
    const given = task;
    task = null;
    return given;
  };
  await runInPool({ workers: 1, mutant: null, marks: false }, next, ({ result }) => {
    const found = gravest(result.problems);
    if (found !== null) throw new Error(`seed ${seed} fails without any bug: ${found.rule}: ${found.detail}`);
    return "enough";
  });
}

function row({ mutant, problem, seeds, cpuSeconds }: Found): string {
  const by = problem === null ? "NOT FOUND" : `${problem.kind}: ${problem.rule}`;
  if (values.markdown)
    return `| ${mutant.name} | ${mutant.about} | ${by} | ${seeds} | ${cpuSeconds.toFixed(0)} |`;
  return `${mutant.name.padEnd(34)} ${by.padEnd(44)} ${String(seeds).padStart(5)} seeds ${cpuSeconds.toFixed(1).padStart(7)} s`;
}

const chosen = MUTANTS.filter(
  ({ name, quick }) =>
    (values.only === undefined || values.only.split(",").includes(name)) && (!values.quick || quick === true),
);
if (chosen.length === 0) throw new Error(`no such planted bug: ${values.only}`);
let missed = 0;
for (const mutant of chosen) {
  const found = await hunt(mutant);
  if (found.problem === null) missed++;
  console.log(row(found));
}
console.log(`${chosen.length - missed} of ${chosen.length} planted bugs found`);
process.exitCode = missed === 0 ? 0 : 1;
