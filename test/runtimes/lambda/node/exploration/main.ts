// Explores schedules of a function that is the node. Arguments: those of every explorer, see test/sim/explore.ts.

import { Explorer } from "../../../../sim/explore.ts";
import { PLANTED } from "./planted.ts";

const explorer = new Explorer(PLANTED, 2000);
// Only now, so that what is planted is what is loaded.
const { run } = await import("./run.ts");

const totals = { steps: 0, answered: 0, failed: 0, unknown: 0 };
await explorer.explore(
  run,
  (result) => {
    totals.steps += result.steps;
    totals.answered += result.answered;
    totals.failed += result.failed;
    totals.unknown += result.unknown;
  },
  () =>
    `${totals.steps} steps; requests answered ${totals.answered}, not done ${totals.failed}, unknown ${totals.unknown}`,
);
