import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { Compactor } from "../../../src/core/kv/compaction.ts";
import { Keyspace } from "../../../src/core/kv/keyspace.ts";
import { executeLeaseRevoke } from "../../../src/core/kv/lease-commands.ts";
import { NO_RECORD } from "../../../src/core/kv/record-heap.ts";
import { VERSION_BYTES } from "../../../src/core/kv/size.ts";
import { SnapshotReader } from "../../../src/core/kv/snapshot-reader.ts";
import { writeSnapshot } from "../../../src/core/kv/snapshot-writer.ts";
import { StateHasher } from "../../../src/core/kv/state-hash.ts";
import { randomNumbers } from "./random-numbers.ts";
import { bytes, compact, del, put, read, restored, snapshotOf, txn } from "./support.ts";

function finish(store: KvStore, step = 100): void {
  while (store.compactStep(step));
}

/** What keys and values weigh when nothing but the newest version is left. */
function liveBytes(store: KvStore): number {
  const { kvs } = store.range({ key: bytes("\0"), rangeEnd: bytes("\0") });
  return kvs.reduce((sum, kv) => sum + VERSION_BYTES + kv.key.length + kv.value.length, 0);
}

/** By way of a snapshot, which reads all that the log and the tree have. */
function copyOf(keyspace: Keyspace): Keyspace {
  const reader = new SnapshotReader();
  for (const chunk of writeSnapshot(keyspace.openView())) reader.push(chunk);
  keyspace.closeView();
  return reader.finish();
}

function hashOf(keyspace: Keyspace): string {
  const hasher = new StateHasher(keyspace, keyspace.revision);
  while (hasher.step(1000));
  return hasher.digest();
}

describe("compaction", () => {
  it("hides at once and frees by and by, all of what nobody can read any more", () => {
    const store = new KvStore();
    for (let i = 0; i < 300; i++) put(store, `key ${i % 30}`, `value ${i}`);
    del(store, "key 1");
    const before = read(store, "\0", "\0");
    compact(store, store.revision);
    put(store, "last", "");
    expect(store.sizeBytes).toBeGreaterThan(liveBytes(store));
    finish(store, 1);
    // The tombstone has the compacted revision, at which a watch may still start.
    expect(store.sizeBytes).toBe(liveBytes(store) + VERSION_BYTES + "key 1".length);
    compact(store, store.revision);
    finish(store, 1);
    expect(store.sizeBytes).toBe(liveBytes(store));
    expect(store.keyCount).toBe(30);
    expect(read(store, "\0", "\0", { maxModRevision: 302 })).toEqual(before);
  });

  it("goes on a little with each command, faster than commands can add", () => {
    const store = new KvStore();
    for (let i = 0; i < 1000; i++) put(store, "key", `value ${i}`);
    compact(store, store.revision);
    const full = store.sizeBytes;
    for (let i = 0; i < 200; i++) put(store, "key", "");
    expect(store.sizeBytes).toBeLessThan(full / 5);
  });

  it("keeps a tombstone that a later put hides until it is pushed out", () => {
    const store = new KvStore();
    put(store, "a", "1");
    del(store, "a");
    put(store, "other", "");
    put(store, "a", "2");
    compact(store, 4);
    finish(store);
    expect(read(store, "a", "", { revision: 4 })).toEqual([]);
    expect(read(store, "a")).toEqual(["a=2"]);
    compact(store, 5);
    finish(store);
    expect(store.sizeBytes).toBe(liveBytes(store));
  });

  it("copes with a key that is deleted and put again in one revision", () => {
    const store = new KvStore();
    put(store, "b", "1");
    const again = () =>
      txn(store, {
        success: [
          { type: "deleteRange", request: { key: bytes("a"), rangeEnd: bytes("\0") } },
          { type: "put", request: { key: bytes("b"), value: bytes("2") } },
        ],
      });
    again();
    compact(store, store.revision);
    finish(store, 1);
    expect(restored(snapshotOf(store)).hash()).toBe(store.hash());
    again();
    expect(read(store, "b", "", { revision: 3 })).toEqual(["b=2"]);
    compact(store, store.revision);
    finish(store, 1);
    expect(restored(snapshotOf(store)).hash()).toBe(store.hash());
    put(store, "c");
    compact(store, store.revision);
    finish(store, 1);
    expect(read(store, "\0", "\0")).toEqual(["b=2", "c="]);
    expect(store.sizeBytes).toBe(liveBytes(store));
  });

  it("waits while a snapshot is open, which loses nothing", () => {
    const store = new KvStore();
    for (let i = 0; i < 500; i++) put(store, `key ${i % 50}`, `value ${i}`);
    const snapshot = store.snapshot();
    const hash = store.hash();
    compact(store, store.revision);
    const full = store.sizeBytes;
    expect(store.compactStep(1000)).toBe(false);
    expect(store.sizeBytes).toBe(full);
    const copy = restored(snapshot.chunks());
    expect(copy.hash()).toBe(hash);
    expect(read(copy, "key 1", "", { revision: 3 })).toEqual(["key 1=value 1"]);
    snapshot.release();
    snapshot.release();
    expect(store.compactStep(1000)).toBe(false);
    expect(store.sizeBytes).toBe(liveBytes(store));
  });

  it("moves what is left out of slabs that are mostly waste, under all kinds of work", () => {
    const random = randomNumbers(3);
    const keyspace = new Keyspace();
    const compactor = new Compactor(keyspace);
    const values = new Map<string, string>();
    keyspace.leases.grant(7n, 1000, false);
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 3000; i++) {
        // Most keys are written over and over, some only once, so that no slab becomes empty.
        const key = random(10) === 0 ? `once ${round} ${i}` : `often ${random(50)}`;
        const value = `${round} ${i} `.repeat(200);
        keyspace.put(bytes(key), bytes(value), key.startsWith("once") ? 7n : 0n);
        keyspace.commit();
        values.set(key, value);
      }
      keyspace.compactRevision = keyspace.revision - random(300);
      while (compactor.step(500));
      expect(keyspace.heap.needsEvacuation()).toBe(false);
      expect(hashOf(copyOf(keyspace))).toBe(hashOf(keyspace));
    }
    const wrong = [...values].filter(([key, value]) => {
      const handle = keyspace.get(bytes(key), keyspace.revision);
      return new TextDecoder().decode(keyspace.heap.valueView(handle)) !== value;
    });
    expect(wrong).toEqual([]);
    // The lease knows them where they are now.
    executeLeaseRevoke(keyspace, { id: 7n });
    keyspace.commit();
    const left = [...values.keys()].filter(
      (key) => keyspace.get(bytes(key), keyspace.revision) !== NO_RECORD,
    );
    expect(left.filter((key) => key.startsWith("once"))).toEqual([]);
    expect(left).toHaveLength(50);
  });

  it("does not show in a snapshot how far it has come", () => {
    const make = (): KvStore => {
      const store = new KvStore();
      for (let i = 0; i < 100; i++) put(store, `key ${i % 10}`, `value ${i}`);
      del(store, "key 1", "key 4");
      const deleteAll = { type: "deleteRange", request: { key: bytes("a"), rangeEnd: bytes("\0") } } as const;
      txn(store, { success: [deleteAll, { type: "put", request: { key: bytes("key 5") } }] });
      compact(store, store.revision);
      put(store, "key 6", "later");
      return store;
    };
    const [lazy, eager] = [make(), make()];
    finish(eager);
    expect(snapshotOf(lazy)).toEqual(snapshotOf(eager));
  });
});
