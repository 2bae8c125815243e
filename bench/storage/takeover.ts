// How soon a new process can serve what a dead one left in its log:
//
//     npm run bench:takeover                          10,000 and 1,000,000 entries, on every server that is here
//     npm run bench:takeover -- dynamodb              on those whose names have one of these words
//     npm run bench:takeover -- --entries 50000       other numbers, with commas between them
//     npm run bench:takeover -- --clients 1           of one client: an object for each entry
//
// The entries are writes of 64 clients of 16 bytes each, since the last snapshot, which would else be what is read. The
// time is from the start of an engine in this process, which must open the log, read and apply it, and win its
// election, until it answers. Servers share the machine, and others may too: so the time that this process and the
// server computed is told as well. fake-gcs-server keeps files here: in memory it looks through all of its objects for
// each one that is asked for, so a million entries took it minutes. It serves one process at a time here, and its
// conditions need not hold against others.

import { parseArgs } from "node:util";
import { openObjectStorage } from "../../src/adapters/object-store/index.ts";
import { KvEngine, type Transport } from "../../src/core/node/index.ts";
import { nodeClock } from "../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../src/runtimes/node/node-random.ts";
import { FAKE_GCS_ON_DISK } from "../../test/servers/object-servers.ts";
import { CountingStore } from "./counting-store.ts";
import { type Place, places } from "./places.ts";

const VALUE = new Uint8Array(16).fill(7);
const ENCODER = new TextEncoder();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      entries: { type: "string", default: "10000,1000000" },
      clients: { type: "string", default: "64" },
    },
  });
  const clients = Number(values.clients);
  if (!(Number.isInteger(clients) && clients > 0)) throw new Error("--clients must be a whole number");
  const sizes = values.entries.split(",").map(Number);
  if (!sizes.every((size) => Number.isInteger(size) && size > 0)) {
    throw new Error("--entries must be whole numbers with commas between them");
  }
  const wanted = places(FAKE_GCS_ON_DISK).filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  for (const { name, lacks, start } of wanted) {
    console.log(`\n${name}`);
    if (lacks !== null) {
      console.log(`  not measured: ${lacks}`);
      continue;
    }
    const place = await start();
    try {
      for (const size of sizes) await measure(place, size, clients);
    } finally {
      await place.stop();
    }
  }
}

async function measure(place: Place, entries: number, clients: number): Promise<void> {
  const written = await withEngine(place, entries, async (engine, store) => {
    const watch = stopwatch(place);
    store.take();
    await fill(engine, entries, clients);
    const { puts } = store.take();
    return { puts, time: watch() };
  });
  const watch = stopwatch(place);
  await withEngine(place, entries, async (engine, store) => {
    const time = watch();
    const { kvs } = await engine.range({ key: keyOf(entries - 1) });
    if (kvs.length === 0) throw new Error("the last write is not there");
    const { gets, lists } = store.take();
    console.log(
      `  ${entries.toLocaleString("en")} entries in ${written.puts.toLocaleString("en")} objects\n` +
        `    written in ${written.time}\n` +
        `    ready after ${time}; ${gets.toLocaleString("en")} GETs and ${lists} LISTs`,
    );
  });
}

async function fill(engine: KvEngine, entries: number, clients: number): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < entries) await engine.put({ key: keyOf(next++), value: VALUE });
    }),
  );
}

/** Keys of a few thousand, so that the state is no larger than it would be. */
function keyOf(i: number): Uint8Array {
  return ENCODER.encode(`key-${i % 5000}`);
}

async function withEngine<T>(
  place: Place,
  entries: number,
  use: (engine: KvEngine, store: CountingStore) => Promise<T>,
): Promise<T> {
  const store = new CountingStore(await place.open(`takeover-${entries}`));
  const storage = await openObjectStorage({ store, clock: nodeClock, random: nodeRandom });
  const engine = await KvEngine.start({
    identity: { clusterId: 1n, groupId: "bench", nodeId: 1n },
    founders: [{ id: 1n, name: "", peerUrls: [], clientUrls: [], isLearner: false }],
    self: { name: "bench", clientUrls: [] },
    storage,
    transport: NO_TRANSPORT,
    clock: nodeClock,
    random: nodeRandom,
    logger: { log: () => {} },
    // No snapshot, which would shorten what there is to read.
    tuning: { snapshotBytes: Number.MAX_SAFE_INTEGER, snapshotEntries: Number.MAX_SAFE_INTEGER },
  });
  try {
    await engine.replica.ready(600_000);
    return await use(engine, store);
  } finally {
    await engine.stop();
  }
}

/** Tells how long it took since, and who computed how much of that. */
function stopwatch(place: Place): () => string {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  const serverSeconds = place.cpuSeconds();
  return () => {
    const ms = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpu);
    const now = place.cpuSeconds();
    const server =
      now === null || serverSeconds === null ? "" : `, the server ${seconds((now - serverSeconds) * 1000)}`;
    return `${seconds(ms)} (this process computed ${seconds((user + system) / 1000)}${server})`;
  };
}

const NO_TRANSPORT: Transport = {
  send: () => {},
  setPeers: () => {},
  start: () => {},
  stop: () => Promise.resolve(),
};

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
}

await main();
