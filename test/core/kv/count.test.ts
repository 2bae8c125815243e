import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { randomNumbers } from "./random-numbers.ts";
import { OPEN_END, apply, bytes, restored, snapshotOf } from "./support.ts";

const KEYS = 700;

function keyOf(number: number): Uint8Array {
  return bytes(`k${number.toString(36)}`);
}

/** A script of puts and deletions, with stretches of keys gone, over a compaction that is done in small steps. */
function filled(random: (below: number) => number, steps: number): KvStore {
  const store = new KvStore();
  for (let step = 0; step < steps; step++) {
    const key = keyOf(random(KEYS));
    const kind = random(40);
    if (kind < 26) apply(store, { type: "put", request: { key, value: bytes("v") } });
    else if (kind < 38) apply(store, { type: "deleteRange", request: { key } });
    else if (kind === 38)
      apply(store, { type: "deleteRange", request: { key, rangeEnd: keyOf(random(KEYS)) } });
    else if (random(20) === 0) {
      const revision = store.compactRevision + random(store.revision - store.compactRevision + 1);
      if (revision > store.compactRevision) apply(store, { type: "compact", request: { revision } });
    }
    store.compactStep(random(3) * 10);
  }
  return store;
}

/** By reading all of it. */
function naiveCount(store: KvStore, key: Uint8Array, rangeEnd: Uint8Array, revision: number): number {
  return store.range({ key, rangeEnd, revision, keysOnly: true }).kvs.length;
}

describe("the count of a range", () => {
  it("is the number of keys that a full read gives, at every revision that can be read", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 3000 }), (seed, steps) => {
        const random = randomNumbers(seed);
        const store = filled(random, steps);
        const copy = restored(snapshotOf(store));
        for (let look = 0; look < 30; look++) {
          const oldest = Math.max(store.compactRevision, 1);
          const revision = random(3) === 0 ? 0 : oldest + random(store.revision - oldest + 1);
          const key = keyOf(random(KEYS));
          const rangeEnd = random(4) === 0 ? OPEN_END : keyOf(random(KEYS));
          const count = naiveCount(store, key, rangeEnd, revision);
          expect(store.range({ key, rangeEnd, revision, countOnly: true }).count).toBe(count);
          expect(store.range({ key, rangeEnd, revision, limit: 1 + random(5) }).count).toBe(count);
          expect(copy.range({ key, rangeEnd, revision, countOnly: true }).count).toBe(count);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("is right inside of a transaction that has changed the range, and after one that was undone", () => {
    const store = new KvStore();
    const all = { key: keyOf(0), rangeEnd: OPEN_END, countOnly: true };
    for (let i = 0; i < 300; i++) apply(store, { type: "put", request: { key: keyOf(i) } });
    const count = { type: "range", request: all } as const;
    const before = { type: "range", request: { ...all, revision: store.revision } } as const;
    const gone = { type: "deleteRange", request: { key: keyOf(7) } } as const;
    const fresh = { type: "put", request: { key: bytes("kz new") } } as const;
    const changes = [gone, count, fresh, count, before] as const;
    const undone = { type: "put", request: { key: keyOf(7), ignoreValue: true } } as const;
    const failed = apply(store, {
      type: "txn",
      request: { compare: [], success: [...changes, undone], failure: [] },
    });
    expect(failed).toMatchObject({ type: "error", code: "keyNotFound" });
    expect(store.range(all).count).toBe(300);
    const done = apply(store, { type: "txn", request: { compare: [], success: changes, failure: [] } });
    expect(
      done.type === "txn" &&
        done.response.responses.flatMap((r) => (r.type === "range" ? r.response.count : [])),
    ).toEqual([299, 300, 300]);
  });
});
