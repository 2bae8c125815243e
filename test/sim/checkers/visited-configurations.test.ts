import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VisitedConfigurations } from "./visited-configurations.ts";

interface Configuration {
  readonly placed: Int32Array;
  readonly state: number;
  readonly used: Int32Array;
}

const words = (length: number): fc.Arbitrary<Int32Array> =>
  fc
    .array(fc.constantFrom(0, -1, 1, 2, 3, 1 << 31), { minLength: length, maxLength: length })
    .map((each) => Int32Array.from(each));

describe("VisitedConfigurations", () => {
  const configuration: fc.Arbitrary<Configuration> = fc.record({
    placed: words(3),
    state: fc.nat({ max: 2 }),
    used: words(2),
  });

  function isAtLeastAsGood(a: Configuration, b: Configuration): boolean {
    return (
      a.state === b.state &&
      a.placed.join() === b.placed.join() &&
      a.used.every((word, index) => (word & ~b.used[index]!) === 0)
    );
  }

  it("refuses exactly what a known one is as good as, even when all hashes are equal", () => {
    fc.assert(
      fc.property(fc.array(configuration, { maxLength: 400, size: "max" }), (configurations) => {
        const visited = new VisitedConfigurations(2);
        const known: Configuration[] = [];
        for (const each of configurations) {
          const isNew = !known.some((earlier) => isAtLeastAsGood(earlier, each));
          // Undoes what the state adds to the hash.
          const hash = Math.imul(each.state + 1, 0x9e3779b1);
          expect(visited.add(hash, each.placed, each.state, each.used)).toBe(isNew);
          if (isNew) known.push(each);
        }
        expect(visited.size).toBe(known.length);
      }),
      { numRuns: 50 },
    );
  });
});
