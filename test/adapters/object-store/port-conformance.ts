import { describe, expect, it, onTestFinished } from "vitest";
import {
  type ObjectListing,
  type ObjectStorage,
  type ObjectStore,
  openObjectStorage,
  type PutOutcome,
} from "../../../src/adapters/object-store/index.ts";
import type { SnapshotInfo } from "../../../src/core/node/index.ts";
import { webRandom } from "../../../src/runtimes/http/web-random.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { collect, expectBytes, patternBytes, rejection } from "../storage-helpers.ts";

export interface ObjectStoreSite {
  /** Opens the store of this prefix in a bucket that is there. */
  open(prefix: string): Promise<ObjectStore>;
}

export interface PortConformanceOptions {
  readonly site: () => ObjectStoreSite;
}

let prefixes = 0;

/** What every dialect of object stores must do. Each test has a prefix of its own, so that a server can be shared. */
export function objectStoreConformance(name: string, { site }: PortConformanceOptions): void {
  const open = async (prefix = `conformance/${process.pid}-${prefixes++}`): Promise<ObjectStore> => {
    const store = await site().open(prefix);
    onTestFinished(() => store.close());
    return store;
  };
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  const create = async (store: ObjectStore, key: string, content = key): Promise<string> => {
    const outcome = await store.putIfAbsent(key, text(content));
    if (outcome.type !== "written") throw new Error(`${key}: ${outcome.type}`);
    return outcome.version;
  };
  const content = async (store: ObjectStore, key: string): Promise<string | null> => {
    const found = await store.get(key);
    return found === null ? null : new TextDecoder().decode(found.body);
  };
  const types = (outcomes: readonly PutOutcome[]): string[] => outcomes.map(({ type }) => type).toSorted();

  describe(`object store conformance: ${name}`, () => {
    it("has nothing at first", async () => {
      const store = await open();
      expect(await store.get("log/1")).toBeNull();
      expect(await store.list("")).toEqual({ objects: [], more: false });
      await store.delete(["log/1", "log/2"]);
      await store.delete([]);
    });

    it("creates an object once, and says which version it is", async () => {
      const store = await open();
      const version = await create(store, "log/1", "first");
      expect(await store.get("log/1")).toEqual({ body: text("first"), version });
      expect(await store.putIfAbsent("log/1", text("second"))).toEqual({ type: "refused" });
      expect(await store.putIfAbsent("log/1", text("first"))).toEqual({ type: "refused" });
      expect(await store.get("log/1")).toEqual({ body: text("first"), version });
    });

    it("keeps any bytes, none and a million", async () => {
      const store = await open();
      for (const length of [0, 1, 255, 65_537, Math.min(1_000_003, store.maxObjectBytes)]) {
        // In the midst of a larger buffer, of which the rest must not be sent.
        const body = patternBytes(length + 20, length).subarray(7, length + 7);
        expect((await store.putIfAbsent(`bytes/${length}`, body)).type).toBe("written");
        expectBytes((await store.get(`bytes/${length}`))!.body, body);
      }
    });

    it("replaces a version that is still there, and no other", async () => {
      const store = await open();
      const first = await create(store, "head", "one");
      const replaced = await store.putIfMatch("head", text("two"), first);
      if (replaced.type !== "written") throw new Error(replaced.type);
      expect(replaced.version).not.toBe(first);
      expect(await store.get("head")).toEqual({ body: text("two"), version: replaced.version });
      expect(await store.putIfMatch("head", text("three"), first)).toEqual({ type: "refused" });
      expect(await content(store, "head")).toBe("two");
    });

    it("replaces nothing where nothing is", async () => {
      const store = await open();
      const version = await create(store, "head", "one");
      await store.delete(["head"]);
      expect(await store.putIfMatch("head", text("two"), version)).toEqual({ type: "refused" });
      expect(await store.get("head")).toBeNull();
    });

    it("reads a neighbour's objects, and nobody else's", async () => {
      const group = `conformance/${process.pid}-${prefixes++}`;
      const neighbour = await open(`${group}/n1`);
      const store = await open(`${group}/n2`);
      const version = await create(neighbour, "snapshots/1", "theirs");
      await create(store, "snapshots/1", "mine");
      const beside = store.beside?.(neighbour.location);
      expect(beside?.location).toBe(neighbour.location);
      expect(await beside?.get("snapshots/1")).toEqual({ body: text("theirs"), version });
      expect(await beside?.get("snapshots/2")).toBeNull();
      expect(await rejection(beside!.get("../n2/SNAPSHOTS"))).toBe("invalidArgument");
      const unused = store.beside?.(neighbour.location.replace("/n1/", "/n3/"));
      expect(await unused?.get("snapshots/1")).toBeNull();
      for (const location of [
        neighbour.location.replace("/n1/", "/n1"),
        neighbour.location.replace("/n1/", "/"),
        neighbour.location.replace("/n1/", "/../"),
        neighbour.location.replace("/n1/", "/n1/n2/"),
        neighbour.location.replace(group, "elsewhere"),
        neighbour.location.replace("://", "://other-"),
      ]) {
        expect([location, store.beside?.(location)]).toEqual([location, null]);
      }
      expect(await content(store, "snapshots/1")).toBe("mine");
    });

    it("lets one of many create an object", { timeout: 60_000 }, async () => {
      const stores = await Promise.all([open("rivals/a"), open("rivals/a"), open("rivals/a")]);
      for (let round = 0; round < 10; round++) {
        const key = `${process.pid}/${prefixes++}`;
        const outcomes = await Promise.all(
          Array.from({ length: 12 }, (_, i) => stores[i % 3]!.putIfAbsent(key, text(`rival ${i}`))),
        );
        expect(types(outcomes)).toEqual([...Array.from({ length: 11 }, () => "refused"), "written"]);
        const winner = outcomes.findIndex(({ type }) => type === "written");
        expect(await content(stores[0]!, key)).toBe(`rival ${winner}`);
      }
    });

    it("lets one of many replace an object", { timeout: 60_000 }, async () => {
      const stores = await Promise.all([open("rivals/r"), open("rivals/r"), open("rivals/r")]);
      const key = `${process.pid}/${prefixes++}`;
      let version = await create(stores[0]!, key, "start");
      for (let round = 0; round < 5; round++) {
        const outcomes = await Promise.all(
          stores.map((store, i) => store.putIfMatch(key, text(`round ${round} rival ${i}`), version)),
        );
        expect(types(outcomes)).toEqual(["refused", "refused", "written"]);
        const winner = outcomes.findIndex(({ type }) => type === "written");
        const written = outcomes[winner]!;
        if (written.type === "written") version = written.version;
        expect(await stores[0]!.get(key)).toEqual({
          body: text(`round ${round} rival ${winner}`),
          version,
        });
      }
    });

    it("lists in the order of names, what begins with a prefix and comes after a name", async () => {
      const store = await open();
      const names = ["log/00", "log/01", "log/0a", "log/10", "log-1", "log_1", "meta/1", "lo", "log.1"];
      for (const key of names) await create(store, key);
      const list = async (...args: Parameters<ObjectStore["list"]>): Promise<string[]> => {
        const { objects, more } = await store.list(...args);
        expect(more).toBe(false);
        return objects.map((object) => object.name);
      };
      expect(await list("")).toEqual(names.toSorted());
      expect(await list("log/")).toEqual(["log/00", "log/01", "log/0a", "log/10"]);
      expect(await list("log/0")).toEqual(["log/00", "log/01", "log/0a"]);
      expect(await list("log/", { startAfter: "log/00" })).toEqual(["log/01", "log/0a", "log/10"]);
      expect(await list("log/", { startAfter: "log/02" })).toEqual(["log/0a", "log/10"]);
      expect(await list("log/", { startAfter: "log/10" })).toEqual([]);
      expect(await list("no")).toEqual([]);
    });

    it("lists in pages, with sizes", async () => {
      const store = await open();
      const all: ObjectListing[] = [];
      for (let i = 0; i < 7; i++) {
        await create(store, `page/${i}`, "x".repeat(i));
        all.push({ name: `page/${i}`, size: i });
      }
      const found: ObjectListing[] = [];
      for (let pages = 1; ; pages++) {
        const last = found.at(-1)?.name;
        const page = await store.list("page/", {
          limit: 3,
          ...(last === undefined ? {} : { startAfter: last }),
        });
        expect(page.objects.length).toBeLessThanOrEqual(3);
        found.push(...page.objects);
        if (!page.more) break;
        expect(page.objects.length).toBeGreaterThan(0);
        expect(pages).toBeLessThan(10);
      }
      expect(found).toEqual(all);
    });

    it("gives contents along with a list when asked, or leaves them out", async () => {
      const store = await open();
      for (let i = 0; i < 5; i++) await create(store, `all/${i}`, "x".repeat(i));
      const { objects } = await store.list("all/", { contents: true });
      expect(objects.map(({ size }) => size)).toEqual([0, 1, 2, 3, 4]);
      for (const object of objects) {
        const there = await store.get(object.name);
        expect(object.stored ?? there).toEqual(there);
      }
    });

    it("sees nothing of other prefixes", async () => {
      const own = `conformance/${process.pid}-${prefixes++}`;
      const [store, longer, inner] = [await open(own), await open(`${own}x`), await open(`${own}/inner`)];
      await create(store, "a", "1");
      await create(longer, "a", "2");
      await create(inner, "a", "3");
      // Whether a prefix within a prefix is seen from outside is the store's own affair.
      const names = (await store.list("")).objects.map((object) => object.name);
      expect(names.filter((each) => each !== "inner/a")).toEqual(["a"]);
      expect((await inner.list("")).objects.map((object) => object.name)).toEqual(["a"]);
      await longer.delete(["a"]);
      expect(await content(store, "a")).toBe("1");
    });

    it("deletes what is there; the name is free again", { timeout: 60_000 }, async () => {
      const store = await open();
      const names = Array.from({ length: 40 }, (_, i) => `log/${String(i).padStart(4, "0")}`);
      const first = await create(store, names[0]!, "first");
      await Promise.all(names.slice(1).map((key) => create(store, key)));
      // More than one request takes, most of them not there.
      const absent = Array.from({ length: 1100 }, (_, i) => `log/absent-${i}`);
      await store.delete([...names.slice(0, 20), ...absent, ...names.slice(20, 39)]);
      expect((await store.list("log/")).objects).toEqual([{ name: "log/0039", size: 8 }]);
      const second = await create(store, names[0]!, "second");
      expect(second).not.toBe(first);
      expect(await content(store, names[0]!)).toBe("second");
    });

    it("refuses names and bodies that the port does not allow", async () => {
      const store = await open();
      for (const bad of ["", "UPPER", "spa ce", "ü", "a?b", "a".repeat(201)]) {
        expect(await rejection(store.get(bad))).toBe("invalidArgument");
        expect(await rejection(store.putIfAbsent(bad, text("x")))).toBe("invalidArgument");
        expect(await rejection(store.delete([bad]))).toBe("invalidArgument");
      }
      const tooLarge = new Uint8Array(store.maxObjectBytes + 1);
      expect(await rejection(store.putIfAbsent("large", tooLarge))).toBe("invalidArgument");
      expect(await rejection(store.putIfMatch("large", tooLarge, "1"))).toBe("invalidArgument");
      expect(await store.list("")).toEqual({ objects: [], more: false });
    });

    it("takes the longest name", async () => {
      const store = await open();
      const longest = "a/".repeat(99) + "-z";
      await create(store, longest);
      expect(await content(store, longest)).toBe(longest);
      expect((await store.list("a/")).objects.map((object) => object.name)).toEqual([longest]);
    });

    it("takes the rest of a snapshot where its upload broke off", { timeout: 60_000 }, async () => {
      const prefix = `conformance/${process.pid}-${prefixes++}`;
      const whole = patternBytes(10 * CHUNK_BYTES - 1, 3);
      const dying = dyingAfter(await open(prefix), 6);
      const cutShort = writeSnapshot(await openStorage(dying.store), whole);
      cutShort.catch(() => {});
      await dying.dead;
      const next = dyingAfter(await open(prefix), Number.MAX_SAFE_INTEGER);
      const storage = await openStorage(next.store);
      expect(await storage.snapshots.list()).toEqual([]);
      const info = await writeSnapshot(storage, whole);
      expect(next.chunks).toHaveLength(4);
      expect(await storage.snapshots.list()).toEqual([info]);
      expectBytes(await collect(storage.snapshots.read(info)), whole);
    });

    it("gives up when told to", async () => {
      const store = await open();
      const signal = AbortSignal.abort();
      expect(await rejection(store.get("a", { signal }))).toBe("canceled");
      expect(await rejection(store.list("", { signal }))).toBe("canceled");
      expect(await rejection(store.delete(["a"], { signal }))).toBe("canceled");
      expect((await store.putIfAbsent("a", text("x"), { signal })).type).toBe("unknown");
    });

    it("refuses to work once it is closed", async () => {
      const store = await open();
      await store.close();
      await store.close();
      expect(await rejection(store.get("a"))).toBe("storageFailed");
      expect(await rejection(store.list(""))).toBe("storageFailed");
      expect(await rejection(store.putIfAbsent("a", text("x")))).toBe("storageFailed");
      expect(await rejection(store.delete(["a"]))).toBe("storageFailed");
    });

    it("says where it is, without secrets", async () => {
      const store = await open("where/it/is");
      expect(store.location).toMatch(/^[a-z0-9]+:\/\/[a-z0-9-]+\/where\/it\/is\/$/);
    });
  });
}

const CHUNK_BYTES = 3000;

/** The same store, whose process is gone once so many chunks of snapshots are there: nothing is answered any more. */
function dyingAfter(
  store: ObjectStore,
  chunks: number,
): { readonly store: ObjectStore; readonly chunks: readonly string[]; readonly dead: Promise<void> } {
  const { promise: dead, resolve: die } = Promise.withResolvers<void>();
  const asked: string[] = [];
  const dying: ObjectStore = {
    maxObjectBytes: CHUNK_BYTES,
    location: store.location,
    get: (...args) => store.get(...args),
    list: (...args) => store.list(...args),
    delete: (...args) => store.delete(...args),
    putIfMatch: (...args) => store.putIfMatch(...args),
    putIfAbsent: async (name, body) => {
      if (!name.startsWith("chunks/")) return await store.putIfAbsent(name, body);
      if (!asked.includes(name)) asked.push(name);
      if (asked.indexOf(name) < chunks) return await store.putIfAbsent(name, body);
      die();
      return await new Promise(() => {});
    },
    close: () => store.close(),
  };
  return { store: dying, chunks: asked, dead };
}

const openStorage = (store: ObjectStore): Promise<ObjectStorage> =>
  openObjectStorage({ store, clock: nodeClock, random: webRandom });

async function writeSnapshot(storage: ObjectStorage, content: Uint8Array): Promise<SnapshotInfo> {
  const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const writer = await storage.snapshots.create({ index: 5, term: 1, config }, Uint8Array.of(5));
  await writer.write(content);
  return await writer.commit();
}
