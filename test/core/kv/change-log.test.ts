import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/core/errors/index.ts";
import { ChangeLog } from "../../../src/core/kv/change-log.ts";
import { randomNumbers } from "./random-numbers.ts";

function contentOf(log: ChangeLog): number[] {
  return Array.from({ length: log.end - log.start }, (_, i) => log.at(log.start + i));
}

describe("ChangeLog", () => {
  it("is a queue that can also take back its newest entries, and clones see none of it", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 8 }), (seed, shifts) => {
        const random = randomNumbers(seed);
        const log = new ChangeLog();
        const model: number[] = [];
        const clones: { readonly log: ChangeLog; readonly content: number[] }[] = [];
        let next = 1;
        let shifted = 0;
        let wrong = 0;
        for (let step = 0; step < 30; step++) {
          for (let i = random(1500); i > 0; i--) {
            log.push(next);
            model.push(next++);
          }
          // What a clone has seen is never taken back: a transaction ends before anyone looks.
          const seen = clones.at(-1)?.log.end ?? 0;
          for (let i = random(40); i > 0 && log.end > Math.max(seen, log.start); i--) {
            wrong += log.pop() === model.pop() ? 0 : 1;
          }
          for (let i = random(shifts * 200 + 1); i > 0 && model.length > 0; i--) {
            wrong += log.shift() === model.shift() ? 0 : 1;
            shifted++;
          }
          if (random(5) === 0) clones.push({ log: log.clone(), content: model.slice() });
        }
        expect(wrong).toBe(0);
        expect(log.start).toBe(shifted);
        expect(contentOf(log)).toEqual(model);
        for (const clone of clones) expect(contentOf(clone.log)).toEqual(clone.content);
      }),
      { numRuns: 30 },
    );
  });

  it("finds the first entry that something holds for", () => {
    const log = new ChangeLog();
    for (let i = 0; i < 10_000; i++) log.push(i * 2);
    for (let i = 0; i < 100; i++) log.shift();
    expect(log.find((entry) => entry >= 9001)).toBe(4501);
    expect(log.find(() => true)).toBe(100);
    expect(log.find(() => false)).toBe(10_000);
  });

  it("has nothing outside its ends", () => {
    const log = new ChangeLog();
    expect(() => log.pop()).toThrow(AssertionError);
    expect(() => log.shift()).toThrow(AssertionError);
    log.push(1);
    expect(() => log.at(1)).toThrow(AssertionError);
    log.shift();
    expect(() => log.at(0)).toThrow(AssertionError);
  });
});
