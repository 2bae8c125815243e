import { expect, test } from "vitest";
import { crashPointScenario } from "./crash-points.ts";
import { drawScenario, objectsScenario } from "./draw.ts";
import { runScenario } from "./simulation.ts";

// A taste of what `npm run sim` does at length; see README.md.

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

test("a few seeds: nothing acknowledged is lost, nothing stale is read, and all recovers", async () => {
  let ok = 0;
  for (const seed of SEEDS) {
    const { problems, requests } = await runScenario(drawScenario(seed, { durationMs: 20_000 }));
    expect(problems, `seed ${seed}`).toEqual([]);
    ok += requests.ok;
  }
  // Runs in which hardly anything succeeds show nothing.
  expect(ok).toBeGreaterThan(1000);
});

test("objects that lose their memory asleep and awake", async () => {
  let ok = 0;
  for (const seed of SEEDS) {
    const { problems, requests } = await runScenario(objectsScenario(seed));
    expect(problems, `seed ${seed}`).toEqual([]);
    ok += requests.ok;
  }
  expect(ok).toBeGreaterThan(500);
});

test("the same seed gives the same run, to the last byte", async () => {
  const scenario = drawScenario(12, { durationMs: 15_000 });
  const first = await runScenario(scenario);
  expect(await runScenario(scenario)).toEqual(first);
  const other = await runScenario(drawScenario(13, { durationMs: 15_000 }));
  expect(other.hash).not.toBe(first.hash);
});

test("a crash at some of the effects of one scenario, before and after", async () => {
  const scenario = crashPointScenario(1);
  const { effects, problems } = await runScenario(scenario);
  expect(problems).toEqual([]);
  expect(effects).toBeGreaterThan(500);
  for (let i = 1; i <= 6; i++) {
    const crashPoint = {
      effect: Math.floor((effects * i) / 7),
      side: i % 2 === 0 ? "before" : "after",
    } as const;
    const result = await runScenario(scenario, { crashPoint });
    expect(result.problems, `effect ${crashPoint.effect}`).toEqual([]);
    expect(result.crashes).toBeGreaterThan(0);
  }
});
