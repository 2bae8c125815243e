// Explores schedules of the log and the snapshots in an object store. Arguments: those of every explorer, see
// test/sim/explore.ts; --enumerate N for all schedules that differ from the ordinary one in at most N places, and
// --starts LIST of the steps at which the second process starts there.

import { Explorer } from "../../../sim/explore.ts";
import { PLANTED } from "./planted.ts";

const explorer = new Explorer(PLANTED, 20_000, ["enumerate", "starts"]);
// Only now, so that what is planted is what is loaded.
const { run } = await import("./run.ts");

const deviations = explorer.option("enumerate");
if (deviations !== undefined) {
  const { enumerate, tellSchedule } = await import("./enumerate.ts");
  const starts = explorer.option("starts")?.split(",").map(Number);
  const { schedules, problem } = await enumerate(
    starts ?? Array.from({ length: 60 }, (_, start) => start),
    Number(deviations),
  );
  if (problem !== null) {
    console.log((await tellSchedule(problem.start, problem.deviations)).join("\n"));
    console.log(JSON.stringify(problem));
  }
  console.log(`${schedules} schedules in ${((performance.now() - explorer.startedMs) / 1000).toFixed(0)} s`);
  process.exit(problem === null ? 0 : 1);
}

const totals = { steps: 0, reigns: 0, acknowledged: 0 };
const outcomes = new Map<string, number>();
await explorer.explore(
  run,
  (result) => {
    totals.steps += result.steps;
    totals.reigns += result.reigns;
    totals.acknowledged += result.acknowledged;
    for (const outcome of result.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  },
  () =>
    `${totals.steps} steps, ${totals.reigns} owners, ${totals.acknowledged} writes acknowledged; processes ended: ` +
    [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(", "),
);
