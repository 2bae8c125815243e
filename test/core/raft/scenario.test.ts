// Stories, one file each: commands, then what must happen. `REWRITE=1 npx vitest run test/core/raft/scenario.test.ts`
// writes down what does happen: read the difference before you keep it.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseScenario, printScenario, runScenario } from "./harness/interpreter.ts";

const folder = new URL("scenarios/", import.meta.url);
const rewrite = process.env["REWRITE"] === "1";

describe("scenarios", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));

  it("are found, so that none of them can pass by not being there", () => {
    expect(files.length).toBeGreaterThan(70);
  });

  for (const name of files.toSorted()) {
    it(name.replace(/\.txt$/, "").replaceAll("-", " "), () => {
      const path = new URL(name, folder);
      const text = readFileSync(path, "utf8");
      const told = printScenario(runScenario(parseScenario(text)));
      if (rewrite) writeFileSync(path, told);
      else expect(told).toBe(text);
    });
  }
});
