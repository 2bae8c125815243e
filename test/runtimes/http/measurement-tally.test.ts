import { expect, it } from "vitest";
import { MeasurementTally } from "../../../src/runtimes/http/measurement-tally.ts";
import { MEASUREMENTS } from "../../../src/runtimes/http/status-metrics.ts";

/** The lines of one metric. */
function linesOf(tally: MeasurementTally, name: string): string[] {
  const words = new RegExp(`^(# (HELP|TYPE) )?${name}(_bucket|_sum|_count)?[ {]`);
  return tally
    .render()
    .split("\n")
    .filter((line) => words.test(line));
}

it("counts each value in the first bucket that is not less, and in all that follow", () => {
  const tally = new MeasurementTally();
  for (const value of [1, 2, 3, 4096, 4097]) tally.observer("applyBatch", value);
  const { name, help } = MEASUREMENTS.applyBatch;
  const counts = { 1: 1, 2: 2, 4: 3, 8: 3, 16: 3, 32: 3, 64: 3, 128: 3, 256: 3, 512: 3, 1024: 3, 4096: 4 };
  expect(linesOf(tally, name)).toEqual([
    `# HELP ${name} ${help}`,
    `# TYPE ${name} histogram`,
    ...Object.entries(counts).map(([bound, count]) => `${name}_bucket{le="${bound}"} ${count}`),
    `${name}_bucket{le="+Inf"} 5`,
    `${name}_sum 8199`,
    `${name}_count 5`,
  ]);
});

it("adds up what is only counted", () => {
  const tally = new MeasurementTally();
  tally.observer("rejectedProposals", 3);
  tally.observer("rejectedProposals", 4);
  const { name } = MEASUREMENTS.rejectedProposals;
  expect(linesOf(tally, name).slice(1)).toEqual([`# TYPE ${name} counter`, `${name} 7`]);
});

it("has no name twice, and buckets in ascending order", () => {
  const metrics = Object.values(MEASUREMENTS);
  expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
  for (const { buckets } of metrics) expect(buckets ?? []).toEqual((buckets ?? []).toSorted((a, b) => a - b));
});
