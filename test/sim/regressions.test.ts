import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseScenario } from "./scenario.ts";
import { runScenario } from "./simulation.ts";

// Scenarios that once failed, shrunk: each file says what it was. Also: npm run sim -- --replay FILE

const FOLDER = new URL("regressions/", import.meta.url);

test.each(readdirSync(FOLDER).filter((name) => name.endsWith(".json")))("%s", async (name) => {
  const scenario = parseScenario(readFileSync(new URL(name, FOLDER), "utf8"));
  expect((await runScenario(scenario)).problems).toEqual([]);
});
