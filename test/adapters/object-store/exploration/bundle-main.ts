// Explores schedules of a node with its log in one store and its votes in another. Arguments: those of every explorer,
// see test/sim/explore.ts.

import { Explorer } from "../../../sim/explore.ts";
import { PLANTED_IN_BUNDLES } from "./planted.ts";

const explorer = new Explorer(PLANTED_IN_BUNDLES, 5000);
// Only now, so that what is planted is what is loaded.
const { runBundle } = await import("./bundle.ts");

const totals = { votes: 0, acknowledged: 0 };
await explorer.explore(
  runBundle,
  ({ votes, acknowledged }) => {
    totals.votes += votes;
    totals.acknowledged += acknowledged;
  },
  () => `${totals.votes} votes, ${totals.acknowledged} entries acknowledged`,
);
