import { describe, expect, it } from "vitest";
import { encodeCommand, type KvCommand, KvStore } from "../../../src/core/kv/index.ts";
import { countInTurns, readCounted } from "../../../src/core/node/count-in-turns.ts";
import type { Clock } from "../../../src/core/node/index.ts";

const KEYS = 25_000;
const ALL = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/** Keys that are put in ascending order, so that the count at an early revision is known. */
function filled(): KvStore {
  const store = new KvStore();
  for (let i = 0; i < KEYS; i++) apply(store, { type: "put", request: { key: keyOf(i) } });
  return store;
}

function keyOf(i: number): Uint8Array {
  return new TextEncoder().encode(`k${100_000 + i}`);
}

function apply(store: KvStore, command: KvCommand): void {
  store.applyChunk([{ command: encodeCommand(command), term: 1 }]);
}

/** Between two parts something happens. */
function clockThat(happens: () => void): Clock & { turns: number } {
  return {
    turns: 0,
    nowMs: () => 0,
    wallMs: () => 0,
    setTimer(_ms, ring) {
      this.turns++;
      happens();
      queueMicrotask(ring);
      return () => {};
    },
  };
}

describe("counting a range as of an earlier revision", () => {
  it("takes turns, and what is written meanwhile does not show", async () => {
    const store = filled();
    const revision = 2 + 5000;
    const clock = clockThat(() => {
      apply(store, { type: "deleteRange", request: { key: keyOf(20), rangeEnd: keyOf(9000) } });
      apply(store, { type: "put", request: { key: keyOf(0).subarray(0, 3) } });
    });
    const request = { ...ALL, revision, limit: 3 };
    const count = await countInTurns(store, clock, request);
    expect(count).toBe(5001);
    expect(clock.turns).toBeGreaterThan(1);
    const read = readCounted(store, request, count, Infinity);
    expect(read).toEqual(store.range(request));
    const counting = { ...ALL, revision, countOnly: true };
    expect(readCounted(store, counting, count, Infinity)).toEqual(store.range(counting));
  });

  it("is done at once where it is no work", async () => {
    const store = filled();
    const never = clockThat(() => expect.fail("a turn was taken"));
    for (const request of [ALL, { ...ALL, revision: store.revision - 100 }, { key: keyOf(1), revision: 3 }]) {
      expect(await countInTurns(store, never, request)).toBe(null);
    }
  });

  it("ends as compacted when that happens meanwhile, and as canceled when nobody waits", async () => {
    const store = filled();
    const compacting = clockThat(() => apply(store, { type: "compact", request: { revision: 100 } }));
    await expect(countInTurns(store, compacting, { ...ALL, revision: 50 })).rejects.toMatchObject({
      code: "compacted",
    });
    const gone = new AbortController();
    const leaving = clockThat(() => gone.abort());
    await expect(countInTurns(store, leaving, { ...ALL, revision: 200 }, gone.signal)).rejects.toMatchObject({
      code: "canceled",
    });
  });
});
