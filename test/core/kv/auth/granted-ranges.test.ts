import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareBytes } from "../../../../src/core/bytes/index.ts";
import { GrantedRanges } from "../../../../src/core/kv/auth/granted-ranges.ts";
import type { Permission } from "../../../../src/core/kv/index.ts";

const ZERO = Uint8Array.of(0);

/** Every key of so many of the bytes 0, 1 and 255: neighbours, prefixes of each other, and both ends. */
function keysUpTo(length: number): Uint8Array[] {
  if (length === 0) return [];
  const all = Array.from({ length: 3 ** length }, (_, number) =>
    Uint8Array.from({ length }, (_byte, at) => [0, 1, 255][Math.floor(number / 3 ** at) % 3]!),
  );
  return [...keysUpTo(length - 1), ...all];
}

const BOUNDS = keysUpTo(3);
/** One byte longer: wherever something that was granted ends, the key is among these that follows it. */
const KEYS = keysUpTo(4);

/** What a range request means, key by key. */
function isIn(key: Uint8Array, from: Uint8Array, rangeEnd: Uint8Array): boolean {
  if (rangeEnd.length === 0) return compareBytes(key, from) === 0;
  if (compareBytes(key, from) < 0) return false;
  return compareBytes(rangeEnd, ZERO) === 0 || compareBytes(key, rangeEnd) < 0;
}

const key = fc.constantFrom(...BOUNDS);
const rangeEnd = fc.oneof(fc.constant(new Uint8Array(0)), fc.constant(ZERO), key);
const permission: fc.Arbitrary<Permission> = fc.record({
  access: fc.constantFrom("read", "write", "readWrite"),
  key,
  rangeEnd,
});

describe("what was granted", () => {
  test("covers a request exactly when it covers each of its keys, of all that there could be", () => {
    fc.assert(
      fc.property(fc.array(permission, { maxLength: 6 }), key, rangeEnd, (permissions, from, end) => {
        const granted = new GrantedRanges(permissions);
        const inside = KEYS.filter((each) => isIn(each, from, end));
        // A range that is inverted names no key: its first stands for it.
        const asked = inside.length === 0 ? [from] : inside;
        for (const [access, may] of [
          ["read", granted.mayRead(from, end)],
          ["write", granted.mayWrite(from, end)],
        ] as const) {
          const given = permissions.filter((each) => each.access === access || each.access === "readWrite");
          const covered = (one: Uint8Array): boolean =>
            given.some((range) => isIn(one, range.key, range.rangeEnd));
          expect(may).toBe(asked.every(covered));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("adds up where ranges touch, and not where a key is between them", () => {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    const read = (from: string, to: string): Permission => ({
      access: "read",
      key: text(from),
      rangeEnd: text(to),
    });
    const touching = new GrantedRanges([read("c", "e"), read("a", "c")]);
    expect(touching.mayRead(text("a"), text("e"))).toBe(true);
    expect(touching.mayRead(text("a"), text("e\0"))).toBe(false);
    expect(touching.mayWrite(text("a"))).toBe(false);
    const apart = new GrantedRanges([read("a", "c"), read("c\0", "e")]);
    expect(apart.mayRead(text("a"), text("e"))).toBe(false);
    expect(
      new GrantedRanges([read("a", "c"), read("c", ""), read("c\0", "e")]).mayRead(text("a"), text("e")),
    ).toBe(true);
  });

  test("from a key on is more than any range that ends", () => {
    const fromB = new GrantedRanges([{ access: "readWrite", key: Uint8Array.of(98), rangeEnd: ZERO }]);
    expect(fromB.mayRead(Uint8Array.of(98), ZERO)).toBe(true);
    expect(fromB.mayWrite(Uint8Array.of(255, 255))).toBe(true);
    expect(fromB.mayRead(Uint8Array.of(97), ZERO)).toBe(false);
    const bounded = new GrantedRanges([
      { access: "readWrite", key: ZERO, rangeEnd: Uint8Array.of(255, 255, 255) },
    ]);
    expect(bounded.mayRead(ZERO, ZERO)).toBe(false);
  });
});
