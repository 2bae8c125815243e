// What one voter does in a second with its log in an object store, what it asks of the store, and what that costs:
//
//     npm run bench:storage                      every adapter whose server is here
//     npm run bench:storage -- gcs minio         those whose names have one of these words
//     npm run bench:storage -- --seconds 30      longer
//
// Servers come from the PATH (`go install` brings versitygw, minio and fake-gcs-server), R2 from miniflare;
// DYNAMODB_ENDPOINT names a DynamoDB Local. They run on this machine and share it with the voter, so latencies are
// theirs and not those of a cloud; the requests are the same.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openObjectStorage } from "../../src/adapters/object-store/index.ts";
import { EmbeddedEngine } from "../../src/runtimes/node/index.ts";
import { nodeClock } from "../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../src/runtimes/node/node-random.ts";
import { closedLoop, type Measured, Recorder } from "../measure.ts";
import { keyOf, KEYS, VALUE } from "../workload.ts";
import { type Counts, CountingStore } from "./counting-store.ts";
import { type Place, type PlaceToBe, places } from "./places.ts";
import { dollarsAMonth } from "./prices.ts";

const CLIENTS = [1, 64];
const PACE_PER_SECOND = 100;
const PACED_LINGER_MS = 100;
const KILOBYTE = new Uint8Array(1024).fill(7);
const AIM_PUTS_PER_SECOND = 12;
const AIM_WRITES_PER_SECOND = 5000;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: "string", default: "3" } },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error("--seconds must be a positive number");
  const wanted = places().filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  if (wanted.length === 0)
    throw new Error(
      `there are ${places()
        .map(({ name }) => name)
        .join("; ")}`,
    );
  for (const place of wanted) {
    console.log(`\n${place.name}`);
    if (place.lacks === null) await benchPlace(place, seconds);
    else console.log(`  not measured: ${place.lacks}`);
  }
}

async function benchPlace(to: PlaceToBe, seconds: number): Promise<void> {
  const place = await to.start();
  try {
    for (const clients of CLIENTS) await benchClosedLoop(place, clients, seconds);
    await benchPaced(place, to, Math.max(10, seconds));
  } finally {
    await place.stop();
  }
}

/** As many writes as come: how fast it is. */
async function benchClosedLoop(place: Place, clients: number, seconds: number): Promise<void> {
  await withVoter(place, `loop-${clients}`, 0, async (engine, store) => {
    const client = engine.client();
    let i = 0;
    let writes = 0;
    const measured = await closedLoop(
      { callers: clients, warmupMs: 500, durationMs: seconds * 1000 },
      async () => {
        await client.put(keyOf(i++ % KEYS), VALUE);
        writes++;
      },
    );
    const aim = clients === 1 ? "" : `  (aim: ${AIM_WRITES_PER_SECOND.toLocaleString("en")})`;
    console.log(`  ${clients} clients, 256 bytes: ${rate(measured)}${aim}`);
    console.log(`     ${perThousand(store.take(), writes)}`);
  });
}

/** A steady 100 writes a second with a linger: what it costs. */
async function benchPaced(place: Place, { prices }: PlaceToBe, seconds: number): Promise<void> {
  await withVoter(place, "paced", PACED_LINGER_MS, async (engine, store) => {
    const client = engine.client();
    await client.put("first", KILOBYTE);
    store.take();
    const startMs = performance.now();
    const endMs = startMs + seconds * 1000;
    const recorder = new Recorder(startMs, Number.MAX_VALUE);
    const under: Promise<void>[] = [];
    for (let i = 0; ; i++) {
      const dueMs = startMs + (i * 1000) / PACE_PER_SECOND;
      if (dueMs >= endMs) break;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      under.push(
        client.put(keyOf(i % KEYS), KILOBYTE).then(
          () => recorder.record(dueMs, performance.now()),
          () => void recorder.errors++,
        ),
      );
    }
    await Promise.all(under);
    const counts = store.take();
    const { p50Ms, p99Ms, errors } = recorder.result(null);
    const putsPerSecond = counts.puts / seconds;
    console.log(
      `  ${PACE_PER_SECOND} writes/s of 1 KB, ${PACED_LINGER_MS} ms linger: ${putsPerSecond.toFixed(1)} PUTs/s ` +
        `(aim: at most ${AIM_PUTS_PER_SECOND}); p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms${failed(errors)}`,
    );
    console.log(`     ${perThousand(counts, under.length)}`);
    console.log(
      `     a month of it at ${prices.name}'s prices: $${dollarsAMonth(prices, counts, seconds).toFixed(0)} for requests`,
    );
  });
}

async function withVoter(
  place: Place,
  prefix: string,
  lingerMs: number,
  run: (engine: EmbeddedEngine, store: CountingStore) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const store = new CountingStore(await place.open(prefix));
  const storage = await openObjectStorage({ store, clock: nodeClock, random: nodeRandom, lingerMs });
  const engine = await EmbeddedEngine.start(dir, { env: {}, storage });
  try {
    await engine.waitReady(20_000);
    store.take();
    await run(engine, store);
  } finally {
    await engine.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

function rate({ perSecond, p50Ms, p99Ms, errors }: Measured): string {
  return `${perSecond.toFixed(0)} writes/s; p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms${failed(errors)}`;
}

function failed(errors: number): string {
  return errors === 0 ? "" : `, ${errors} ERRORS`;
}

function perThousand(counts: Counts, writes: number): string {
  const each = (count: number): string => ((count * 1000) / writes).toFixed(1);
  const kilobytes = ((counts.bytesWritten / writes) * 1000) / 1024;
  return (
    `for 1,000 writes: ${each(counts.puts)} PUTs of ${kilobytes.toFixed(0)} KB together, ` +
    `${each(counts.gets)} GETs, ${each(counts.lists)} LISTs, ${each(counts.deletes)} objects deleted`
  );
}

await main();
