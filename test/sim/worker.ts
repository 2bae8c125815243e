// One of the runner's processes: runs the scenarios it is sent. Argument: {"mutant": name or null, "marks": boolean}.

import { countMarks, markRewrites } from "./marks.ts";
import { mutantRewrites } from "./mutants.ts";
import type { WorkerReport, WorkerTask } from "./pool.ts";
import { rewriteSources } from "./rewrite.ts";

const { mutant, marks } = JSON.parse(process.argv[2] ?? "{}") as { mutant: string | null; marks: boolean };
rewriteSources([...(marks ? markRewrites() : []), ...(mutant === null ? [] : mutantRewrites(mutant))]);
const counts = countMarks();

// Only now: these load the sources that are rewritten.
const { calmScenario, drawScenario, objectsScenario, scenarioOf, usersScenario } = await import("./draw.ts");
const { runScenario } = await import("./simulation.ts");
const { crashPointScenario } = await import("./crash-points.ts");

const DRAWS = {
  hard: drawScenario,
  calm: calmScenario,
  objects: objectsScenario,
  users: usersScenario,
  any: scenarioOf,
  crashPoint: crashPointScenario,
};

async function run({ seed, repeat, draw, crashPoint }: WorkerTask): Promise<WorkerReport> {
  counts.clear();
  const before = process.cpuUsage();
  const scenario = DRAWS[draw](seed);
  const options = crashPoint === undefined ? {} : { crashPoint };
  let result = await runScenario(scenario, options);
  const { user, system } = process.cpuUsage(before);
  if (repeat) {
    const again = await runScenario(scenario, options);
    if (again.hash !== result.hash) {
      const detail = `${result.hash} and ${again.hash}`;
      const problem = { kind: "nondeterminism", rule: "same seed, same run", detail } as const;
      result = { ...result, problems: [...result.problems, problem] };
    }
  }
  return { result, cpuMs: (user + system) / 1000, marks: Object.fromEntries(counts) };
}

process.on("message", (task: WorkerTask) => {
  run(task).then(
    (report) => process.send!(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
