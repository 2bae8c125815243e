import { expect, test } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { Applier } from "../../../src/core/node/applier.ts";
import { KvStateMachine } from "../../../src/core/node/kv-state-machine.ts";
import { Membership } from "../../../src/core/node/membership.ts";
import { Meter } from "../../../src/core/node/observer.ts";
import { NODE_DEFAULTS } from "../../../src/core/node/options.ts";
import { Snapshotter } from "../../../src/core/node/snapshotter.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";

const LOGGER = { log: (): void => undefined };

test("the log that a leader's snapshot begins anew meanwhile is not shortened again", async () => {
  const clock = nodeClock;
  const storage = new MemoryStorage();
  const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  await storage.log.append(Array.from({ length: 20 }, (_, i) => ({ kind: "noop", index: i + 1, term: 1 })));
  let firstIndex = 1;
  const term = storage.log.term.bind(storage.log);
  storage.log.term = async (index) => {
    await storage.log.reset(30, 2);
    firstIndex = 31;
    return await term(index);
  };
  const meter = new Meter(clock, null);
  const applier = new Applier(
    new KvStateMachine(clock),
    new Membership(config, []),
    { index: 20, term: 1 },
    meter,
    {
      onConfChange: () => config,
      onResult: () => undefined,
      onMembership: () => undefined,
    },
  );
  const compacted: number[] = [];
  const snapshotter = new Snapshotter(
    storage,
    applier,
    { ...NODE_DEFAULTS, trailingEntries: 5 },
    clock,
    LOGGER,
    meter,
    {
      stored: () => ({ term: 2, firstIndex, persistedIndex: 30 }),
      compacting: ({ index }) => void compacted.push(index),
      fail: (error) => expect.fail(String(error)),
    },
  );
  expect((await snapshotter.take()).meta.index).toBe(20);
  expect(compacted).toEqual([]);
});
