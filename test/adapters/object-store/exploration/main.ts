// Explores schedules of the log and the snapshots in an object store. Arguments: --from SEED, --seeds N, --seconds S, --tell SEED,
// --plant NAME of a bug, --enumerate N for all schedules that differ from the ordinary one in at most N places,
// --starts LIST of the steps at which the second process starts there. Prints the first schedule that breaks a rule.

import { parseArgs } from "node:util";
import { rewriteSources } from "../../../sim/rewrite.ts";
import { PLANTED } from "./planted.ts";

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "1" },
    seeds: { type: "string", default: "20000" },
    seconds: { type: "string", default: "600" },
    tell: { type: "string" },
    plant: { type: "string" },
    enumerate: { type: "string" },
    starts: { type: "string" },
  },
});

if (values.plant !== undefined) {
  const planted = PLANTED.find(({ name }) => name === values.plant);
  if (planted === undefined) throw new Error(`no such planted bug: ${values.plant}`);
  rewriteSources(planted.rewrites);
}
// Only now, so that what is planted is what is loaded.
const { run } = await import("./run.ts");
let unhandled: string | null = null;
process.on("unhandledRejection", (error) => (unhandled = `unhandled: ${JSON.stringify(error)}`));

if (values.tell !== undefined) {
  const { story, problem } = await run(Number(values.tell), true);
  console.log(story.join("\n"));
  console.log(problem ?? "nothing found");
  process.exit(problem === null ? 0 : 1);
}

// Stacks cost more than everything else; a schedule can be told again.
Error.stackTraceLimit = 0;
const startedMs = performance.now();
if (values.enumerate !== undefined) {
  const { enumerate, tellSchedule } = await import("./enumerate.ts");
  const starts = values.starts?.split(",").map(Number) ?? Array.from({ length: 60 }, (_, start) => start);
  const { schedules, problem } = await enumerate(starts, Number(values.enumerate));
  if (problem !== null) {
    console.log((await tellSchedule(problem.start, problem.deviations)).join("\n"));
    console.log(JSON.stringify(problem));
  }
  console.log(`${schedules} schedules in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  process.exit(problem === null ? 0 : 1);
}

const totals = { steps: 0, reigns: 0, acknowledged: 0 };
const outcomes = new Map<string, number>();
const from = Number(values.from);
let done = 0;
let problem: string | null = null;
while (done < Number(values.seeds) && performance.now() - startedMs < Number(values.seconds) * 1000) {
  const result = await run(from + done++);
  totals.steps += result.steps;
  totals.reigns += result.reigns;
  totals.acknowledged += result.acknowledged;
  for (const outcome of result.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  problem = result.problem ?? unhandled;
  if (problem === null) continue;
  console.log(`seed ${result.seed}: ${problem}`);
  break;
}
const seconds = (performance.now() - startedMs) / 1000;
console.log(
  `${done} schedules in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(0)}/s): ${totals.steps} steps, ` +
    `${totals.reigns} owners, ${totals.acknowledged} writes acknowledged; processes ended: ` +
    [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(", "),
);
process.exit(problem === null ? 0 : 1);
