// Explores schedules of a function that is the node. Arguments: --from SEED, --seeds N, --seconds S, --tell SEED,
// --plant NAME of a bug. Prints the first schedule that breaks a rule.

import { parseArgs } from "node:util";
import { rewriteSources } from "../../../../sim/rewrite.ts";
import { PLANTED } from "./planted.ts";

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "1" },
    seeds: { type: "string", default: "2000" },
    seconds: { type: "string", default: "600" },
    tell: { type: "string" },
    plant: { type: "string" },
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
const totals = { steps: 0, answered: 0, failed: 0, unknown: 0 };
const from = Number(values.from);
let done = 0;
let problem: string | null = null;
while (done < Number(values.seeds) && performance.now() - startedMs < Number(values.seconds) * 1000) {
  const result = await run(from + done++);
  totals.steps += result.steps;
  totals.answered += result.answered;
  totals.failed += result.failed;
  totals.unknown += result.unknown;
  problem = result.problem ?? unhandled;
  if (problem === null) continue;
  console.log(`seed ${result.seed}: ${problem}`);
  break;
}
const seconds = (performance.now() - startedMs) / 1000;
console.log(
  `${done} schedules in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(0)}/s): ${totals.steps} steps; requests ` +
    `answered ${totals.answered}, not done ${totals.failed}, unknown ${totals.unknown}`,
);
process.exit(problem === null ? 0 : 1);
