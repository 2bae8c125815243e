import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkBank } from "./bank.ts";
import type { BankRead } from "./bank.ts";

const accounts = ["a", "b", "c"];
const options = { accounts, total: 30 };

function readOf(...balances: number[]): BankRead {
  return {
    client: 1,
    callAt: 0,
    returnAt: 1,
    balances: new Map(balances.map((each, at) => [accounts[at] ?? "?", each])),
  };
}

describe("bank", () => {
  it("accepts reads that add up, and does not call none a pass", () => {
    expect(checkBank([readOf(10, 10, 10), readOf(0, 30, 0)], options)).toEqual({
      verdict: "ok",
      problems: [],
    });
    expect(checkBank([], options).verdict).toBe("unknown");
  });

  it("names a wrong total, a missing or strange account, an overdraft, and a balance that is no number", () => {
    const problem = (...balances: number[]) => {
      const result = checkBank([readOf(10, 10, 10), readOf(...balances)], options);
      expect(result.verdict).toBe("violation");
      expect(result.problems.length).toBe(1);
      return result.problems[0];
    };
    expect(problem(10, 10, 9)).toContain("the total is 29, not 30");
    expect(problem(10, 20)).toContain("no account c");
    expect(problem(10, 10, 10, 0)).toContain("an account ? that is none");
    expect(problem(40, -10, 0)).toContain("b holds -10");
    expect(problem(Number.NaN, 10, 10)).toContain("the total is NaN");
    expect(checkBank([readOf(40, -10, 0)], { ...options, mayOverdraw: true }).verdict).toBe("ok");
  });

  it("accepts any transfers, and catches a read in the middle of any of them", () => {
    const transfer = fc.record({
      from: fc.nat({ max: 2 }),
      to: fc.nat({ max: 2 }),
      amount: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(transfer, { minLength: 1, maxLength: 20 }), fc.nat(), (transfers, torn) => {
        let balances = [10, 10, 10];
        const between: BankRead[] = [];
        const inTheMiddle: BankRead[] = [];
        for (const { from, to, amount } of transfers) {
          if (from === to || balances[from]! < amount) continue;
          const taken = balances.with(from, balances[from]! - amount);
          inTheMiddle.push(readOf(...taken));
          balances = taken.with(to, taken[to]! + amount);
          between.push(readOf(...balances));
        }
        if (between.length === 0) return;
        expect(checkBank(between, options).verdict).toBe("ok");
        const bad = inTheMiddle[torn % inTheMiddle.length]!;
        expect(checkBank([...between, bad], options).verdict).toBe("violation");
      }),
      { numRuns: 300 },
    );
  });
});
