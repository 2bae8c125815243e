import { describe, expect, it } from "vitest";
import {
  type ObjectStorage,
  type ObjectStore,
  openObjectStorage,
  openSharedSnapshot,
} from "../../../src/adapters/object-store/index.ts";
import type { SnapshotInfo } from "../../../src/core/node/index.ts";
import type { SnapshotMeta } from "../../../src/core/raft/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { collect, expectBytes, patternBytes, rejection } from "../storage-helpers.ts";
import { memoryObjectStore, ObjectBucket } from "./object-bucket.ts";

const CONFIG = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
const at = (index: number): SnapshotMeta => ({ index, term: 1, config: CONFIG });
const CHUNK_BYTES = 4000;
const CONTENT = patternBytes(50_000, 1);

/** A store that counts the puts of chunks, and stops answering them after some. */
function interrupted(bucket: ObjectBucket, chunks: number): { store: ObjectStore; puts: () => number } {
  const inner = memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES });
  let puts = 0;
  const store: ObjectStore = {
    ...inner,
    putIfAbsent: (name, body) => {
      if (!name.startsWith("chunks/")) return inner.putIfAbsent(name, body);
      puts++;
      return puts > chunks ? new Promise(() => {}) : inner.putIfAbsent(name, body);
    },
  };
  return { store, puts: () => puts };
}

const open = (store: ObjectStore): Promise<ObjectStorage> =>
  openObjectStorage({ store, clock: nodeClock, random: nodeRandom });

async function write(storage: ObjectStorage, index: number, content = CONTENT): Promise<SnapshotInfo> {
  const writer = await storage.snapshots.create(at(index), Uint8Array.of(index));
  for (let from = 0; from < content.length; from += 7000) {
    await writer.write(content.subarray(from, from + 7000));
  }
  return writer.commit();
}

describe("snapshots in an object store", () => {
  it("are read by others that can read the store", async () => {
    const bucket = new ObjectBucket();
    const storage = await open(memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES }));
    const info = await write(storage, 5);
    const [name = ""] = bucket.names("snapshots/");
    const other = memoryObjectStore(bucket);
    const shared = await openSharedSnapshot(other, name, nodeClock, nodeRandom);
    expect(shared?.info).toEqual(info);
    expectBytes(await collect(shared!.read()), CONTENT);
    expectBytes(await collect(shared!.read(12_345)), CONTENT.subarray(12_345));
    expect(await rejection(openSharedSnapshot(other, "log-manifest", nodeClock, nodeRandom))).toBe(
      "invalidArgument",
    );
    await write(storage, 6, new Uint8Array());
    await storage.snapshots.drop(info);
    expect(await openSharedSnapshot(other, name, nodeClock, nodeRandom)).toBeNull();
    expect(bucket.names("chunks/")).toEqual([]);
  });

  it("go on where an upload of the same broke off", async () => {
    const bucket = new ObjectBucket();
    const dying = interrupted(bucket, 8);
    const cutShort = await open(dying.store);
    write(cutShort, 5).catch(() => {});
    while (dying.puts() <= 8) await new Promise((resolve) => setImmediate(resolve));
    expect(bucket.names("chunks/")).toHaveLength(8);
    const next = interrupted(bucket, Number.MAX_SAFE_INTEGER);
    const storage = await open(next.store);
    expect(await storage.snapshots.list()).toEqual([]);
    const info = await write(storage, 5);
    expect(next.puts()).toBe(Math.ceil(CONTENT.length / CHUNK_BYTES) - 8);
    expectBytes(await collect(storage.snapshots.read(info)), CONTENT);
  });

  it("sweep up what broke off, once a newer one is there", async () => {
    const bucket = new ObjectBucket();
    const dying = interrupted(bucket, 8);
    write(await open(dying.store), 5).catch(() => {});
    while (dying.puts() <= 8) await new Promise((resolve) => setImmediate(resolve));
    const storage = await open(memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES, pageSize: 3 }));
    const kept = await write(storage, 4);
    const newest = await write(storage, 6, CONTENT.subarray(0, 10_000));
    await storage.close();
    const indexes = new Set(bucket.names("chunks/").map((name) => Number(name.slice(7, 27))));
    expect([...indexes]).toEqual([4, 6]);
    const again = await open(memoryObjectStore(bucket));
    expect(await again.snapshots.list()).toEqual([newest, kept]);
    expectBytes(await collect(again.snapshots.read(kept)), CONTENT);
  });

  it("are neither shown nor dropped by an owner that was replaced", async () => {
    const bucket = new ObjectBucket();
    const store = (): ObjectStore => memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES });
    const old = await open(store());
    await old.log.open();
    const first = await write(old, 5);
    const writer = await old.snapshots.create(at(9), new Uint8Array());
    await writer.write(CONTENT);
    const next = await open(store());
    await next.log.open();
    expect(await rejection(writer.commit())).toBe("fenced");
    expect(await rejection(old.snapshots.drop(first))).toBe("fenced");
    expect(await next.snapshots.list()).toEqual([first]);
    expectBytes(await collect(next.snapshots.read(first)), CONTENT);
  });

  it("lose no chunks to an owner that was replaced in the middle of the same one", async () => {
    const bucket = new ObjectBucket();
    const store = (): ObjectStore => memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES });
    const old = await open(store());
    await old.log.open();
    const stalled = await old.snapshots.create(at(9), Uint8Array.of(9));
    await stalled.write(CONTENT);
    const next = await open(store());
    await next.log.open();
    const writer = await next.snapshots.create(at(9), Uint8Array.of(9));
    await writer.write(CONTENT);
    // It learns that it was replaced, and stops.
    await stalled.abort();
    const info = await writer.commit();
    expectBytes(await collect(next.snapshots.read(info)), CONTENT);
  });

  it("are found although an owner that was replaced puts another in the place of one being listed", async () => {
    const bucket = new ObjectBucket();
    const inner = memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES });
    const old = await open(inner);
    await write(old, 5);
    const writer = await old.snapshots.create(at(5), Uint8Array.of(6));
    await writer.write(CONTENT);
    let replaced: SnapshotInfo | null = null;
    const next = await open({
      ...inner,
      get: async (name) => {
        if (name.startsWith("snapshots/")) replaced ??= await writer.commit();
        return inner.get(name);
      },
    });
    const found = await next.snapshots.list();
    expect(replaced).not.toBeNull();
    expect(found).toEqual([replaced]);
  });

  it("say that an owner was replaced whose chunks a successor has swept away", async () => {
    const bucket = new ObjectBucket();
    const inner = memoryObjectStore(bucket, { maxObjectBytes: CHUNK_BYTES });
    let sweep: (() => Promise<void>) | null = null;
    const old = await open({
      ...inner,
      get: async (name) => {
        if (name.startsWith("chunks/")) await sweep?.();
        return inner.get(name);
      },
      // Done, and the reply says that it is not: a repetition that met its own work.
      putIfAbsent: async (name, body) => {
        const outcome = await inner.putIfAbsent(name, body);
        return name.startsWith("chunks/") ? { type: "refused" } : outcome;
      },
    });
    await old.log.open();
    const writer = await old.snapshots.create(at(5), new Uint8Array());
    const next = await open(inner);
    await next.log.open();
    sweep = async () => bucket.delete(bucket.names("chunks/"));
    await writer.write(CONTENT.subarray(0, CHUNK_BYTES)).catch(() => {});
    expect(await rejection(writer.commit())).toBe("fenced");
  });
});
