import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { runBundle } from "./exploration/bundle.ts";
import { enumerate } from "./exploration/enumerate.ts";
import { PLANTED, PLANTED_IN_BUNDLES } from "./exploration/planted.ts";
import { run } from "./exploration/run.ts";

const SEEDS = 300;
const BUNDLE_SEEDS = 100;
/** After how many steps the second owner comes: while the first opens, writes, compacts. */
const STARTS = [4, 14, 22];
/** Found at once, one for each of the protocol's parts; .ci/suites/object-store.sh has the others found as well. */
const QUICK = ["unknown-is-written", "no-fence", "chunks-of-uploads-swept"];

describe("exploration of the log and snapshots in an object store", () => {
  it("loses nothing acknowledged in any of a fixed set of schedules", { timeout: 120_000 }, async () => {
    let acknowledged = 0;
    let owners = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await run(seed);
      expect(result.problem, `seed ${seed}`).toBeNull();
      acknowledged += result.acknowledged;
      owners += result.reigns;
    }
    // So that it cannot pass by doing nothing.
    expect(owners).toBeGreaterThan(2 * SEEDS);
    expect(acknowledged).toBeGreaterThan(10 * SEEDS);
  });

  it("nor in any that differs from the ordinary one in one place", { timeout: 120_000 }, async () => {
    const { schedules, problem } = await enumerate(STARTS, 1);
    expect(problem).toBeNull();
    expect(schedules).toBeGreaterThan(500);
  });

  it("tells a schedule again from its seed", async () => {
    const [one, two] = [await run(7, true), await run(7, true)];
    expect(one.story.length).toBeGreaterThan(50);
    expect(two.story).toEqual(one.story);
  });

  it.each(QUICK)("finds the planted bug %s", { timeout: 120_000 }, async (name) => {
    expect(PLANTED.map((planted) => planted.name)).toContain(name);
    const main = new URL("./exploration/main.ts", import.meta.url).pathname;
    const hunt = promisify(execFile)(process.execPath, [main, "--plant", name, "--seeds", "500"]);
    await expect(hunt).rejects.toMatchObject({ stdout: expect.stringMatching(/^seed \d+: Violation: /) });
  });
});

describe("exploration of a log in one store and votes in another", () => {
  it("finds no vote that an older process goes behind", { timeout: 120_000 }, async () => {
    let votes = 0;
    let acknowledged = 0;
    for (let seed = 1; seed <= BUNDLE_SEEDS; seed++) {
      const result = await runBundle(seed);
      expect(result.problem, `seed ${seed}`).toBeNull();
      votes += result.votes;
      acknowledged += result.acknowledged;
    }
    expect(votes).toBeGreaterThan(2 * BUNDLE_SEEDS);
    expect(acknowledged).toBeGreaterThan(2 * BUNDLE_SEEDS);
  });

  it.each(PLANTED_IN_BUNDLES)("finds the planted bug $name", { timeout: 120_000 }, async ({ name }) => {
    const main = new URL("./exploration/bundle-main.ts", import.meta.url).pathname;
    const hunt = promisify(execFile)(process.execPath, [main, "--plant", name, "--seeds", "500"]);
    await expect(hunt).rejects.toMatchObject({ stdout: expect.stringMatching(/^seed \d+: Violation: /) });
  });
});
