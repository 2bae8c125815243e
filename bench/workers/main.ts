// Three Durable Objects and the Worker in front, in workerd on this machine: how fast they are, what they ask of the
// platform for each write, and what a month of that costs.
//
//     npm run bench:workers                      all of it
//     npm run bench:workers -- --seconds 30      longer
//
// workerd and the load share this machine, there is no network between the objects, and a write is on disk as soon as
// the local SQLite says so: latencies are those of the code. The rows and requests are the ones that are billed. On the
// platform a write takes longer, so that more of them share a row than here.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bundle, CLIENT_TOKEN, LocalCluster, type Vars } from "../../test/runtimes/workers/local-cluster.ts";
import { httpLoad, postRequest } from "../http-load.ts";
import { type Measured, Recorder } from "../measure.ts";
import { keyOf, KEYS, OPERATIONS, VALUE } from "../workload.ts";
import { type Bill, type Billed, billOf, COUNTS_PATH, since } from "./billed.ts";

const CONNECTIONS = [1, 64];
const PACE_PER_SECOND = 100;
const LINGERS_MS = [0, 50, 200];
const KILOBYTE = Buffer.alloc(1024, 7).toString("base64");
const SLEEP_AFTER_MS = 2000;
const WAKE_ROUNDS = 10;
const OBJECTS = 3;
const AUTHORIZATION = { Authorization: `Bearer ${CLIENT_TOKEN}` };
const HEARTBEATS: Vars = {
  // As they are unless somebody says otherwise.
  ETCD_HEARTBEAT_INTERVAL: "500",
  ETCD_ELECTION_TIMEOUT: "2500",
  D_ENGINE_REQUEST_TIMEOUT: "10000",
  ETCD_LOG_LEVEL: "error",
};

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" } } });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error("--seconds must be a positive number");
  const script = await bundle("bench/workers/counting-worker.ts");

  console.log("\nAs fast as they can (no linger, values of 256 bytes)");
  await withCluster(script, {}, (cluster) => benchLoops(cluster, seconds));
  for (const lingerMs of LINGERS_MS) {
    console.log(`\n${PACE_PER_SECOND} writes/s of 1 KB, each a request; linger ${lingerMs} ms`);
    await withCluster(script, { D_ENGINE_LINGER: String(lingerMs) }, (cluster) =>
      benchPaced(cluster, seconds),
    );
  }
  console.log("\nNothing to do, kept awake (D_ENGINE_SLEEP_AFTER=0)");
  await withCluster(script, {}, (cluster) => benchIdle(cluster, Math.max(seconds, 35), OBJECTS));
  console.log("\nAsleep");
  const sleepy = { D_ENGINE_SLEEP_AFTER: String(SLEEP_AFTER_MS) };
  await withCluster(script, sleepy, async (cluster) => {
    await sleep(SLEEP_AFTER_MS * 2);
    await benchIdle(cluster, seconds, 0);
    await benchWaking(cluster);
  });
}

/** As many requests as come. */
async function benchLoops(cluster: LocalCluster, seconds: number): Promise<void> {
  const value = Buffer.from(VALUE).toString("base64");
  const keys = Array.from({ length: 500 }, (_, i) => Buffer.from(keyOf((i * 37) % KEYS)).toString("base64"));
  for (const operation of OPERATIONS) {
    const requests = keys.map((key) =>
      operation === "put"
        ? postRequest("/v3/kv/put", { key, value }, AUTHORIZATION)
        : postRequest("/v3/kv/range", { key, consistency: operation }, AUTHORIZATION),
    );
    for (const connections of CONNECTIONS) {
      const before = await counts(cluster);
      const measured = await httpLoad({
        urls: [cluster.url],
        connections,
        requests,
        expect: "revision",
        warmupMs: 1000,
        durationMs: seconds * 1000,
        serverPids: [],
      });
      const billed = since(before, await counts(cluster));
      const name = operation === "put" ? "put" : `range, ${operation}`;
      console.log(`  ${name.padEnd(20)}${String(connections).padStart(3)} connections: ${rate(measured)}`);
      console.log(`  ${"".padEnd(20)}${perRequest(billed)}`);
    }
  }
}

/** A steady pace: what it costs. */
async function benchPaced(cluster: LocalCluster, seconds: number): Promise<void> {
  const before = await counts(cluster);
  const startMs = performance.now();
  const recorder = new Recorder(startMs, Number.MAX_VALUE);
  const total = seconds * PACE_PER_SECOND;
  const under: Promise<void>[] = [];
  for (let i = 0; i < total; i++) {
    const dueMs = startMs + (i * 1000) / PACE_PER_SECOND;
    await sleep(dueMs - performance.now());
    under.push(
      put(cluster, keyOf(i % KEYS), KILOBYTE).then(
        () => recorder.record(dueMs, performance.now()),
        () => void recorder.errors++,
      ),
    );
  }
  await Promise.all(under);
  const billed = since(before, await counts(cluster));
  const tookSeconds = (performance.now() - startMs) / 1000;
  const { p50Ms, p99Ms, errors } = recorder.result(null);
  console.log(
    `  ${(total / tookSeconds).toFixed(0)} writes/s; p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms${failed(errors)}`,
  );
  console.log(`  ${perRequest(billed)}`);
  // The pace that was meant, should this machine have been too slow for it.
  printBill(billOf(billed, total / PACE_PER_SECOND, OBJECTS));
}

async function benchIdle(cluster: LocalCluster, seconds: number, objectsAwake: number): Promise<void> {
  const before = await counts(cluster);
  await sleep(seconds * 1000);
  const billed = since(before, await counts(cluster));
  console.log(
    `  in ${seconds} s: ${billed.objectRequests} requests to objects, ${billed.rowsWritten} rows written`,
  );
  printBill(billOf(billed, seconds, objectsAwake));
}

/** From the request that awakens a group whose objects have lost their memory to its answer. */
async function benchWaking(cluster: LocalCluster): Promise<void> {
  const recorder = new Recorder(0, Number.MAX_VALUE);
  let made = 0;
  for (let round = 0; round < WAKE_ROUNDS; round++) {
    await sleep(SLEEP_AFTER_MS * 2);
    // Those that the runtime has put out of memory by itself cannot be.
    for (const node of ["n1", "n2", "n3"]) await cluster.evict(node).catch(() => undefined);
    const before = await counts(cluster);
    const startedMs = performance.now();
    await put(cluster, "first", KILOBYTE);
    recorder.record(startedMs, performance.now());
    made += since(before, await counts(cluster)).objectsMade;
  }
  const { p50Ms, p99Ms } = recorder.result(null);
  console.log(
    `  from there to the answer to a first write, for which ${(made / WAKE_ROUNDS).toFixed(1)} objects are made anew: ` +
      `p50 ${p50Ms.toFixed(0)} ms, worst of ${WAKE_ROUNDS} ${p99Ms.toFixed(0)} ms`,
  );
}

async function withCluster(
  script: string,
  vars: Vars,
  run: (cluster: LocalCluster) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const awake = { D_ENGINE_SLEEP_AFTER: "0" };
  const cluster = await LocalCluster.start({ script, dir, vars: { ...HEARTBEATS, ...awake, ...vars } });
  try {
    // The first one waits for an election; and until all three have settled.
    await put(cluster, "first", KILOBYTE);
    await sleep(2000);
    await run(cluster);
  } finally {
    await cluster.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function put(cluster: LocalCluster, key: string, value: string): Promise<void> {
  const body = JSON.stringify({ key: Buffer.from(key).toString("base64"), value });
  const response = await cluster.fetch("/v3/kv/put", { method: "POST", body });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

async function counts({ url }: LocalCluster): Promise<Billed> {
  return (await (await fetch(`${url}${COUNTS_PATH}`)).json()) as Billed;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

function rate({ perSecond, p50Ms, p99Ms, errors }: Measured): string {
  return `${perSecond.toFixed(0)}/s; p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms${failed(errors)}`;
}

function failed(errors: number): string {
  return errors === 0 ? "" : `, ${errors} ERRORS`;
}

function perRequest({ workerRequests, objectRequests, rowsWritten }: Billed): string {
  const rows = rowsWritten / workerRequests;
  return (
    `for each: ${rows.toFixed(2)} rows written (${(rows / OBJECTS).toFixed(2)} on each object), ` +
    `${(objectRequests / workerRequests).toFixed(2)} requests to objects`
  );
}

function printBill(bill: Bill): void {
  const dollars = (part: number): string => `$${part.toFixed(part < 10 ? 2 : 0)}`;
  console.log(
    `  a month of it: ${dollars(bill.total)} = plan ${dollars(bill.plan)} + rows ${dollars(bill.rowsWritten)} + ` +
      `requests to objects ${dollars(bill.objectRequests)} and to the Worker ${dollars(bill.workerRequests)} + ` +
      `objects in memory ${dollars(bill.duration)}`,
  );
}

await main();
