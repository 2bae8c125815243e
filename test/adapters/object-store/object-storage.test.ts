import {
  type ObjectStore,
  openObjectLog,
  openObjectMeta,
  openObjectSnapshots,
  openObjectStorage,
} from "../../../src/adapters/object-store/index.ts";
import type { StoreIdentity } from "../../../src/core/node/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { storageConformance } from "../conformance.ts";
import { storageDamageConformance } from "../damage-conformance.ts";
import { command } from "../storage-helpers.ts";
import { memoryObjectStore, ObjectBucket } from "./object-bucket.ts";

const surroundings = { clock: nodeClock, random: nodeRandom };
const IDENTITY: StoreIdentity = { clusterId: 1n, groupId: "g", nodeId: 2n };

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

storageConformance("log, metadata and snapshots in three object stores", {
  site: async () => {
    const buckets = [new ObjectBucket(), new ObjectBucket(), new ObjectBucket()] as const;
    return {
      open: async () => {
        const stores = buckets.map((bucket) => memoryObjectStore(bucket)) as [
          ObjectStore,
          ObjectStore,
          ObjectStore,
        ];
        const log = await openObjectLog({ ...surroundings, store: stores[0], identity: IDENTITY });
        const meta = await openObjectMeta({ ...surroundings, store: stores[1] });
        const snapshots = openObjectSnapshots({ ...surroundings, store: stores[2] }, () =>
          log.confirmOwner(),
        );
        return {
          log: log.log,
          meta: meta.meta,
          snapshots: snapshots.snapshots,
          confirmOwner: () => log.confirmOwner(),
          close: async () => {
            await Promise.all([snapshots.close(), log.close(), meta.close()]);
          },
        };
      },
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
