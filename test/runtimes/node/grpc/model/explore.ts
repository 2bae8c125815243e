import fc from "fast-check";
import { deepStrictEqual } from "node:assert/strict";
import { Player } from "./player.ts";
import { type Step, steps } from "./steps.ts";

/** How often frames were answered how. */
export interface Explored {
  runs: number;
  nothing: number;
  stream: number;
  connection: number;
}

/** More would not be written in one turn, and what comes then would depend on when it is. */
const MAX_REPLAYED_BYTES = 50_000;

/** Plays random steps and holds the framing to the rules; then their bytes again, cut in other ways. */
export async function explore(
  options: Pick<
    fc.Parameters<[Step[], boolean, number[]]>,
    "numRuns" | "seed" | "path" | "interruptAfterTimeLimit"
  >,
): Promise<Explored> {
  const explored: Explored = { runs: 0, nothing: 0, stream: 0, connection: 0 };
  const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), cuts, async (drawn, hangsUp, cutAt) => {
      const player = new Player();
      await player.play(drawn, hangsUp);
      explored.runs++;
      for (const kind of ["nothing", "stream", "connection"] as const) explored[kind] += player.counts[kind];
      if (player.answeredBytes > MAX_REPLAYED_BYTES) return;
      const { once, again } = await player.replay(cutAt);
      deepStrictEqual(again, once);
    }),
    options,
  );
  return explored;
}
