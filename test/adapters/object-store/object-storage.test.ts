import { expect, it } from "vitest";
import { openObjectStorage } from "../../../src/adapters/object-store/index.ts";
import { bundleStorage, type StorageEngine } from "../../../src/core/node/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { storageConformance } from "../conformance.ts";
import { storageDamageConformance } from "../damage-conformance.ts";
import { command, rejection } from "../storage-helpers.ts";
import { memoryObjectStore, ObjectBucket } from "./object-bucket.ts";

const surroundings = { clock: nodeClock, random: nodeRandom };

for (const [name, limits] of [
  ["objects in memory", {}],
  ["small objects in memory, small pages", { maxObjectBytes: 10_000, pageSize: 3 }],
] as const) {
  storageConformance(name, {
    site: async () => {
      const bucket = new ObjectBucket();
      return {
        open: () => openObjectStorage({ ...surroundings, store: memoryObjectStore(bucket, limits) }),
        remove: async () => {},
      };
    },
    histories: 100,
  });
}

storageConformance("a log in one object store, metadata in another", {
  site: async () => {
    const buckets = [new ObjectBucket(), new ObjectBucket()] as const;
    const openIn = (bucket: ObjectBucket): Promise<StorageEngine> =>
      openObjectStorage({ ...surroundings, store: memoryObjectStore(bucket) });
    return {
      open: async () => bundleStorage(await openIn(buckets[0]), await openIn(buckets[1])),
      remove: async () => {},
    };
  },
  histories: 50,
});

storageDamageConformance("objects in memory", {
  site: async () => {
    const bucket = new ObjectBucket();
    return {
      bucket,
      open: () => openObjectStorage({ ...surroundings, store: memoryObjectStore(bucket) }),
      remove: async () => {},
    };
  },
  damageLog: async ({ bucket }) => {
    const wanted = Buffer.from(command(25, 1).data);
    for (const name of bucket.names("log/")) {
      const { body } = bucket.get(name)!;
      const at = Buffer.from(body).indexOf(wanted);
      if (at === -1) continue;
      body[at + 3]! ^= 1;
      bucket.put(name, body);
    }
  },
  damageSnapshot: async ({ bucket }) => {
    const name = bucket.names("chunks/")[0]!;
    const { body } = bucket.get(name)!;
    body[body.length >>> 1]! ^= 1;
    bucket.put(name, body);
  },
  tearSnapshot: async ({ bucket }) => {
    const name = bucket.names("snapshots/")[0]!;
    bucket.put(name, bucket.get(name)!.body.subarray(0, -10));
  },
});

it("takes the metadata over together with the log, though they are in two stores", async () => {
  const buckets = [new ObjectBucket(), new ObjectBucket()] as const;
  const openIn = (bucket: ObjectBucket): Promise<StorageEngine> =>
    openObjectStorage({ ...surroundings, store: memoryObjectStore(bucket) });
  const start = async (): Promise<StorageEngine> => {
    const bundle = await bundleStorage(await openIn(buckets[0]), await openIn(buckets[1]));
    await bundle.meta.load();
    return bundle;
  };
  const old = await start();
  await old.log.open();
  await old.meta.saveHardState({ term: 1, vote: null, commit: 0 });
  await old.log.append([command(1, 1)]);
  const overtaken = await start();
  // A vote that the one before gives away just before it is replaced.
  await old.meta.saveHardState({ term: 2, vote: 2n, commit: 0 });
  expect(await rejection(overtaken.log.open())).toBe("storageLocked");
  const next = await start();
  expect((await next.meta.load()).hardState).toMatchObject({ term: 2, vote: 2n });
  await next.log.open();
  // The next one acknowledges entries of term 2 from now on, so nobody else may vote in a later one.
  expect(await rejection(old.meta.saveHardState({ term: 3, vote: 3n, commit: 0 }))).toBe("fenced");
  await next.log.append([command(2, 2)]);
});
