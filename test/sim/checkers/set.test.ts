import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HistoryError } from "./history.ts";
import { checkSet } from "./set.ts";
import type { SetAdd, SetElement, SetRead } from "./set.ts";

function add(element: SetElement, callAt: number, returnAt: number): SetAdd {
  return { client: 1, element, callAt, returnAt, status: "ok" };
}

function read(callAt: number, returnAt: number, ...elements: SetElement[]): SetRead {
  return { client: 2, callAt, returnAt, elements };
}

const open = (element: SetElement, callAt = 0): SetAdd => ({ client: 1, element, callAt, status: "unknown" });

describe("set", () => {
  it("accepts a set that keeps everything", () => {
    const result = checkSet(
      [add(1, 0, 1), add(2, 4, 9)],
      [read(2, 3, 1), read(5, 6, 1, 2), read(10, 11, 2, 1)],
    );
    expect(result).toMatchObject({ verdict: "ok", explanation: "" });
  });

  it("finds what was acknowledged and is gone", () => {
    expect(checkSet([add(1, 0, 1), add(2, 0, 1)], [read(2, 3, 2)])).toMatchObject({
      verdict: "violation",
      lost: [1],
    });
    expect(checkSet([add(1, 0, 1)], [read(2, 3, 1), read(4, 5)])).toMatchObject({
      verdict: "violation",
      lost: [1],
    });
  });

  it("finds what nobody acknowledged, but someone saw, and is gone", () => {
    const reads = [read(2, 3, 1), read(4, 5)];
    expect(checkSet([open(1)], reads)).toMatchObject({ verdict: "violation", lost: [1] });
    expect(checkSet([open(1)], reads.slice(1)).verdict).toBe("ok");
    expect(checkSet([open(1)], [read(2, 5, 1), read(4, 5)]).verdict).toBe("ok");
  });

  it("tells a stale read from a loss", () => {
    const reads = [read(2, 3), read(4, 5, 1)];
    expect(checkSet([add(1, 0, 1)], reads)).toMatchObject({ verdict: "violation", stale: [1], lost: [] });
    expect(checkSet([add(1, 0, 1)], reads, { areReadsLinearizable: false }).verdict).toBe("ok");
    expect(checkSet([add(1, 0, 2)], reads).verdict).toBe("ok");
  });

  it("finds elements from nowhere, from the future, and from failed adds", () => {
    const failed: SetAdd = { client: 1, element: 3, callAt: 0, status: "failed" };
    expect(checkSet([], [read(2, 3, 7)])).toMatchObject({ verdict: "violation", unexpected: [7] });
    expect(checkSet([add(1, 4, 5)], [read(2, 3, 1), read(6, 7, 1)])).toMatchObject({ unexpected: [1] });
    expect(checkSet([failed], [read(2, 3, 3)])).toMatchObject({ verdict: "violation", unexpected: [3] });
    expect(checkSet([failed], [read(2, 3)]).verdict).toBe("ok");
  });

  it("finds an element that is there twice", () => {
    expect(checkSet([add(1, 0, 1)], [read(2, 3, 1, 1)])).toMatchObject({
      verdict: "violation",
      duplicated: [1],
    });
  });

  it("reports what unknown adds left, and does not mind", () => {
    expect(checkSet([open(1), open(2)], [read(2, 3, 1)])).toMatchObject({ verdict: "ok", recovered: [1] });
  });

  it("does not call it a pass when no read came after an acknowledged add", () => {
    expect(checkSet([add(1, 0, 1)], [])).toMatchObject({ verdict: "unknown", unverified: [1] });
    expect(checkSet([add(1, 0, 5)], [read(2, 6)])).toMatchObject({ verdict: "unknown", unverified: [1] });
    expect(checkSet([add(1, 0, 5)], [read(2, 6, 1)]).verdict).toBe("ok");
  });

  it("refuses a history that adds an element twice", () => {
    expect(() => checkSet([add(1, 0, 1), open(1)], [])).toThrow(HistoryError);
  });

  it("accepts what a real set gives, and catches each kind of damage to its last read", () => {
    const plan = fc.record({
      callAt: fc.nat({ max: 20 }),
      effectAfter: fc.nat({ max: 4 }),
      returnAfter: fc.nat({ max: 4 }),
      fate: fc.constantFrom("ok", "ok", "ok", "unknown, effect", "unknown, none", "failed", "read", "read"),
    });
    fc.assert(
      fc.property(fc.array(plan, { minLength: 1, maxLength: 20 }), fc.nat(), (plans, pick) => {
        const inOrder = plans
          .map((each, element) => ({ ...each, element, effectAt: each.callAt + each.effectAfter }))
          .toSorted((a, b) => a.effectAt - b.effectAt);
        const content: number[] = [];
        const adds: SetAdd[] = [];
        const reads: SetRead[] = [];
        for (const { element, callAt, effectAt, returnAfter, fate } of inOrder) {
          const returnAt = effectAt + returnAfter;
          if (fate === "read") {
            reads.push(read(callAt, returnAt, ...content));
            continue;
          }
          if (fate === "ok" || fate === "unknown, effect") content.push(element);
          const status = fate === "ok" || fate === "failed" ? fate : "unknown";
          adds.push(
            status === "ok" ? add(element, callAt, returnAt) : { client: 1, element, callAt, status },
          );
        }
        const withLast = (...elements: number[]) => checkSet(adds, [...reads, read(100, 101, ...elements)]);
        expect(withLast(...content).verdict).toBe("ok");
        expect(withLast(...content, 1000)).toMatchObject({ verdict: "violation", unexpected: [1000] });
        const acknowledged = adds.filter(({ status }) => status === "ok").map(({ element }) => element);
        if (acknowledged.length === 0) return;
        const victim = acknowledged[pick % acknowledged.length]!;
        const damaged = content.filter((element) => element !== victim);
        expect(withLast(...damaged)).toMatchObject({ verdict: "violation", lost: [victim] });
        expect(withLast(...content, Number(victim))).toMatchObject({
          verdict: "violation",
          duplicated: [victim],
        });
      }),
      { numRuns: 500 },
    );
  });
});
