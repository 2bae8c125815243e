// The simulator's runner; see README.md, or run it without arguments that make sense.

import { readFileSync } from "node:fs";
import { parseOptions, type RunnerOptions, USAGE } from "./options.ts";
import { runInPool, type WorkerReport, type WorkerTask } from "./pool.ts";
import { EXIT_CODES, gravest, type Problem } from "./problem.ts";
import { Tally } from "./tally.ts";

/** Failing seeds after which there is no point in going on. */
const ENOUGH_FAILURES = 5;

async function main(): Promise<number> {
  let options: RunnerOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${String(error)}\n\n${USAGE}`);
    return 2;
  }
  const { mode } = options;
  if (mode === "replay") return await replay(options);
  if (mode === "crashPoints") return await crashPoints(options);
  return await seeds(options);
}

async function seeds(options: RunnerOptions): Promise<number> {
  const { mode, from, to, minutes, repeatEvery, workers } = options;
  const until = mode === "minutes" ? `for ${minutes} minutes` : `to ${to}`;
  console.log(`seeds from ${from} ${until}, ${workers} workers, every ${repeatEvery}th twice`);
  if (mode === "seeds" && from === to) await describeSeed(from);
  const endMs = performance.now() + minutes * 60_000;
  let seed = from;
  const next = (): WorkerTask | null => {
    const over = mode === "minutes" ? performance.now() >= endMs : seed > to;
    if (over) return null;
    const repeat = seed % repeatEvery === 0;
    return { seed: seed++, repeat: repeat && !options.calm, draw: drawOf(options) };
  };
  const flags = options.objects ? " --objects" : "";
  const failures = await runAll(
    options,
    next,
    ({ result }) => `npm run sim -- --seed ${result.seed}${flags}`,
  );
  if (failures.length > 0 && options.shrink) await shrinkSeed(failures[0]!.seed, options);
  return exitCode(failures.flatMap(({ problems }) => problems));
}

function drawOf({ calm, objects }: RunnerOptions): WorkerTask["draw"] {
  if (calm) return "calm";
  return objects ? "objects" : "any";
}

async function describeSeed(seed: number): Promise<void> {
  const { scenarioOf } = await import("./draw.ts");
  const { options, actions } = scenarioOf(seed);
  const kinds = new Map<string, number>();
  for (const action of actions) kinds.set(action.do, (kinds.get(action.do) ?? 0) + 1);
  console.log(`seed ${seed}`, JSON.stringify(options));
  console.log([...kinds].map(([kind, count]) => `${kind} ${count}`).join(", "));
}

async function crashPoints(options: RunnerOptions): Promise<number> {
  const { from: seed, workers, mutant } = options;
  const { crashPointScenario } = await import("./crash-points.ts");
  const { runScenario } = await import("./simulation.ts");
  const { effects } = await runScenario(crashPointScenario(seed));
  console.log(
    `seed ${seed}: ${effects} effects, a crash before and after each; ${workers} workers, mutant ${mutant}`,
  );
  let effect = 1;
  let side: "before" | "after" = "before";
  const next = (): WorkerTask | null => {
    if (effect > effects) return null;
    const task = { seed, repeat: false, draw: "crashPoint", crashPoint: { effect, side } } as const;
    if (side === "after") effect += options.every;
    side = side === "before" ? "after" : "before";
    return task;
  };
  const failures = await runAll(options, next, () => `npm run sim -- --crash-points --seed ${seed}`);
  return exitCode(failures.flatMap(({ problems }) => problems));
}

async function runAll(
  { workers, mutant }: RunnerOptions,
  next: () => WorkerTask | null,
  command: (report: WorkerReport) => string,
): Promise<WorkerReport["result"][]> {
  const failures: WorkerReport["result"][] = [];
  const tally = new Tally();
  await runInPool({ workers, mutant, marks: mutant === null }, next, (report) => {
    tally.add(report);
    const { result } = report;
    if (result.problems.length === 0) return "more";
    failures.push(result);
    console.log(`\nFAILED seed ${result.seed}: ${command(report)}`);
    for (const { kind, rule, detail } of result.problems.slice(0, 3))
      console.log(`  ${kind}: ${rule}\n    ${detail}`);
    return failures.length < ENOUGH_FAILURES ? "more" : "enough";
  });
  console.log(tally.text());
  return failures;
}

async function replay({ replay: file, mutant }: RunnerOptions): Promise<number> {
  if (mutant !== null) await plant(mutant);
  const { parseScenario } = await import("./scenario.ts");
  const { runScenario } = await import("./simulation.ts");
  const scenario = parseScenario(readFileSync(file, "utf8"));
  console.log(`seed ${scenario.seed}`, JSON.stringify(scenario.options));
  const result = await runScenario(scenario);
  console.log(JSON.stringify(result, null, 2));
  return exitCode(result.problems);
}

async function shrinkSeed(seed: number, { mutant, objects }: RunnerOptions): Promise<void> {
  if (mutant !== null) await plant(mutant);
  const { objectsScenario, scenarioOf } = await import("./draw.ts");
  const { shrink } = await import("./shrink.ts");
  const { scenarioText } = await import("./scenario.ts");
  const { scenario, problem } = await shrink((objects ? objectsScenario : scenarioOf)(seed), (line) =>
    console.log(line),
  );
  console.log(scenarioText(scenario, `${problem.kind}: ${problem.rule} (seed ${seed})`));
}

async function plant(mutant: string): Promise<void> {
  const { mutantRewrites } = await import("./mutants.ts");
  const { rewriteSources } = await import("./rewrite.ts");
  rewriteSources(mutantRewrites(mutant));
}

function exitCode(problems: readonly Problem[]): number {
  const worst = gravest(problems);
  return worst === null ? 0 : EXIT_CODES[worst.kind];
}

process.exitCode = await main();
