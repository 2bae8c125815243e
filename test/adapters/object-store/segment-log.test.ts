import { describe, expect, it } from "vitest";
import {
  type ObjectStorage,
  type ObjectStorageOptions,
  type ObjectStore,
  openObjectStorage,
} from "../../../src/adapters/object-store/index.ts";
import { RecordQueue } from "../../../src/adapters/object-store/record-queue.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { command, commands, rejection, summary } from "../storage-helpers.ts";
import { memoryObjectStore, type MemoryObjectStoreOptions, ObjectBucket } from "./object-bucket.ts";
import { seededRandom, VirtualClock } from "./virtual-surroundings.ts";

/** What was asked, as "put log/…5". */
function recorded(inner: ObjectStore): { readonly store: ObjectStore; readonly requests: string[] } {
  const requests: string[] = [];
  const note = (what: string): void => void requests.push(what.replace(/0{5,}/, "…"));
  const store: ObjectStore = {
    ...inner,
    get: (name) => (note(`get ${name}`), inner.get(name)),
    list: (prefix, options) => (note(`list ${prefix}`), inner.list(prefix, options)),
    delete: (names) => (note(`delete ${names.length}`), inner.delete(names)),
    putIfAbsent: (name, body) => (note(`put ${name}`), inner.putIfAbsent(name, body)),
    putIfMatch: (name, body, version) => (note(`replace ${name}`), inner.putIfMatch(name, body, version)),
  };
  return { store, requests };
}

/** Each request takes a turn of the event loop, so that others get theirs. */
function inTurns(inner: ObjectStore): ObjectStore {
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    ...inner,
    get: (name) => turn().then(() => inner.get(name)),
    list: (prefix, options) => turn().then(() => inner.list(prefix, options)),
    putIfAbsent: (name, body) => turn().then(() => inner.putIfAbsent(name, body)),
    putIfMatch: (name, body, version) => turn().then(() => inner.putIfMatch(name, body, version)),
  };
}

const MAX_BYTES = Number.MAX_SAFE_INTEGER;

interface Opened {
  readonly storage: ObjectStorage;
  readonly requests: string[];
}

async function open(
  bucket: ObjectBucket,
  options: Partial<ObjectStorageOptions> & MemoryObjectStoreOptions = {},
): Promise<Opened> {
  const { store, requests } = recorded(memoryObjectStore(bucket, options));
  const storage = await openObjectStorage({ store, clock: nodeClock, random: nodeRandom, ...options });
  return { storage, requests };
}

describe("the log in an object store", () => {
  it("writes what comes in one turn as one object", async () => {
    const { storage, requests } = await open(new ObjectBucket());
    await storage.log.open();
    requests.length = 0;
    await Promise.all([
      storage.log.append(commands(1, 5, 1)),
      storage.commit!({ term: 2, vote: 7n, commit: 1 }, commands(4, 2, 2)),
      storage.meta.saveHardState({ term: 3, vote: null, commit: 2 }),
    ]);
    expect(requests).toEqual(["put log/…5"]);
    const expected = [...commands(1, 3, 1), ...commands(4, 2, 2)];
    expect(summary(await storage.log.read(1, 5, MAX_BYTES))).toEqual(summary(expected));
  });

  it("takes over with few requests, and costs one put for a write", async () => {
    const bucket = new ObjectBucket();
    const first = await open(bucket);
    await first.storage.log.open();
    for (let index = 1; index <= 10; index++) await first.storage.log.append(commands(index, 1, 1));
    const second = await open(bucket);
    await second.storage.log.open();
    const kinds = Object.groupBy(second.requests, (request) => request.split(" ")[0]!);
    expect(kinds).toMatchObject({
      replace: ["replace log-manifest"],
      put: ["put log/…15", "put log/…16", "put log/…17", "put log/…18"],
    });
    // The slots, and the manifest before and after.
    expect(kinds["get"]).toHaveLength(14 + 2);
    expect(kinds["list"]!.length).toBeLessThanOrEqual(2);
    second.requests.length = 0;
    for (let index = 11; index <= 1010; index++) await second.storage.log.append(commands(index, 1, 1));
    expect(second.requests.filter((request) => request.startsWith("put"))).toHaveLength(1000);
    expect(second.requests.length).toBeLessThanOrEqual(1000 + Math.ceil(1000 / 64));
  });

  it("reads the records of the opening once", async () => {
    const bucket = new ObjectBucket();
    const first = await open(bucket);
    await first.storage.log.open();
    for (let index = 1; index <= 50; index++) await first.storage.log.append(commands(index, 1, 1));
    await first.storage.close();
    const { storage, requests } = await open(bucket);
    await storage.log.open();
    requests.length = 0;
    for (let from = 1; from <= 50;) from += (await storage.log.read(from, 50, 200)).length;
    expect(requests).toEqual([]);
    // Not for ever in memory: who asks again is read for.
    expect(summary(await storage.log.read(1, 50, MAX_BYTES))).toEqual(summary(commands(1, 50, 1)));
    expect(requests).toHaveLength(50);
  });

  it("fences the owner before, whatever it does next", async () => {
    const bucket = new ObjectBucket();
    const old = (await open(bucket)).storage;
    await old.log.open();
    await old.log.append(commands(1, 3, 1));
    await old.confirmOwner!();
    const next = (await open(bucket)).storage;
    // Nobody is disturbed before it is known whose log it is.
    await old.log.append(commands(4, 1, 1));
    expect(await next.log.open()).toMatchObject({ lastIndex: 4 });
    expect(await rejection(old.log.append(commands(5, 1, 1)))).toBe("fenced");
    expect(await rejection(old.confirmOwner!())).toBe("fenced");
    expect(await rejection(old.meta.saveHardState({ term: 2, vote: null, commit: 0 }))).toBe("fenced");
    await next.log.append(commands(5, 1, 2));
    await next.confirmOwner!();
    const stale = (await open(bucket)).storage;
    await stale.log.open();
    expect(await rejection(next.confirmOwner!())).toBe("fenced");
    expect(await rejection(next.log.compact(3))).toBe("fenced");
    expect(await rejection(next.log.append(commands(6, 1, 2)))).toBe("fenced");
  });

  it("takes over from an owner that never pauses", async () => {
    const bucket = new ObjectBucket();
    const old = (await open(bucket, { store: inTurns(memoryObjectStore(bucket)) })).storage;
    await old.log.open();
    let written = 0;
    const writing = (async () => {
      for (let index = 1; ; index += 3) {
        await Promise.all(
          [0, 1, 2].map((i) => Promise.resolve().then(() => old.log.append(commands(index + i, 1, 1)))),
        );
        written = index + 2;
      }
    })();
    const outcome = rejection(writing);
    while (written < 100) await new Promise((resolve) => setImmediate(resolve));
    const next = (await open(bucket, { store: inTurns(memoryObjectStore(bucket)) })).storage;
    const { lastIndex } = await next.log.open();
    expect(await outcome).toBe("fenced");
    expect(lastIndex).toBeGreaterThanOrEqual(written);
  });

  it("does not start with a vote that changed between telling it and taking over", async () => {
    const bucket = new ObjectBucket();
    const old = (await open(bucket)).storage;
    await old.meta.saveHardState({ term: 1, vote: 5n, commit: 0 });
    const next = (await open(bucket)).storage;
    expect((await next.meta.load()).hardState).toEqual({ term: 1, vote: 5n, commit: 0 });
    await old.meta.saveHardState({ term: 2, vote: 6n, commit: 0 });
    expect(await rejection(next.log.open())).toBe("storageLocked");
    expect(await rejection(next.log.append(commands(1, 1, 2)))).toBe("storageLocked");
    // A commit index that grew is no reason.
    const third = (await open(bucket)).storage;
    await third.meta.load();
    await third.log.open();
    expect((await third.meta.load()).hardState).toEqual({ term: 2, vote: 6n, commit: 0 });
  });

  it("splits a write that is larger than an object, and a single entry as well", async () => {
    const bucket = new ObjectBucket();
    const limits = { maxObjectBytes: 10_000 };
    const { storage } = await open(bucket, limits);
    await storage.log.open();
    const entries = [command(1, 1, 100_000), ...commands(2, 1000, 1), command(1002, 1, 25_000)];
    await storage.commit!({ term: 1, vote: null, commit: 900 }, entries);
    await storage.log.append(commands(1003, 1, 1));
    const sizes = bucket.names("log/").map((name) => bucket.get(name)!.body.length);
    expect(Math.max(...sizes)).toBe(10_000);
    for (const again of [storage, (await open(bucket, limits)).storage]) {
      expect((await again.log.open()).lastIndex).toBe(1003);
      const found = await again.log.read(1, 1003, MAX_BYTES);
      expect(summary(found)).toEqual(summary([...entries, ...commands(1003, 1, 1)]));
      expect(summary(await again.log.read(1002, 1003, 1))).toEqual(summary([command(1002, 1, 25_000)]));
    }
  });

  it("keeps as many objects as the log needs, a manifest of constant size, and one fence for each opening", async () => {
    const bucket = new ObjectBucket();
    const sizes = new Set<number>();
    let index = 0;
    for (let round = 0; round < 20; round++) {
      const { storage } = await open(bucket);
      await storage.log.open();
      for (let i = 0; i < 30; i++) await storage.log.append(commands(++index, 1, 1));
      await storage.log.compact(index - 5);
      await storage.close();
      sizes.add(bucket.get("log-manifest")!.body.length);
    }
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(10);
    const names = bucket.names("log/");
    const fences = names.filter((name) => bucket.get(name)!.body.length === 58);
    expect(fences).toHaveLength(20);
    expect(names.length - fences.length).toBe(5);
  });

  it("finds and deletes what an earlier owner did not come to delete", async () => {
    const bucket = new ObjectBucket();
    const { store } = recorded(memoryObjectStore(bucket, { pageSize: 10 }));
    const lame: ObjectStore = {
      ...store,
      delete: () => Promise.reject(new EngineError("storageUnavailable")),
    };
    const first = (await open(bucket, { store: lame })).storage;
    await first.log.open();
    for (let index = 1; index <= 50; index++) await first.log.append(commands(index, 1, 1));
    await first.log.compact(50);
    await first.close();
    expect(bucket.names("log/").length).toBeGreaterThan(50);
    const second = (await open(bucket, { store })).storage;
    await second.log.open();
    for (let index = 51; index <= 70; index++) {
      await second.log.append(commands(index, 1, 1));
      await second.log.compact(index);
    }
    await second.close();
    const left = bucket.names("log/").filter((name) => bucket.get(name)!.body.length !== 58);
    expect(left).toEqual([]);
  });

  it("trims hard states without being told to", async () => {
    const bucket = new ObjectBucket();
    const { storage } = await open(bucket);
    for (let term = 1; term <= 1000; term++) {
      await storage.meta.saveHardState({ term, vote: null, commit: 0 });
    }
    await storage.close();
    expect(bucket.names("log/").length).toBeLessThan(300);
    const again = (await open(bucket)).storage;
    expect((await again.meta.load()).hardState).toEqual({ term: 1000, vote: null, commit: 0 });
  });
});

describe("the pace of the log in an object store", () => {
  it("puts at most one object per linger, and at once after a rest", async () => {
    const clock = new VirtualClock();
    const { storage, requests } = await open(new ObjectBucket(), {
      clock,
      random: seededRandom(1),
      lingerMs: 100,
    });
    await storage.log.open();
    await clock.pass(1000);
    requests.length = 0;
    const appended: Promise<void>[] = [];
    for (let index = 1; index <= 100; index++) {
      appended.push(storage.log.append(commands(index, 1, 1)));
      await clock.pass(10);
    }
    await clock.pass(100);
    await Promise.all(appended);
    const puts = requests.filter((request) => request.startsWith("put"));
    expect(puts.length).toBeGreaterThanOrEqual(10);
    expect(puts.length).toBeLessThanOrEqual(11);
    await clock.pass(1000);
    // No time passes any more.
    await storage.log.append(commands(101, 1, 1));
  });

  it("does not linger with a full batch", async () => {
    const clock = new VirtualClock();
    const { storage } = await open(new ObjectBucket(), {
      clock,
      random: seededRandom(1),
      lingerMs: 10_000,
      maxObjectBytes: 10_000,
    });
    await storage.log.open();
    await storage.log.append(commands(1, 1, 1));
    for (let index = 2; index <= 20; index++) await storage.log.append([command(index, 1, 9500)]);
  });

  it("waits while the store is busy or silent, and gives up after a while", async () => {
    for (const code of ["storageThrottled", "storageUnavailable"] as const) {
      const clock = new VirtualClock();
      const inner = memoryObjectStore(new ObjectBucket());
      let busy = false;
      let puts = 0;
      const store: ObjectStore = {
        ...inner,
        putIfAbsent: async (name, body) => {
          puts++;
          if (busy) throw new EngineError(code);
          return inner.putIfAbsent(name, body);
        },
      };
      const { storage } = await open(new ObjectBucket(), { store, clock, random: seededRandom(1) });
      await storage.log.open();
      busy = true;
      puts = 0;
      const late = storage.log.append(commands(1, 1, 1));
      await clock.pass(20_000);
      expect(puts).toBeGreaterThan(10);
      expect(puts).toBeLessThan(50);
      busy = false;
      await clock.pass(5000);
      await late;
      busy = true;
      const never = rejection(storage.log.append(commands(2, 1, 1)));
      await clock.pass(40_000);
      expect(await never).toBe(code);
      // It stays stopped: what the store holds is unknown.
      busy = false;
      expect(await rejection(storage.log.append(commands(2, 1, 1)))).toBe(code);
    }
  });

  it("refuses more than it can hold", async () => {
    const queue = new RecordQueue({
      clock: new VirtualClock(),
      lingerMs: 0,
      maxBatchBytes: 1 << 20,
      hasRoom: () => false,
      write: () => {},
    });
    const data = new Uint8Array(32 << 20);
    const add = (index: number): Promise<void> =>
      queue.add({ entries: [{ kind: "command", index, term: 1, data }] });
    for (let index = 1; index <= 7; index++) add(index).catch(() => {});
    expect(() => add(8)).toThrow(/too many requests/);
    queue.fail(new EngineError("fenced"));
    expect(() => add(8)).toThrow(/taken over/);
  });
});
