import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { OPEN_END, codeOf, compact, counters, del, put, read, restored, snapshotOf } from "./support.ts";

const ALL = { key: Uint8Array.of(0), rangeEnd: OPEN_END };

/** A store with history, deleted keys and a lease, compacted or not. */
function used(compacted: boolean): KvStore {
  const store = new KvStore();
  for (let i = 0; i < 60; i++) put(store, `k${i % 20}`, `v${i}`);
  if (compacted) compact(store, 40);
  put(store, "leased", "x", { lease: 7n, ttlMs: 1000 });
  del(store, "k3");
  return store;
}

describe.each([false, true])("revisions that are raised, where history was compacted: %s", (compacted) => {
  it("hide all that was before, keep every key as it was, and are counted on from", () => {
    const store = used(compacted);
    const before = store.revision;
    const keys = store.range(ALL).kvs;
    store.raiseRevisions(1000);
    expect([store.revision, store.compactRevision]).toEqual([before + 1000, before + 1000]);
    expect(store.range(ALL).kvs).toEqual(keys);
    expect(store.range({ ...ALL, revision: before + 1000 }).kvs).toEqual(keys);
    for (const revision of [1, before, before + 999]) {
      expect(codeOf(() => store.range({ ...ALL, revision }))).toBe("compacted");
    }
    put(store, "k4", "new");
    expect(counters(store, "k4")).toBe(`6/${before + 1001}/4`);
    expect(store.history.revision(store.history.find(before + 1000))).toBe(before + 1001);
  });

  it("are in snapshots, taken before and after the next change, however much has been freed", () => {
    for (const freed of [0, 1000]) {
      const store = used(compacted);
      store.raiseRevisions(1000);
      for (let copies = 0, change = 0; copies < 4; copies++) {
        store.compactStep(freed);
        const copy = restored(snapshotOf(store));
        expect([copy.stateHash(), copy.revision]).toEqual([store.stateHash(), store.revision]);
        expect(restored(snapshotOf(copy)).stateHash()).toBe(store.stateHash());
        for (const each of [store, copy]) put(each, `k${change}`, "more");
        expect(copy.stateHash()).toBe(store.stateHash());
        expect(read(copy, "k", "l")).toEqual(read(store, "k", "l"));
        change++;
      }
      compact(store, store.revision - 1);
      store.compactStep(1000);
      expect(restored(snapshotOf(store)).stateHash()).toBe(store.stateHash());
    }
  });

  it("are raised by what there is room for", () => {
    const store = used(compacted);
    const hash = store.stateHash();
    for (const by of [0, -1, 1.5, 2 ** 52, Number.MAX_SAFE_INTEGER]) {
      expect(codeOf(() => store.raiseRevisions(by))).toBe("invalidArgument");
    }
    expect(store.stateHash()).toBe(hash);
    store.raiseRevisions(2 ** 52 - store.revision);
    expect(put(store, "a")).toMatchObject({ revision: 2 ** 52 + 1 });
    expect(read(store, "a")).toHaveLength(1);
  });
});
