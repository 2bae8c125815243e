import { openObjectStorage } from "../../../src/adapters/object-store/index.ts";
import { bundleStorage, type StorageEngine } from "../../../src/core/node/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { storageConformance } from "../conformance.ts";
import { storageDamageConformance } from "../damage-conformance.ts";
import { command } from "../storage-helpers.ts";
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
