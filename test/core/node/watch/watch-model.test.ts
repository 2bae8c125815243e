import fc from "fast-check";
import { test } from "vitest";
import { steps, WatchRun } from "./watch-run.ts";

test("each watch is told exactly what happened to its keys, in order, whatever else goes on", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(0, 1500, 1 << 20), async (drawn, recent) => {
      const run = new WatchRun(recent);
      for (const each of drawn) await run.step(each);
      await run.finish();
    }),
    { numRuns: 400 },
  );
});
