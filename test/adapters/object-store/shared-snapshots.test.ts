import { describe, expect, it } from "vitest";
import {
  type ObjectReader,
  type ObjectStorage,
  type ObjectStore,
  openObjectStorage,
  prefixBeside,
} from "../../../src/adapters/object-store/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
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
const CONTEXT = Uint8Array.of(7);

/** A store in a place with others: each prefix is a bucket of its own here. */
class Place {
  readonly buckets: Map<string, ObjectBucket> = new Map();
  /** What was read of neighbours. */
  readonly reads: string[] = [];
  /** Before a neighbour's object is read. */
  meddle: (name: string) => void = () => {};

  bucket(prefix: string): ObjectBucket {
    const found = this.buckets.get(prefix) ?? new ObjectBucket();
    this.buckets.set(prefix, found);
    return found;
  }

  store(prefix: string): ObjectStore {
    const location = `memory://place/${prefix}`;
    const beside = (other: string): ObjectReader | null => {
      const found = prefixBeside({ location, prefix }, other);
      if (found === null) return null;
      const get = async (name: string): ReturnType<ObjectReader["get"]> => {
        this.reads.push(found + name);
        this.meddle(name);
        return this.bucket(found).get(name);
      };
      return { location: other, get };
    };
    const inner = memoryObjectStore(this.bucket(prefix), { maxObjectBytes: CHUNK_BYTES });
    return { ...inner, location, beside };
  }

  open(prefix: string): Promise<ObjectStorage> {
    return openObjectStorage({ store: this.store(prefix), clock: nodeClock, random: nodeRandom });
  }
}

async function write(storage: ObjectStorage, index: number, content = CONTENT): Promise<SnapshotInfo> {
  const writer = await storage.snapshots.create(at(index), CONTEXT);
  await writer.write(content);
  return writer.commit();
}

interface Scene {
  readonly place: Place;
  readonly info: SnapshotInfo;
  readonly name: string;
  readonly sender: ObjectStorage;
  readonly read: (name?: string, info?: SnapshotInfo, offset?: number) => Promise<Uint8Array>;
}

async function scene(): Promise<Scene> {
  const place = new Place();
  const sender = await place.open("prod/tok/g/n1/");
  const receiver = await place.open("prod/tok/g/n2/");
  const info = await write(sender, 5);
  const name = await sender.snapshots.nameOf(info);
  return {
    place,
    info,
    name,
    sender,
    read: (asked = name, expected = info, offset = 0) =>
      collect(receiver.snapshots.readShared(asked, expected, offset)),
  };
}

async function detailOf(read: Promise<unknown>): Promise<string> {
  const error: unknown = await read.then(
    () => "read",
    (reason: unknown) => reason,
  );
  return error instanceof EngineError ? `${error.code}: ${error.message}` : String(error);
}

describe("a neighbour's snapshot", () => {
  it("is read by its name, whole or from a byte on", async () => {
    const { read, name } = await scene();
    expect(name).toMatch(/^memory:\/\/place\/prod\/tok\/g\/n1\/snapshots\/[\d-]+#[0-9a-f]{32}$/);
    expectBytes(await read(), CONTENT);
    expectBytes(await read(undefined, undefined, 12_345), CONTENT.subarray(12_345));
  });

  it("is held to what was announced of it, and to nothing less", async () => {
    const { read, info, name } = await scene();
    const others: SnapshotInfo[] = [
      { ...info, size: info.size + 1 },
      { ...info, checksum: info.checksum ^ 1 },
      { ...info, context: Uint8Array.of(8) },
      { ...info, meta: at(6) },
      { ...info, meta: { ...info.meta, term: 2 } },
      { ...info, meta: { ...info.meta, config: { ...CONFIG, voters: [1n, 2n] } } },
    ];
    for (const other of others) expect(await rejection(read(name, other))).toBe("storageForeign");
  });

  it("is refused when another has taken its place, of the same position and the same size", async () => {
    const { read, place, name, sender } = await scene();
    const [description = ""] = place.bucket("prod/tok/g/n1/").names("snapshots/");
    await write(sender, 5, patternBytes(50_000, 2));
    const [next = ""] = place.bucket("prod/tok/g/n1/").names("snapshots/");
    expect(next).not.toBe(description);
    expect(await detailOf(read())).toMatch(/storageFailed.*is not there/);
    expect(await detailOf(read(name.replace(description, next)))).toMatch(/storageForeign.*another one/);
  });

  it("fails when a chunk has gone midway, and when one was changed", async () => {
    const { read, place } = await scene();
    const bucket = place.bucket("prod/tok/g/n1/");
    const sixth = bucket.names("chunks/")[6]!;
    const bytes = bucket.get(sixth)!.body;
    bytes[100]! ^= 1;
    bucket.put(sixth, bytes);
    expect(await detailOf(read())).toMatch(/storageCorrupt.*does not match its hash/);
    place.meddle = (name) => {
      if (name === sixth) bucket.delete([sixth]);
    };
    expect(await detailOf(read())).toMatch(/storageCorrupt.*is missing/);
  });

  it("is gone when its owner has dropped it", async () => {
    const { read, sender, info } = await scene();
    await write(sender, 6, new Uint8Array());
    await sender.snapshots.drop(info);
    expect(await detailOf(read())).toMatch(/storageFailed.*is not there/);
  });

  it("is not looked for where nobody's neighbour is", async () => {
    const { read, name, place } = await scene();
    const [description = ""] = /snapshots\/.*/.exec(name) ?? [];
    const strange = [
      "",
      "snapshots/",
      description,
      name.replace(/#.*/, ""),
      `${name}0`,
      name.replace("snapshots/", "log/"),
      name.replace("snapshots/", "snapshots/../../"),
      `${"x".repeat(100_000)}/${description}`,
    ];
    for (const asked of strange)
      expect(await rejection(read(asked))).toMatch(/invalidArgument|storageForeign/);
    const foreign = [
      // Other stores, other clusters, other groups, and ways out.
      name.replace("memory://", "s3://"),
      name.replace("/place/", "/elsewhere/"),
      name.replace("/tok/", "/other/"),
      name.replace("/g/", "/h/"),
      name.replace("/n1/", "/n1/deeper/"),
      name.replace("/n1/", "/../g/n1/"),
      name.replace("/n1/", "/./"),
      name.replace("/n1/", "/../"),
      name.replace("/n1/", "//"),
      name.replace("/n1/", "/%2e%2e/"),
      name.replace("/n1/", "/n1?versionId=1/"),
      name.replace("/g/n1/", "/"),
    ];
    for (const asked of foreign) expect(await rejection(read(asked))).toBe("storageForeign");
    expect(place.reads).toEqual([]);
  });

  it("is not looked for by a store without a prefix, or with none beside it", async () => {
    expect(prefixBeside({ location: "s3://bucket/", prefix: "" }, "s3://bucket/n1/")).toBeNull();
    expect(prefixBeside({ location: "s3://bucket/a/", prefix: "a/" }, "s3://bucket/n1/")).toBe("n1/");
    expect(prefixBeside({ location: "s3://bucket/a/", prefix: "a/" }, "s3://bucket2/n1/")).toBeNull();
    expect(prefixBeside({ location: "s3://bucket/a/", prefix: "a/" }, "s3://bucket/")).toBeNull();
    const bucket = new ObjectBucket();
    const store = memoryObjectStore(bucket);
    const storage = await openObjectStorage({ store, clock: nodeClock, random: nodeRandom });
    const { name, info } = await scene();
    expect(await rejection(collect(storage.snapshots.readShared(name, info, 0)))).toBe("storageForeign");
  });

  it("is read with no more in memory than a few chunks", async () => {
    const { place, name, info } = await scene();
    const receiver = await place.open("prod/tok/g/n3/");
    let used = 0;
    let ahead = 0;
    place.meddle = () => {
      ahead = Math.max(ahead, place.reads.length - used);
    };
    for await (const chunk of receiver.snapshots.readShared(name, info, 0)) {
      used++;
      expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES);
    }
    expect(used).toBe(Math.ceil(CONTENT.length / CHUNK_BYTES));
    // The description, the one in use, and the next.
    expect(ahead).toBeLessThanOrEqual(3);
  });
});
