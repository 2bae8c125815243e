import { Client, type Engine, type WatchStream } from "../src/core/node/index.ts";
import { nodeClock, nodeRandom } from "../src/runtimes/node/index.ts";
import { startLoneEngine } from "../test/core/node/lone-engine.ts";

/*
 * Many watches on one node, in this process: what they hold, how long it takes until all have seen a put, and what
 * they cost the puts that do not concern them. `node --expose-gc bench/watch.ts [watches]`.
 */

const WATCHES = Number(process.argv[2] ?? 10_000);
const ROUNDS = 20;
const PUTS = 2000;

const ENCODER = new TextEncoder();

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** Reads a stream for as long as it goes on, and counts the events. */
async function count(stream: WatchStream, seen: () => void): Promise<void> {
  for (let response = await stream.next(); response !== null; response = await stream.next()) {
    for (let i = 0; i < response.events.length; i++) seen();
  }
}

interface Watching {
  readonly streams: readonly WatchStream[];
  /** Resolves when so many more events have been seen. */
  readonly sees: (events: number) => Promise<void>;
}

function watch(
  engine: Engine,
  streams: number,
  keyOf: (watch: number) => [key: string, rangeEnd?: string],
): Watching {
  let awaited = Number.POSITIVE_INFINITY;
  let done: () => void = () => {};
  const seen = (): void => {
    if (--awaited === 0) done();
  };
  const opened = Array.from({ length: streams }, () => engine.watch());
  for (let i = 0; i < WATCHES; i++) {
    const [key, rangeEnd = ""] = keyOf(i);
    opened[i % streams]!.create({ key: ENCODER.encode(key), rangeEnd: ENCODER.encode(rangeEnd) });
  }
  // They end with the engine.
  for (const stream of opened) count(stream, seen).catch(() => {});
  const sees = (events: number): Promise<void> =>
    new Promise((resolve) => {
      awaited = events;
      done = resolve;
    });
  return { streams: opened, sees };
}

function percentile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return `${sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2)} ms`;
}

/** All watch one key: a put is seen by every one of them. */
async function fanOut(name: string, streams: number): Promise<void> {
  const engine = await startLoneEngine({ raft: {} });
  const client = new Client(engine, { clock: nodeClock, random: nodeRandom });
  const before = heapBytes();
  const watching = watch(engine, streams, () => ["k"]);
  await client.put("warm", "");
  const held = (heapBytes() - before) / WATCHES;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const all = watching.sees(WATCHES);
    const startMs = performance.now();
    await client.put("k", `value ${round}`);
    await all;
    times.push(performance.now() - startMs);
  }
  console.log(
    `${name}: ${WATCHES} watches on ${streams} streams see a put after ${percentile(times, 0.5)} (p50), ${percentile(times, 1)} (max); ` +
      `${Math.round(held)} bytes of heap each`,
  );
  await engine.stop();
}

/** Puts one after the other, which concern one watch or none. */
async function bystanders(name: string, keyOf: ((watch: number) => [string, string?]) | null): Promise<void> {
  const engine = await startLoneEngine({ raft: {} });
  const client = new Client(engine, { clock: nodeClock, random: nodeRandom });
  if (keyOf !== null) watch(engine, WATCHES, keyOf);
  for (let i = 0; i < PUTS; i++) await client.put(`k${i % WATCHES}/x`, "warm");
  const startMs = performance.now();
  for (let i = 0; i < PUTS; i++) await client.put(`k${i % WATCHES}/x`, "value");
  const each = ((performance.now() - startMs) / PUTS) * 1000;
  console.log(`${name}: a put takes ${each.toFixed(1)} us`);
  await engine.stop();
}

await fanOut("one key, a stream each", WATCHES);
await fanOut("one key, one stream", 1);
await bystanders("nobody watches", null);
await bystanders("each watches a key of its own", (i) => [`k${i}/x`]);
await bystanders("each watches a prefix of its own", (i) => [`k${i}/`, `k${i}0`]);
