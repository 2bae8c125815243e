import fc from "fast-check";
import { expect, test } from "vitest";
import { type Interval, IntervalIndex } from "../../../../src/core/node/watch/interval-index.ts";
import { Prng } from "../../raft/harness/prng.ts";

const key = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 3 });

const interval: fc.Arbitrary<Interval> = fc.oneof(
  fc.record({ single: fc.constant(true as const), from: key }),
  fc.record({ single: fc.constant(false as const), from: key, to: fc.option(key) }),
);

function has(each: Interval, wanted: string): boolean {
  if (each.single) return each.from === wanted;
  return wanted >= each.from && (each.to === null || wanted < each.to);
}

test("finds everyone who wants a key, and nobody else, whoever came and went", () => {
  fc.assert(
    fc.property(
      fc.array(interval, { maxLength: 60 }),
      fc.infiniteStream(fc.nat(2)),
      fc.nat(),
      (all, coin, seed) => {
        const random = new Prng(seed);
        const index = new IntervalIndex<number>(() => random.next());
        const members = new Map<number, Interval>();
        for (const [member, each] of all.entries()) {
          index.add(each, member);
          members.set(member, each);
          const [oldest] = members;
          if (coin.next().value === 0 && oldest !== undefined) {
            index.delete(oldest[1], oldest[0]);
            members.delete(oldest[0]);
          }
          expect(index.size).toBe(members.size);
        }
        for (const wanted of ["a", "aa", "ab", "abc", "b", "ba", "bcb", "c", "cc", "ccc", "d"]) {
          const found: number[] = [];
          index.visit(wanted, (member) => found.push(member));
          const expected = [...members].filter(([, each]) => has(each, wanted)).map(([member]) => member);
          expect(found.toSorted((x, y) => x - y)).toEqual(expected);
        }
        for (const [member, each] of members) index.delete(each, member);
        expect(index.size).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

test("looks at few of many ranges, in whatever order they came", () => {
  const count = 4096;
  const name = (i: number): string => i.toString(16).padStart(5, "0");
  const random = new Prng(1);
  const index = new IntervalIndex<number>(() => random.next());
  // In order, which makes a tree that is not balanced a list: this would overflow the stack.
  for (let i = 0; i < 16 * count; i++) index.add({ single: false, from: name(i), to: name(i + 1) }, i);
  const found: number[] = [];
  index.visit(name(77), (member) => found.push(member));
  expect(found).toEqual([77]);
});
