// Stories, one file each: commands, then what must happen. `REWRITE=1 npx vitest run test/core/raft/scenario.test.ts`
// writes down what does happen: read the difference before you keep it.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseScenario, printScenario, runScenario } from "./harness/interpreter.ts";

const folder = new URL("scenarios/", import.meta.url);
const rewrite = process.env["REWRITE"] === "1";
const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));

describe("scenarios", () => {
  it("are found, so that none of them can pass by not being there", () => {
    expect(files.length).toBeGreaterThan(80);
  });

  it.each(files.toSorted())("%s", (name) => {
    const path = new URL(name, folder);
    const told = printScenario(runScenario(parseScenario(readFileSync(path, "utf8"))));
    if (rewrite) writeFileSync(path, told);
    expect(told).toBe(readFileSync(path, "utf8"));
  });
});
