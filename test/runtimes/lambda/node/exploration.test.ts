import { describe, expect, it } from "vitest";
import { run } from "./exploration/run.ts";

// More of the same: npm run sim:lambda, and sim:lambda:planted for the bugs that it must find.
describe("a function that is the node, under faults", () => {
  it(
    "is linearizable, and no lease ends early or never, whatever is lost, late, stalled, frozen or ends",
    { timeout: 120_000 },
    async () => {
      const totals = { answered: 0, failed: 0, unknown: 0 };
      for (let seed = 5001; seed <= 5060; seed++) {
        const { problem, answered, failed, unknown } = await run(seed);
        expect(problem, `npm run sim:lambda -- --tell ${seed}`).toBeNull();
        totals.answered += answered;
        totals.failed += failed;
        totals.unknown += unknown;
      }
      // Schedules in which hardly anything is answered, or nothing goes wrong, would show nothing.
      expect(totals.answered).toBeGreaterThan(1000);
      expect(totals.failed).toBeGreaterThan(20);
      expect(totals.unknown).toBeGreaterThan(20);
    },
  );
});
