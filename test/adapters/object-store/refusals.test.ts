import { describe, expect, it } from "vitest";
import { type ObjectStorage, openObjectStorage } from "../../../src/adapters/object-store/index.ts";
import { decodeManifest, encodeManifest } from "../../../src/adapters/object-store/journal/manifest.ts";
import { slotName } from "../../../src/adapters/object-store/journal/slot.ts";
import { crc32 } from "../../../src/core/bytes/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { StoreIdentity } from "../../../src/core/node/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { collect, commands, patternBytes } from "../storage-helpers.ts";
import { memoryObjectStore, ObjectBucket } from "./object-bucket.ts";

const surroundings = { clock: nodeClock, random: nodeRandom };
const MINE: StoreIdentity = { clusterId: 1n, groupId: "g", nodeId: 2n };
const CONFIG = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

const open = (bucket: ObjectBucket, identity?: StoreIdentity): Promise<ObjectStorage> =>
  openObjectStorage({
    ...surroundings,
    store: memoryObjectStore(bucket),
    ...(identity === undefined ? {} : { identity }),
  });

/** Everything that is there, to see that nothing was changed. */
function contents(bucket: ObjectBucket): string[] {
  return bucket.names().map((name) => `${name} ${bucket.get(name)!.version}`);
}

/** A store of node 2 that ten owners wrote to, one after the other. */
async function usedBucket(): Promise<ObjectBucket> {
  const bucket = new ObjectBucket();
  for (let i = 0; i < 10; i++) {
    const storage = await open(bucket);
    await storage.log.open();
    if (i === 0) await storage.meta.saveIdentity(MINE);
    for (let j = 0; j < 10; j++) await storage.log.append(commands(i * 10 + j + 1, 1, i + 1));
    await storage.close();
  }
  return bucket;
}

/** Opens it up to where a node would be ready, and expects that to be refused and to change nothing. */
async function expectRefusal(
  bucket: ObjectBucket,
  code: string,
  message: RegExp,
  opening: () => Promise<unknown> = () => open(bucket),
): Promise<void> {
  const before = contents(bucket);
  const error: unknown = await opening().then(
    () => null,
    (problem: unknown) => problem,
  );
  expect(error).toBeInstanceOf(EngineError);
  expect((error as EngineError).code).toBe(code);
  expect((error as EngineError).message).toMatch(message);
  expect((error as EngineError).message).toContain("memory://bucket");
  expect(contents(bucket)).toEqual(before);
}

/** Changes an object and makes its checksum right again. */
function patch(bucket: ObjectBucket, name: string, change: (body: Uint8Array) => void): void {
  const { body } = bucket.get(name)!;
  change(body);
  new DataView(body.buffer).setUint32(body.length - 4, crc32(body.subarray(0, -4)), true);
  bucket.put(name, body);
}

/** A slot in the midst of the log that holds entries. */
const SLOT = slotName("log", 60);

describe("what an object store refuses", () => {
  it("the prefix of another node, cluster or group, before anybody is disturbed", async () => {
    const bucket = await usedBucket();
    const other = { ...MINE, nodeId: 3n };
    await expectRefusal(bucket, "storageForeign", /node 2 .* this is node 3 .*prefix of its own/, () =>
      open(bucket, other),
    );
    for (const stranger of [
      { ...MINE, clusterId: 9n },
      { ...MINE, groupId: "h" },
    ]) {
      await expectRefusal(bucket, "storageForeign", /belongs to .*prefix of its own/, () =>
        open(bucket, stranger),
      );
    }
    await (await open(bucket, MINE)).close();
  });

  it("nothing yet to who only asks whose it is", async () => {
    const bucket = await usedBucket();
    const before = contents(bucket);
    const storage = await open(bucket);
    expect((await storage.meta.load()).identity).toEqual(MINE);
    await storage.close();
    expect(contents(bucket)).toEqual(before);
  });

  it("objects of another program under its names", async () => {
    const manifest = new ObjectBucket();
    manifest.put("log-manifest", patternBytes(500, 1));
    await expectRefusal(
      manifest,
      "storageForeign",
      /log-manifest was not written by d-engine; choose a prefix/,
    );
    const segment = await usedBucket();
    segment.put(SLOT, patternBytes(500, 1));
    await expectRefusal(segment, "storageForeign", /was not written by d-engine; choose a prefix/);
    const name = await usedBucket();
    name.put("log/readme", patternBytes(5, 1));
    await expectRefusal(name, "storageForeign", /log\/readme is no segment of a log; remove it/);
  });

  it("formats of a later version", async () => {
    const later = (body: Uint8Array): void => void (body[4] = 99);
    for (const name of ["log-manifest", SLOT]) {
      const bucket = await usedBucket();
      patch(bucket, name, later);
      await expectRefusal(
        bucket,
        "storageForeign",
        /format version 99.*start the build that wrote it, or a newer/,
      );
    }
  });

  it("damage to any byte of a segment or of the manifest", async () => {
    for (const name of ["log-manifest", SLOT]) {
      const { body } = (await usedBucket()).get(name)!;
      for (let at = 0; at < body.length; at += 7) {
        const bucket = await usedBucket();
        const damaged = body.slice();
        damaged[at]! ^= 0x10;
        bucket.put(name, damaged);
        await expectRefusal(bucket, at < 5 ? "storageForeign" : "storageCorrupt", /restore|choose|start/);
      }
    }
  });

  it("a segment cut off, empty, copied from elsewhere, or of another log", async () => {
    const cut = await usedBucket();
    cut.put(SLOT, cut.get(SLOT)!.body.subarray(0, -1));
    await expectRefusal(cut, "storageCorrupt", /does not match its checksum; restore/);
    const empty = await usedBucket();
    empty.put(SLOT, new Uint8Array());
    await expectRefusal(empty, "storageForeign", /was not written by d-engine/);
    const copied = await usedBucket();
    copied.put(SLOT, copied.get(slotName("log", 61))!.body);
    await expectRefusal(copied, "storageCorrupt", /is a copy of segment 61; restore/);
    const mixed = await usedBucket();
    mixed.put(SLOT, (await usedBucket()).get(SLOT)!.body);
    await expectRefusal(mixed, "storageCorrupt", /belongs to another log; restore/);
  });

  it("a log with any of its segments missing, up to the last few", async () => {
    // The first is a fence before the boundary, and read by nobody who comes in time.
    const names = (await usedBucket()).names("log/").slice(1);
    for (const [i, name] of names.slice(0, -4).entries()) {
      if (i % 5 > 0) continue;
      const bucket = await usedBucket();
      bucket.delete([name]);
      const seq = Number(name.slice(4));
      await expectRefusal(bucket, "storageCorrupt", new RegExp(`segment ${seq} is missing.*; restore`));
    }
  });

  it("segments without a manifest, and a manifest from before they were written", async () => {
    const without = await usedBucket();
    without.delete(["log-manifest"]);
    await expectRefusal(
      without,
      "storageCorrupt",
      /there are segments, but log-manifest is missing; restore/,
    );
    const older = await usedBucket();
    const manifest = decodeManifest(older.get("log-manifest")!.body, "");
    older.put("log-manifest", encodeManifest({ ...manifest, epoch: manifest.epoch - 3 }));
    await expectRefusal(older, "storageCorrupt", /is of owner 8, but the manifest knows of 7; restore/);
  });

  it("a snapshot with a chunk missing, swapped or damaged, and hands out no wrong byte", async () => {
    const bytes = patternBytes(20_000, 1);
    const prepare = async (): Promise<[ObjectBucket, string[]]> => {
      const bucket = new ObjectBucket();
      const store = memoryObjectStore(bucket, { maxObjectBytes: 4000 });
      const storage = await openObjectStorage({ ...surroundings, store });
      const writer = await storage.snapshots.create(
        { index: 1, term: 1, config: CONFIG },
        bytes.subarray(0, 5),
      );
      await writer.write(bytes);
      await writer.commit();
      await storage.close();
      return [bucket, bucket.names("chunks/")];
    };
    const damages: ((bucket: ObjectBucket, names: string[]) => void)[] = [
      (bucket, names) => bucket.delete([names[3]!]),
      (bucket, names) => void bucket.put(names[3]!, bucket.get(names[2]!)!.body),
      (bucket, names) => void bucket.put(names[3]!, bucket.get(names[3]!)!.body.subarray(1)),
    ];
    for (const damage of damages) {
      const [bucket, names] = await prepare();
      expect(names).toHaveLength(5);
      damage(bucket, names);
      await expectRefusal(bucket, "storageCorrupt", /chunks\//, async () => {
        const storage = await open(bucket);
        const [info] = await storage.snapshots.list();
        let at = 0;
        for await (const chunk of storage.snapshots.read(info!)) {
          expect(chunk).toEqual(bytes.subarray(at, at + chunk.length));
          at += chunk.length;
        }
      });
    }
    const [bucket] = await prepare();
    patch(bucket, bucket.names("snapshots/")[0]!, (body) => void (body[4] = 99));
    await expectRefusal(bucket, "storageForeign", /format version 99/, async () => {
      const storage = await open(bucket);
      await collect(storage.snapshots.read((await storage.snapshots.list())[0]!));
    });
  });

  it("a linger that is no time", async () => {
    for (const lingerMs of [-1, Number.NaN, 10_001]) {
      const opening = openObjectStorage({
        ...surroundings,
        store: memoryObjectStore(new ObjectBucket()),
        lingerMs,
      });
      await expect(opening).rejects.toThrow(/lingerMs must be 0 to 10000/);
    }
  });
});
