import { type ObjectStore, openObjectStorage } from "../../../src/adapters/object-store/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { webRandom } from "../../../src/runtimes/http/web-random.ts";
import type { StorageSite } from "../conformance.ts";

let sites = 0;

/** A node's stores under a prefix of their own, which stays behind: the bucket goes with its server. */
export async function objectStorageSite(
  open: (prefix: string) => Promise<ObjectStore>,
): Promise<StorageSite> {
  const prefix = `storage/${sites++}`;
  return {
    open: async () => openObjectStorage({ store: await open(prefix), clock: nodeClock, random: webRandom }),
    remove: async () => {},
  };
}
