import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, simpleConfig } from "../../../src/core/raft/index.ts";
import { RaftLog } from "../../../src/core/raft/raft-log.ts";
import { command, snapshotAt } from "./one-node.ts";
import { LogAgainstModel, operation } from "./raft-log-model.ts";

const CONFIG = simpleConfig([1n]);
const fresh = (tail: readonly Entry[] = [], commit = 1, applied = 1, maxTailBytes = 1 << 20): RaftLog =>
  new RaftLog(snapshotAt(1, 1, CONFIG), { index: 1, term: 1 }, tail, commit, applied, maxTailBytes);

const untold = (): void => {};

describe("RaftLog, against a naive log", () => {
  it("says the same after any sequence of operations", () => {
    fc.assert(
      fc.property(fc.nat(400), fc.array(operation, { maxLength: 60 }), (maxTailBytes, operations) => {
        const both = new LogAgainstModel(maxTailBytes);
        for (const step of operations) {
          both.run(step);
          both.check();
        }
      }),
      { numRuns: 400 },
    );
  });

  it("finds the largest place at which another log may agree", () => {
    const terms = fc.array(fc.nat(3), { maxLength: 12 }).map((steps) => {
      let term = 1;
      return steps.map((by) => (term += by));
    });
    fc.assert(
      fc.property(
        terms,
        fc.nat(16),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(12),
        (logTerms, index, term, low) => {
          const log = fresh(logTerms.map((t, i) => command(i + 2, t)));
          const floor = Math.min(Math.max(low, 1), log.lastIndex);
          const found = log.lastAgreementCandidate(index, term, floor);
          const candidates = [...Array(log.lastIndex + 1).keys()].filter(
            (i) => i <= index && (i <= floor || log.term(i)! <= term),
          );
          expect(found.index).toBe(Math.max(...candidates.filter((i) => i >= Math.min(floor, index))));
          expect(found.term).toBe(log.term(found.index) ?? 0);
        },
      ),
    );
  });
});

describe("RaftLog", () => {
  it("forgets applied and durable entries beyond the tail's bound, and nothing else", () => {
    const log = fresh([], 1, 1, 1000);
    for (let i = 2; i <= 101; i++) log.append([{ ...command(i, 2), data: new Uint8Array(68) } as Entry]);
    expect(log.tailBytes).toBe(10_000);
    log.commitTo(101);
    log.takeCommitted(Number.POSITIVE_INFINITY, 101);
    log.appliedTo(101);
    expect(log.tailStart).toBe(2);
    log.takeUnpersisted();
    log.persistedTo(60);
    log.appliedTo(101);
    expect(log.tailStart).toBe(61);
    log.persistedTo(101);
    log.appliedTo(101);
    expect(log.tailBytes).toBeLessThanOrEqual(1000);
    expect(log.tailBytes).toBeGreaterThan(0);
    expect(log.term(log.tailStart - 1)).toBe(2);
    expect(log.term(log.tailStart - 2)).toBeUndefined();
  });

  it("keeps the term of the compacted position, which a snapshot proves", () => {
    const log = fresh([command(2, 2), command(3, 3)], 3, 3, 0);
    log.compactTo(snapshotAt(2, 2, CONFIG));
    log.appliedTo(3);
    expect([log.tailStart, log.term(2), log.term(1)]).toEqual([4, 2, undefined]);
    log.compactTo(snapshotAt(1, 1, CONFIG));
    expect(log.compacted.index).toBe(2);
  });

  it("gives at least one entry however small the limit, and stops at the limit", () => {
    const log = fresh([2, 3, 4].map((i) => ({ ...command(i, 2), data: new Uint8Array(68) }) as Entry));
    expect(log.entriesFrom(2, 0)!.length).toBe(1);
    expect(log.entriesFrom(2, 199)!.length).toBe(1);
    expect(log.entriesFrom(2, 200)!.length).toBe(2);
    expect(log.entriesFrom(5, 200)).toEqual([]);
  });

  it.each([
    [4, 3, true],
    [9, 3, true],
    [1, 4, true],
    [3, 3, false],
    [9, 2, false],
  ])(
    "that ends at 4/3 takes one that ends at %i/%i for up to date: %s (paper §5.4.1)",
    (index, term, expected) => {
      const log = fresh([command(2, 2), command(3, 2), command(4, 3)]);
      expect(log.isUpToDate(index, term)).toBe(expected);
    },
  );

  it.each([
    ["a hole", (log: RaftLog): unknown => log.append([command(7, 2)]), "contiguous"],
    ["a term that falls", (log: RaftLog): unknown => log.append([command(4, 1)]), "terms never decrease"],
    ["a commit beyond the end", (log: RaftLog): unknown => log.commitTo(4), "inside the log"],
    [
      "truncation of what is committed",
      (log: RaftLog): unknown => log.tryAppend({ index: 1, term: 1 }, [command(2, 3)], untold),
      "never replaced",
    ],
    ["durability of what was not written", (log: RaftLog): unknown => log.persistedTo(4), "given out"],
    ["applying what was not handed out", (log: RaftLog): unknown => log.appliedTo(2), "given out"],
    ["compacting what is not applied", (log: RaftLog): unknown => log.compactTo(snapshotAt(2, 2)), "applied"],
    ["restoring an old snapshot", (log: RaftLog): unknown => log.restore(snapshotAt(2, 2)), "newer"],
  ])("stops at %s", (_, broken, why) => {
    const log = fresh([command(2, 2), command(3, 2)], 2);
    expect(() => broken(log)).toThrow(why);
  });

  it("refuses to start from markers that contradict each other", () => {
    expect(() => fresh([], 1, 0)).toThrow("in the tail");
    expect(() => fresh([command(2, 2)], 1, 2)).toThrow("applied ≤ commit");
    expect(() => fresh([command(2, 2)], 3, 1)).toThrow("applied ≤ commit");
  });
});
