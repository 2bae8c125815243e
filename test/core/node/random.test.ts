import { expect, test } from "vitest";
import { Swarm, type SwarmResult } from "./world/swarm.ts";

/** Virtual time under faults, in each run; peace comes on top. */
const VIRTUAL_MS = 6_000;
const BATCHES = [1, 6, 11, 16, 21, 26, 31, 36];
const BATCH = 5;

async function run(seed: number): Promise<SwarmResult> {
  return await new Swarm(seed).run(VIRTUAL_MS);
}

// To look into a failure: the seed is the first number of the list that is expected to be empty.
test.each(BATCHES)("whatever happens, nothing acknowledged is lost (seeds from %i)", async (first) => {
  const wrong: string[] = [];
  let writes = 0;
  let reads = 0;
  for (let seed = first; seed < first + BATCH; seed++) {
    const result = await run(seed);
    wrong.push(...result.wrong.map((what) => `${seed}: ${what}`));
    writes += result.writes;
    reads += result.reads;
  }
  expect(wrong).toEqual([]);
  // A run in which hardly anything succeeds shows nothing.
  expect(writes).toBeGreaterThan(300);
  expect(reads).toBeGreaterThan(300);
});

test("a run repeats to the last byte, faults and all", async () => {
  const first = await run(3);
  expect(await run(3)).toEqual(first);
});
