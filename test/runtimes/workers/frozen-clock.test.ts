// Deployed, the clock of a Durable Object stands still while code runs, and moves on with the next event. A lease that
// is judged by it must not outlive the truth.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import {
  type Clock,
  KvEngine,
  type StorageEngine,
  type TransportHandler,
} from "../../../src/core/node/index.ts";
import { objectClock } from "../../../src/runtimes/workers/object-clock.ts";

const ELECTION_TIMEOUT_MS = 300;
const founders = [1n, 2n, 3n].map((id) => ({
  id,
  name: "",
  peerUrls: [`http://n${id}:1`],
  clientUrls: [],
  isLearner: false,
}));

/** One object's events: while one of them runs, none of the others does, and the clock stands still. */
class Events {
  #frozenAtMs: number | null = null;
  #waiting: (() => void)[] = [];

  now(): number {
    return this.#frozenAtMs ?? performance.now();
  }

  run(event: () => void): void {
    if (this.#frozenAtMs === null) event();
    else this.#waiting.push(event);
  }

  /** An event begins that computes for a long time. */
  freeze(): void {
    this.#frozenAtMs = performance.now();
  }

  /** It is over. */
  thaw(): void {
    this.#frozenAtMs = null;
    for (const event of this.#waiting.splice(0)) event();
  }
}

const engines: KvEngine[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(engines.splice(0).map((engine) => engine.stop({ transferLeadership: false })));
});

async function cluster(storageOf: (events: Events) => StorageEngine) {
  const handlers = new Map<bigint, TransportHandler>();
  const all = new Map([1n, 2n, 3n].map((id) => [id, new Events()]));
  const nodes = [];
  for (const [id, events] of all) {
    const clock: Clock = {
      nowMs: () => events.now(),
      wallMs: () => Date.now(),
      setTimer(delayMs, callback) {
        const timer = setTimeout(() => events.run(callback), delayMs);
        return () => clearTimeout(timer);
      },
    };
    const engine = await KvEngine.start({
      identity: { clusterId: 1n, groupId: "g", nodeId: id },
      founders,
      self: { name: `n${id}`, clientUrls: [] },
      storage: storageOf(events),
      transport: {
        send: (to, frame) =>
          void setTimeout(() => all.get(to)!.run(() => handlers.get(to)?.receive(id, frame)), 1),
        setPeers: () => undefined,
        start: (handler) => void handlers.set(id, handler),
        stop: () => Promise.resolve(),
      },
      clock,
      random: { next: Math.random, id: () => BigInt(Math.floor(Math.random() * 2 ** 50) + 1) },
      logger: { log: () => undefined },
      raft: { electionTimeoutMs: ELECTION_TIMEOUT_MS, heartbeatIntervalMs: 50, clockDriftBoundMs: 30 },
      tuning: { requestTimeoutMs: 1500 },
    });
    engines.push(engine);
    nodes.push({ engine, events });
  }
  const key = new TextEncoder().encode("k");
  const put = (engine: KvEngine, value: string) =>
    engine.put({ key, value: new TextEncoder().encode(value) });
  const leaseRead = async (engine: KvEngine): Promise<string> => {
    const { kvs } = await engine.range({ key }, { consistency: "lease" });
    return new TextDecoder().decode(kvs[0]?.value);
  };
  await nodes[0]!.engine.ready(5000);
  await put(nodes[0]!.engine, "old");
  const leader = nodes.find(({ engine }) => engine.isLeader)!;
  await expect.poll(() => leaseRead(leader.engine)).toBe("old");
  return { leader, others: nodes.filter((node) => node !== leader), put, leaseRead };
}

/** Reads under a lease that has run out, at the end of an event that took longer than the lease lasts. */
async function readAfterLongEvent(storageOf: (events: Events) => StorageEngine): Promise<string> {
  const { leader, others, put, leaseRead } = await cluster(storageOf);
  leader.events.freeze();
  await expect.poll(() => others.some(({ engine }) => engine.isLeader), { timeout: 30_000 }).toBe(true);
  await put(others.find(({ engine }) => engine.isLeader)!.engine, "new");
  const read = leaseRead(leader.engine);
  await sleep(20);
  leader.events.thaw();
  return await read;
}

/** In which an answer from memory must wait for the storage, as in a Durable Object: after another event. */
function objectStorage(events: Events): StorageEngine {
  const memory = new MemoryStorage();
  return Object.assign(Object.create(memory) as StorageEngine, {
    meta: memory.meta,
    log: memory.log,
    snapshots: memory.snapshots,
    close: () => memory.close(),
    confirmOwner: () => new Promise<void>((resolve) => setTimeout(() => events.run(resolve), 1)),
  });
}

describe("a lease judged by a clock that stands still", () => {
  it("would give an old value, were it judged in the same event", async () => {
    expect(await readAfterLongEvent(() => new MemoryStorage())).toBe("old");
  });

  it("is judged in a later one, by the storage of a Durable Object", async () => {
    expect(await readAfterLongEvent(objectStorage)).toBe("new");
  });
});

describe("the clock of an object", () => {
  it("never goes back", () => {
    const clock = objectClock(() => undefined);
    const now = vi.spyOn(performance, "now");
    const times = [100, 90, 100, 105].map((time) => (now.mockReturnValueOnce(time), clock.nowMs()));
    expect(times).toEqual([100, 100, 100, 105]);
  });

  it("lets the watchdog look after each timer, in the same turn", async () => {
    const order: string[] = [];
    const clock = objectClock(() => order.push("looked"));
    await new Promise<void>((resolve) =>
      clock.setTimer(1, () => {
        order.push("rang");
        queueMicrotask(() => {
          order.push("after");
          resolve();
        });
      }),
    );
    expect(order).toEqual(["rang", "looked", "after"]);
  });
});
