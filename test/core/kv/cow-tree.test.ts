import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareBytes } from "../../../src/core/bytes/index.ts";
import { CowTree } from "../../../src/core/kv/cow-tree.ts";
import type { TreeCursor } from "../../../src/core/kv/tree-cursor.ts";
import { headOf } from "../../../src/core/kv/tree-node.ts";
import type { KeySource } from "../../../src/core/kv/tree-node.ts";
import { randomNumbers } from "./random-numbers.ts";

/** An entry's key is its number up to the last three digits, so that 1000 entries have the same key. */
const VARIANTS = 1000;

const MOST_KEYS = 30_000;

/** Of different lengths, so that one is often the beginning of another. */
const allKeys = Array.from({ length: MOST_KEYS }, (_, number) => new TextEncoder().encode(String(number)));

function keyOf(number: number): Uint8Array {
  return allKeys[number]!;
}

const keys: KeySource = {
  compareKey: (entry, key) => compareBytes(keyOf(Math.floor(entry / VARIANTS)), key),
  keyHead: (entry, skip) => headOf(keyOf(Math.floor(entry / VARIANTS)), skip),
  keyCopy: (entry) => keyOf(Math.floor(entry / VARIANTS)),
  // Long stretches of keys, and in between one entry in two.
  counts: (entry) => Math.floor(entry / VARIANTS) % 4096 < 1024 && entry % 2 === 0,
};

/** The obvious implementation. */
class SortedEntries {
  readonly byNumber = new Map<number, number>();

  copy(): SortedEntries {
    const copy = new SortedEntries();
    for (const [number, entry] of this.byNumber) copy.byNumber.set(number, entry);
    return copy;
  }

  inOrder(): number[] {
    const numbers = [...this.byNumber.keys()].map((number) => ({ number, key: keyOf(number) }));
    numbers.sort((a, b) => compareBytes(a.key, b.key));
    return numbers.map(({ number }) => this.byNumber.get(number)!);
  }
}

function forwards(cursor: TreeCursor, first: boolean): number[] {
  const seen: number[] = [];
  for (let more = first; more; more = cursor.next()) seen.push(cursor.entry);
  return seen;
}

function backwards(cursor: TreeCursor, first: boolean): number[] {
  const seen: number[] = [];
  for (let more = first; more; more = cursor.previous()) seen.push(cursor.entry);
  return seen;
}

function counted(entries: readonly number[]): number[] {
  return entries.filter((entry) => keys.counts(entry));
}

function expectSameCounts(tree: CowTree, inOrder: readonly number[]): void {
  const places = [0, 1, 9, 10, 99, 1023, 1024, 2500, 4096, 29_999].map(keyOf).toSorted(compareBytes);
  const after = places.map((from) => inOrder.findIndex((entry) => keys.compareKey(entry, from) >= 0));
  const upTo = (place: number): number => (after[place] === -1 ? inOrder.length : after[place]!);
  for (const [i, from] of places.entries()) {
    const rest = counted(inOrder.slice(upTo(i)));
    expect(tree.count({ from, to: null })).toBe(rest.length);
    for (const [j, to] of places.entries()) {
      expect(tree.count({ from, to })).toBe(counted(inOrder.slice(upTo(i), upTo(j))).length);
    }
    if (i % 4 > 0) continue;
    const skipping = tree.skippingCursor();
    const seen = counted(forwards(skipping, skipping.seek(from)));
    expect(seen.length).toBe(rest.length);
    expect(seen.every((entry, at) => entry === rest[at])).toBe(true);
  }
}

function expectSame(tree: CowTree, model: SortedEntries): void {
  const inOrder = model.inOrder();
  expectSameCounts(tree, inOrder);
  expect(tree.size).toBe(inOrder.length);
  const cursor = tree.cursor();
  expect(forwards(cursor, cursor.next())).toEqual(inOrder);
  expect(backwards(cursor, cursor.seekBefore(null))).toEqual(inOrder.toReversed());
}

describe("CowTree", () => {
  it("is a sorted map, and so is each of its clones, whatever happens to the others", () => {
    const shapes = fc.record({
      seed: fc.integer(),
      keys: fc.constantFrom(3, 200, 5000),
      steps: fc.integer({ min: 0, max: 6000 }),
      deletes: fc.constantFrom(1, 5, 9),
      ascending: fc.boolean(),
    });
    fc.assert(
      fc.property(shapes, ({ seed, keys: keyCount, steps, deletes, ascending }) => {
        const random = randomNumbers(seed);
        let wrong = 0;
        const pairs = [{ tree: new CowTree(keys), model: new SortedEntries() }];
        for (let step = 0; step < steps; step++) {
          const { tree, model } = pairs[random(pairs.length)]!;
          const number = ascending && random(3) > 0 ? step % keyCount : random(keyCount);
          if (random(10) < deletes) {
            wrong += tree.delete(keyOf(number)) === model.byNumber.delete(number) ? 0 : 1;
          } else {
            const entry = number * VARIANTS + random(VARIANTS);
            tree.set(keyOf(number), entry);
            model.byNumber.set(number, entry);
          }
          wrong += tree.get(keyOf(number)) === model.byNumber.get(number) ? 0 : 1;
          if (random(1000) === 0) pairs.push({ tree: tree.clone(), model: model.copy() });
        }
        expect(wrong).toBe(0);
        for (const { tree, model } of pairs) expectSame(tree, model);
      }),
      { numRuns: 40 },
    );
  });

  it("stays whole while it is filled and emptied many levels deep", () => {
    const tree = new CowTree(keys);
    const model = new SortedEntries();
    const random = randomNumbers(7);
    const order = Array.from({ length: MOST_KEYS }, (_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = random(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    for (const number of order) {
      tree.set(keyOf(number), number * VARIANTS);
      model.byNumber.set(number, number * VARIANTS);
    }
    const full = { tree: tree.clone(), model: model.copy() };
    expectSame(tree, model);
    for (const [done, number] of order.entries()) {
      tree.delete(keyOf(number));
      model.byNumber.delete(number);
      if (done % 9973 === 0) expectSame(tree, model);
    }
    expectSame(tree, model);
    expect(tree.size).toBe(0);
    expectSame(full.tree, full.model);
  });

  it("finds its place for any key, present or not, in both directions", () => {
    const shapes = fc.record({ present: fc.uniqueArray(fc.nat(400), { maxLength: 300 }), at: fc.nat(400) });
    fc.assert(
      fc.property(shapes, ({ present, at }) => {
        const tree = new CowTree(keys);
        const model = new SortedEntries();
        for (const number of present) {
          tree.set(keyOf(number), number * VARIANTS);
          model.byNumber.set(number, number * VARIANTS);
        }
        const inOrder = model.inOrder();
        const from = inOrder.filter((entry) => keys.compareKey(entry, keyOf(at)) >= 0);
        const before = inOrder.filter((entry) => keys.compareKey(entry, keyOf(at)) < 0);
        const cursor = tree.cursor();
        expect(forwards(cursor, cursor.seek(keyOf(at)))).toEqual(from);
        expect(backwards(cursor, cursor.seekBefore(keyOf(at)))).toEqual(before.toReversed());
      }),
    );
  });

  it("turns round at either end", () => {
    const tree = new CowTree(keys);
    for (const number of [1, 2]) tree.set(keyOf(number), number * VARIANTS);
    const cursor = tree.cursor();
    expect([cursor.next(), cursor.next(), cursor.next(), cursor.next()]).toEqual([true, true, false, false]);
    expect([cursor.previous(), cursor.entry]).toEqual([true, 2 * VARIANTS]);
    expect([cursor.previous(), cursor.previous(), cursor.previous()]).toEqual([true, false, false]);
    expect([cursor.next(), cursor.entry]).toEqual([true, 1 * VARIANTS]);
  });
});
