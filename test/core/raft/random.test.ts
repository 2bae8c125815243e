// Random schedules of everything that can go wrong, with every step checked; then everything heals, and the group must
// be whole again within a bound. Each seed is its own test, so that a failure names it:
// `SEEDS=1 FROM=4711 npx vitest run test/core/raft/random.test.ts` runs that one alone, `SEEDS=5000` hunts.

import { afterAll, describe, expect, it } from "vitest";
import { CONVERGENCE_TIMEOUTS, RandomRun } from "./harness/random-run.ts";

const seeds = Number(process.env["SEEDS"] ?? 250);
const from = Number(process.env["FROM"] ?? 1);
const ACTIONS = 2000;
const BATCH = 25;

const marks = new Map<string, number>();
const recoveries: number[] = [];

function runSeed(seed: number): void {
  try {
    const report = new RandomRun(seed).run(ACTIONS);
    for (const [mark, count] of report.marks) marks.set(mark, (marks.get(mark) ?? 0) + count);
    recoveries.push(report.recoveryTimeouts);
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

describe("random schedules", () => {
  const batches = Array.from({ length: Math.ceil(seeds / BATCH) }, (_, i) => from + i * BATCH);

  it.each(batches)("holds every invariant and converges, from seed %i on", { timeout: 120_000 }, (first) => {
    for (let seed = first; seed < Math.min(first + BATCH, from + seeds); seed++) runSeed(seed);
    expect(recoveries.length).toBeGreaterThan(0);
  });

  it("repeats itself, step by step, with the same seed", () => {
    const [once, again] = [new RandomRun(from).run(ACTIONS), new RandomRun(from).run(ACTIONS)];
    expect({ ...again, marks: [...again.marks] }).toEqual({ ...once, marks: [...once.marks] });
  });

  it("recovers in time", () => {
    expect(Math.max(...recoveries)).toBeLessThanOrEqual(CONVERGENCE_TIMEOUTS);
  });

  // A search that never gets to a rare place says nothing about it.
  it.runIf(seeds >= 250)("reaches the rare places", () => {
    const rare = [
      "truncate",
      "restored",
      "logRead",
      "restart",
      "torn snapshot",
      "torn hardState",
      "leaseRead",
      "readServed",
      "readFailed",
      "confChange",
      "leave",
      "transfer",
      "compact",
      "asleep",
    ];
    expect(rare.filter((mark) => (marks.get(mark) ?? 0) < 5)).toEqual([]);
  });

  afterAll(() => {
    if (process.env["SEEDS"] === undefined) return;
    const told = [...marks].map(([mark, count]) => `${mark} ${count}`).join(", ");
    process.stdout.write(
      `${seeds} seeds from ${from}; slowest recovery ${Math.max(...recoveries)}; ${told}\n`,
    );
  });
});
