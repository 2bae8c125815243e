import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ByteWriter, crc32 } from "../../../src/core/bytes/index.ts";
import { AssertionError, EngineError } from "../../../src/core/errors/index.ts";
import { KvStore } from "../../../src/core/kv/index.ts";
import { bytes, codeOf, compact, counters, del, put, read, restored, snapshotOf } from "./support.ts";

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const chunk of chunks) writer.raw(chunk);
  return writer.finish();
}

/** A frame with a right checksum: for content that is wrong in itself. */
function frames(...payloads: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  let checksum = 0;
  for (const payload of payloads) {
    checksum = crc32(payload, checksum);
    writer.u32(payload.length).u32(checksum).raw(payload);
  }
  return writer.finish();
}

/** Since version 4 with an auth revision, since version 5 with alarms: type and member each. */
function header(
  revision: number,
  compactRevision: number,
  version = 1,
  ...alarms: readonly (readonly [number, number])[]
): Uint8Array {
  const writer = new ByteWriter().u8(1).u32(0x564b4544).u8(version).uint(revision).uint(compactRevision);
  if (version >= 4) writer.uint(3).bool(false);
  if (version >= 5) writer.uint(alarms.length);
  for (const [type, memberId] of alarms) writer.u8(type).u64(BigInt(memberId));
  return writer.finish();
}

/** Of version 4, with the revision of users and roles. */
function authHeader(authRevision: number): Uint8Array {
  const writer = new ByteWriter().u8(1).u32(0x564b4544).u8(4).uint(1).uint(0);
  return writer.uint(authRevision).bool(false).finish();
}

/** Without roles, and with no password. */
function user(name: string, since = 2): Uint8Array {
  return new ByteWriter().string(name).bool(false).uint(since).uint(0).finish();
}

function role(name: string): Uint8Array {
  return new ByteWriter().string(name).uint(1).u8(1).string("k").string("").finish();
}

function framed(kind: number, ...items: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter().u8(kind);
  for (const item of items) writer.raw(item);
  return writer.finish();
}

const users = (...items: readonly Uint8Array[]): Uint8Array => framed(8, ...items);
const roles = (...items: readonly Uint8Array[]): Uint8Array => framed(9, ...items);

function alarmsOf(count: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => [0, i]);
}

/** A named write that was a put. */
function remembered(serial: number, key: string): Uint8Array {
  const result = new ByteWriter().u8(1).uint(1).uint(0).finish();
  return new ByteWriter().u8(6).uint(serial).string(key).string("0123456789abcdef").bytes(result).finish();
}

interface RecordFields {
  readonly key?: string;
  readonly mod: number;
  readonly create?: number;
  readonly version?: number;
}

/** Without a version it is a tombstone. */
function records(kind: number, ...fields: readonly RecordFields[]): Uint8Array {
  const writer = new ByteWriter().u8(kind);
  for (const { key = "a", mod, create = mod, version } of fields) {
    writer
      .u8(version === undefined ? 1 : 0)
      .bytes(bytes(key))
      .uint(mod);
    if (version !== undefined) writer.uint(create).uint(version).bytes(bytes("v"));
  }
  return writer.finish();
}

const base = (...fields: RecordFields[]): Uint8Array => records(2, ...fields);
const changes = (...fields: RecordFields[]): Uint8Array => records(3, ...fields);

/** Of base records and changes; since version 2 of leases, since version 3 of named writes. */
function end(...counts: readonly number[]): Uint8Array {
  const writer = new ByteWriter().u8(4);
  for (const count of counts) writer.uint(count);
  return writer.finish();
}

function exampleStore(): KvStore {
  const store = new KvStore();
  for (let i = 0; i < 300; i++) put(store, `key ${i % 40}`, `value ${i}`);
  del(store, "key 1", "key 3");
  compact(store, 250);
  put(store, "key 1", "again");
  return store;
}

function restore(content: Uint8Array): string {
  return codeOf(() => restored([content]));
}

describe("a snapshot", () => {
  it("of an empty store is one", () => {
    const copy = restored(snapshotOf(new KvStore()));
    expect([copy.revision, copy.compactRevision, copy.keyCount]).toEqual([1, 0, 0]);
    expect(copy.hash()).toBe(new KvStore().hash());
    expect(put(copy, "a").revision).toBe(2);
  });

  it("has everything that can be read, history and counters too", () => {
    const store = exampleStore();
    const copy = restored(snapshotOf(store));
    expect([copy.revision, copy.compactRevision]).toEqual([store.revision, 250]);
    for (let revision = 250; revision <= store.revision; revision++) {
      expect(copy.hash(revision)).toBe(store.hash(revision));
    }
    expect(codeOf(() => read(copy, "a", "", { revision: 249 }))).toBe("compacted");
    expect(counters(copy, "key 1")).toBe(counters(store, "key 1"));
    expect(snapshotOf(copy)).toEqual(snapshotOf(store));
  });

  it("can be restored from pieces of any size", () => {
    const whole = joined(snapshotOf(exampleStore()));
    const hash = exampleStore().hash();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1 }), (sizes) => {
        const pieces: Uint8Array[] = [];
        for (let at = 0, i = 0; at < whole.length; i++) {
          const size = Math.max(sizes[i % sizes.length]!, i % sizes.length === 0 ? 1 : 0);
          pieces.push(whole.slice(at, at + size));
          at += size;
        }
        expect(restored(pieces).hash()).toBe(hash);
      }),
      { numRuns: 30 },
    );
  });

  it.each([1000, 300_000])("keeps nothing of the pieces of up to %i bytes it was restored from", (size) => {
    const store = exampleStore();
    put(store, "large", "x".repeat(600_000));
    const copy = new KvStore();
    const restorer = copy.restorer();
    for (const chunk of snapshotOf(store)) {
      for (let at = 0; at < chunk.length; at += size) {
        const piece = chunk.slice(at, at + size);
        restorer.push(piece);
        piece.fill(0);
      }
    }
    restorer.finish();
    expect(copy.hash()).toBe(store.hash());
  });

  it("comes in chunks of at most 256 KiB, even where one value is larger", () => {
    const store = new KvStore();
    const sizes = [1_400_000, 10, 300_000, 262_144 - 9, 262_144 - 60, 131_072, 131_072, 0];
    for (const [i, size] of sizes.entries()) put(store, `key ${i}`, `${i}`.repeat(size));
    compact(store, 5);
    put(store, "key 1", "x".repeat(700_000));
    const chunks = snapshotOf(store);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(256 << 10);
    expect(restored(chunks).hash()).toBe(store.hash());
  });

  it("does little for each chunk, even where there is nothing to write", () => {
    const store = new KvStore();
    put(store, "first");
    compact(store, 2);
    for (let i = 0; i < 20_000; i++) put(store, `key ${i}`);
    // All these keys came after the compacted revision, so the part before it is all but empty.
    const sizes = snapshotOf(store).map((chunk) => chunk.length);
    expect(sizes.filter((size) => size < 50).length).toBeGreaterThanOrEqual(4);
    expect(restored(snapshotOf(store)).hash()).toBe(store.hash());
  });

  it("of many keys shows none of the writes between its chunks", () => {
    const store = new KvStore();
    for (let i = 0; i < 6000; i++) put(store, `key ${i}`, "x".repeat(300));
    compact(store, store.revision);
    put(store, "one", "more");
    const hash = store.hash();
    const snapshot = store.snapshot();
    const chunks: Uint8Array[] = [];
    for (const chunk of snapshot.chunks()) {
      chunks.push(chunk);
      for (let i = 0; i < 300; i++) put(store, `key ${i * 19} and ${chunks.length}`, "new");
      for (let i = 0; i < 300; i++) put(store, `key ${i * 17}`, "changed");
      del(store, `key ${chunks.length}`, `key ${chunks.length + 1}`);
    }
    snapshot.release();
    expect(chunks.length).toBeGreaterThan(5);
    expect(restored(chunks).hash()).toBe(hash);
  });

  it("of a revision as far as any may be goes on counting, and can be taken again", () => {
    const far = 2 ** 52;
    const record = { mod: far, create: 2, version: far };
    const store = restored([frames(header(far, far), changes(record), end(0, 1))]);
    put(store, "a", "again");
    expect(counters(store, "a")).toContain(String(far + 1));
    compact(store, far + 1);
    expect(counters(store, "a")).toContain(String(far + 1));
    expect(snapshotOf(store).length).toBeGreaterThan(0);
  });

  it("has a hash of its own, in steps", () => {
    const store = exampleStore();
    const snapshot = store.snapshot();
    const hash = store.hash();
    const hasher = snapshot.hasher();
    put(store, "key 7", "changed meanwhile");
    while (hasher.step(3)) put(store, "another");
    expect([snapshot.revision, hasher.digest()]).toEqual([303, hash]);
    snapshot.release();
  });

  it("cannot be used after its release", () => {
    const snapshot = exampleStore().snapshot();
    const started = snapshot.chunks()[Symbol.iterator]();
    started.next();
    snapshot.release();
    expect(() => [...snapshot.chunks()]).toThrow(AssertionError);
    expect(() => started.next()).toThrow(AssertionError);
    expect(() => snapshot.hasher()).toThrow(AssertionError);
  });
});

describe("a damaged snapshot", () => {
  let whole: Uint8Array;

  beforeAll(() => {
    whole = joined(snapshotOf(exampleStore()));
  });

  it("is refused wherever it breaks off", () => {
    for (let length = 0; length < whole.length; length += 7) {
      expect(restore(whole.subarray(0, length))).toBe("malformed");
    }
    expect(restore(whole.subarray(0, whole.length - 1))).toBe("malformed");
    expect(restore(whole)).toBe("no error");
  });

  it("is refused whatever bit of it is flipped", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(7), (at, bit) => {
        const damaged = whole.slice();
        damaged[at % damaged.length]! ^= 1 << bit;
        expect(["malformed", "storageCorrupt"]).toContain(restore(damaged));
      }),
      { numRuns: 300 },
    );
  });

  it("is refused when chunks are missing, repeated or out of order", () => {
    const store = new KvStore();
    for (let i = 0; i < 3000; i++) put(store, `key ${i}`, "x".repeat(300));
    const chunks = snapshotOf(store);
    expect(chunks.length).toBeGreaterThan(4);
    const without = chunks.toSpliced(2, 1);
    const repeated = chunks.toSpliced(2, 0, chunks[2]!);
    const swapped = chunks.toSpliced(1, 2, chunks[2]!, chunks[1]!);
    for (const wrong of [without, repeated, swapped]) {
      expect(codeOf(() => restored(wrong))).toBe("storageCorrupt");
    }
    expect(codeOf(() => restored([...chunks, ...chunks]))).toBe("storageCorrupt");
  });

  it("leaves the store as it was", () => {
    const store = exampleStore();
    const hash = store.hash();
    const restorer = store.restorer();
    restorer.push(whole.subarray(0, 100));
    expect(() => restorer.finish()).toThrow(EngineError);
    expect(store.hash()).toBe(hash);
    expect(put(store, "a").revision).toBe(304);
  });
});

describe("a snapshot that contradicts itself", () => {
  const FAR = 2 ** 52;
  const MOST = Number.MAX_SAFE_INTEGER;
  const putAt = (mod: number, create = mod, version = 1): RecordFields => ({ mod, create, version });
  const gone = (mod: number): RecordFields => ({ mod });

  it.each<[string, Uint8Array[]]>([
    ["one put", [header(2, 0), changes(putAt(2)), end(0, 1)]],
    ["compacted", [header(9, 9), base(putAt(5, 3, 2)), changes({ ...putAt(9), key: "b" }), end(1, 1)]],
    ["compacted at a put over what is gone", [header(9, 9), changes(putAt(9, 4, 3)), end(0, 1)]],
    ["compacted at a tombstone", [header(9, 9), changes(gone(9)), end(0, 1)]],
    ["version 2", [header(1, 0, 2), end(0, 0, 0, 0)]],
    ["version 3", [header(1, 0, 3), remembered(1, "k"), end(0, 0, 0, 0, 1, 2)]],
    ["version 4", [header(1, 0, 4), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    [
      "users and roles",
      [
        header(1, 0, 4),
        users(user("a")),
        users(user("b", 3)),
        roles(role("a"), role("b")),
        end(0, 0, 0, 0, 0, 0, 2, 2),
      ],
    ],
    ["version 5", [header(1, 0, 5, [1, 7], [0, 7], [0, 8]), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["a revision that is far", [header(FAR, FAR), changes(putAt(FAR, 3, FAR)), end(0, 1)]],
    ["empty frames", [header(2, 0), base(), base(), changes(), changes(putAt(2)), end(0, 1)]],
  ])("no contradiction: %s", (_name, payloads) => {
    expect(restore(frames(...payloads))).toBe("no error");
  });

  it.each<[string, Uint8Array[]]>([
    ["nothing but a header", [header(1, 0)]],
    ["no header", [end(0, 0)]],
    ["two headers", [header(1, 0), header(1, 0), end(0, 0)]],
    ["another version", [header(1, 0, 6), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["a user twice", [header(1, 0, 4), users(user("a"), user("a")), end(0, 0, 0, 0, 0, 0, 2, 0)]],
    [
      "users out of order",
      [header(1, 0, 4), users(user("b")), users(user("a")), end(0, 0, 0, 0, 0, 0, 2, 0)],
    ],
    ["a user without a name", [header(1, 0, 4), users(user("")), end(0, 0, 0, 0, 0, 0, 1, 0)]],
    ["a password of the future", [header(1, 0, 4), users(user("a", 4)), end(0, 0, 0, 0, 0, 0, 1, 0)]],
    ["users that are missing", [header(1, 0, 4), users(user("a")), end(0, 0, 0, 0, 0, 0, 2, 0)]],
    ["roles that are missing", [header(1, 0, 4), roles(role("a")), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["users after roles", [header(1, 0, 4), roles(role("a")), users(user("a")), end(0, 0, 0, 0, 0, 0, 1, 1)]],
    ["users before there were any", [header(1, 0, 3), users(user("a")), end(0, 0, 0, 0, 0, 0)]],
    ["users after keys", [header(2, 0, 4), changes(putAt(2)), users(user("a")), end(0, 1, 0, 0, 0, 0, 1, 0)]],
    ["an alarm twice", [header(1, 0, 5, [0, 7], [0, 7]), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["an unknown alarm", [header(1, 0, 5, [2, 7]), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["too many alarms", [header(1, 0, 5, ...alarmsOf(257)), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["alarms that break off", [header(1, 0, 5, [0, 7]).slice(0, -1), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["named writes that are missing", [header(1, 0, 3), end(0, 0, 0, 0, 1, 1)]],
    ["named writes before there were any", [header(1, 0, 2), remembered(1, "k"), end(0, 0, 0, 0)]],
    ["a name twice", [header(1, 0, 3), remembered(1, "k"), remembered(2, "k"), end(0, 0, 0, 0, 2, 2)]],
    [
      "named writes out of order",
      [header(1, 0, 3), remembered(2, "k"), remembered(1, "l"), end(0, 0, 0, 0, 2, 2)],
    ],
    ["a serial that is less than the last", [header(1, 0, 3), remembered(2, "k"), end(0, 0, 0, 0, 1, 1)]],
    ["a name that is none", [header(1, 0, 3), remembered(1, 'a "b'), end(0, 0, 0, 0, 1, 1)]],
    ["something else", [new ByteWriter().u8(1).u32(7).u8(1).uint(1).uint(0).finish(), end(0, 0)]],
    ["revision 0", [header(0, 0), end(0, 0)]],
    ["compacted in the future", [header(2, 3), changes(putAt(2)), end(0, 1)]],
    ["an unknown frame", [header(1, 0), Uint8Array.of(5), end(0, 0)]],
    ["something after the end", [header(1, 0), end(0, 0), end(0, 0)]],
    [
      "base records after changes",
      [header(3, 3), changes(putAt(3)), base({ ...putAt(2), key: "b" }), end(1, 1)],
    ],
    ["a wrong count", [header(2, 0), changes(putAt(2)), end(0, 2)]],
    ["no last change", [header(3, 0), changes(putAt(2)), end(0, 1)]],
    ["no first change", [header(3, 0), changes(putAt(3)), end(0, 1)]],
    ["a gap", [header(4, 0), changes(putAt(2), { ...putAt(4), key: "b" }), end(0, 2)]],
    [
      "changes that go back",
      [header(3, 0), changes(putAt(2), putAt(3, 2, 2), { ...putAt(2), key: "b" }), end(0, 3)],
    ],
    ["a change after the last revision", [header(2, 0), changes(putAt(2), putAt(3, 2, 2)), end(0, 2)]],
    ["a tombstone of a key that was not there", [header(2, 0), changes(gone(2)), end(0, 1)]],
    ["two tombstones", [header(4, 0), changes(putAt(2), gone(3), gone(4)), end(0, 3)]],
    ["a version that was skipped", [header(3, 0), changes(putAt(2), putAt(3, 2, 3)), end(0, 2)]],
    ["a creation that moved", [header(3, 0), changes(putAt(2), putAt(3, 3, 2)), end(0, 2)]],
    ["a first version that is not 1", [header(2, 0), changes(putAt(2, 2, 2)), end(0, 1)]],
    [
      "a put after a tombstone that goes on counting",
      [header(4, 0), changes(putAt(2), gone(3), putAt(4, 2, 2)), end(0, 3)],
    ],
    ["created after it was modified", [header(2, 0), changes(putAt(2, 3, 1)), end(0, 1)]],
    [
      "created at revision 1",
      [header(9, 9), base(putAt(5, 1, 2)), changes({ ...putAt(9), key: "b" }), end(1, 1)],
    ],
    ["version 0", [header(9, 9), base(putAt(5, 3, 0)), changes({ ...putAt(9), key: "b" }), end(1, 1)]],
    ["a tombstone in the base", [header(9, 9), base(gone(5)), changes({ ...putAt(9), key: "b" }), end(1, 1)]],
    [
      "a base record of the compacted revision",
      [header(9, 9), base(putAt(9)), changes({ ...putAt(9), key: "b" }), end(1, 1)],
    ],
    [
      "keys in the wrong order",
      [header(9, 9), base({ ...putAt(5), key: "b" }, putAt(6)), changes(putAt(9, 6, 2)), end(2, 1)],
    ],
    ["a key twice", [header(9, 9), base(putAt(5), putAt(6)), changes(putAt(9, 6, 2)), end(2, 1)]],
    ["a revision that is about to run out", [header(MOST, MOST), changes(putAt(MOST)), end(0, 1)]],
    ["a version that is about to run out", [header(9, 9), changes(putAt(9, 4, MOST)), end(0, 1)]],
    ["leases whose serials are about to run out", [header(1, 0, 2), end(0, 0, 0, MOST)]],
    ["named writes whose serials are about to run out", [header(1, 0, 3), end(0, 0, 0, 0, 0, MOST)]],
    ["users whose revision is about to run out", [authHeader(MOST), end(0, 0, 0, 0, 0, 0, 0, 0)]],
    ["an empty key", [header(2, 0), changes({ ...putAt(2), key: "" }), end(0, 1)]],
    ["a record that breaks off", [header(2, 0), changes(putAt(2)).slice(0, -1), end(0, 1)]],
    [
      "a frame that promises more and is followed by another kind",
      [header(1, 0), Uint8Array.of(0x82), end(0, 0)],
    ],
  ])("%s", (_name, payloads) => {
    expect(restore(frames(...payloads))).toBe("malformed");
  });

  it("a frame that is larger than any may be, before it has arrived", () => {
    expect(restore(new ByteWriter().u32(0xffffffff).u32(0).finish())).toBe("malformed");
    expect(restore(new ByteWriter().u32(0).u32(0).finish())).toBe("malformed");
  });
});
