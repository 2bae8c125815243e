import { expect, it } from "vitest";
import { markRewrites } from "./marks.ts";
import { MUTANTS } from "./mutants.ts";
import { rewritten } from "./rewrite.ts";

it.each(MUTANTS)("the place for the planted bug $name is still there", ({ rewrites }) => {
  expect(rewritten(rewrites).size).toBeGreaterThan(0);
});

it("the places of all marks are still there", () => {
  expect(rewritten(markRewrites()).size).toBeGreaterThan(5);
});

it("a place that is gone is told", () => {
  const gone = { file: "src/core/raft/raft.ts", find: "nobody wrote this", replace: "" };
  expect(() => rewritten([gone])).toThrow("holds this 0 times");
});
