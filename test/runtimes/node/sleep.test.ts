import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type ObjectStore, openObjectStorage } from "../../../src/adapters/object-store/index.ts";
import type { StorageEngine } from "../../../src/core/node/index.ts";
import type { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { memoryObjectStore, ObjectBucket } from "../../adapters/object-store/object-bucket.ts";
import { startEmbeddedGroup } from "./embedded-group.ts";

const members: EmbeddedEngine[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.stop()));
});

/** Three members whose logs are in buckets, and how many requests they have made of these so far. */
async function start(): Promise<() => number> {
  let requests = 0;
  const counted = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]) => {
          requests++;
          return value.apply(target, given) as unknown;
        };
      },
    });
  const open = (): Promise<StorageEngine> =>
    openObjectStorage({
      store: counted(memoryObjectStore(new ObjectBucket())),
      clock: nodeClock,
      random: nodeRandom,
    });
  const storages = [await open(), await open(), await open()];
  members.push(...(await startEmbeddedGroup(3, (i) => ({ storage: storages[i]!, sleepAfter: 500 }))));
  return () => requests;
}

async function allAsleep(): Promise<void> {
  await expect.poll(() => members.every(({ engine }) => engine.status().isAsleep)).toBe(true);
}

describe("a group that sleeps", () => {
  it("asks nothing of its stores, and is awake as soon as it is asked, at whichever member", async () => {
    const requests = await start();
    for (const member of members) {
      await member.client().put("key", member.engine.status().name);
      await allAsleep();
      const asked = async (): Promise<number> => {
        const before = requests();
        await sleep(1500);
        return requests() - before;
      };
      await expect.poll(asked).toBe(0);
    }
    for (const member of members) {
      await allAsleep();
      expect(await member.client().getText("key")).toBe("n3");
    }
  });

  it("ends leases in time, though nobody asks, and goes on without the member that led", async () => {
    await start();
    const [first] = members;
    await first!.client().put("kept", "x");
    await first!.client().put("leased", "x", { ttlMs: 3000 });
    await allAsleep();
    // Nobody asks: the leader awakes for it.
    await expect.poll(() => members.every(({ engine }) => engine.status().leases === 0)).toBe(true);
    await allAsleep();
    const leader = members.find(({ isLeader }) => isLeader)!;
    members.splice(members.indexOf(leader), 1);
    await leader.stop();
    await allAsleep();
    expect(await members[0]!.client().getText("kept")).toBe("x");
    expect(await members[1]!.client().get("leased")).toBeNull();
  });
});
