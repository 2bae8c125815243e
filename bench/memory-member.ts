// The process that bench/memory.ts measures: a million puts through an embedded engine, then a snapshot under load.

import { KvEngine } from "../src/core/node/index.ts";
import { EmbeddedEngine } from "../src/runtimes/node/index.ts";
import type { MemoryFindings } from "./memory.ts";
import { keyOf, VALUE } from "./workload.ts";

const KEYS = 1_000_000;
const MB = 1 << 20;

/** The longest times for which the event loop did not turn. */
export interface Pause {
  /** By the clock. On a busy machine that counts what others were given the processor for meanwhile. */
  readonly wallMs: number;
  /** By the processor time of this thread: what it did itself. */
  readonly cpuMs: number;
}

async function longestPause<T>(work: () => Promise<T>): Promise<{ result: T; pause: Pause }> {
  let wallMs = 0;
  let cpuMs = 0;
  let lastMs = performance.now();
  let last = process.threadCpuUsage();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const now = process.threadCpuUsage();
    wallMs = Math.max(wallMs, nowMs - lastMs - 1);
    cpuMs = Math.max(cpuMs, (now.user + now.system - last.user - last.system) / 1000);
    lastMs = nowMs;
    last = now;
  }, 1);
  const result = await work();
  clearInterval(timer);
  return { result, pause: { wallMs, cpuMs } };
}

async function callers(count: number, call: () => Promise<boolean>): Promise<void> {
  const caller = async (): Promise<void> => {
    while (await call());
  };
  await Promise.all(Array.from({ length: count }, caller));
}

const engine = await EmbeddedEngine.start(process.argv[2]!, { env: {} });
await engine.waitReady(10_000);
const client = engine.client();
const kv = engine.engine;
if (!(kv instanceof KvEngine)) throw new TypeError("an embedded engine is a KvEngine");

// Many puts a transaction: what is to be seen here is what they leave behind, not how fast they come.
const PUTS_PER_TXN = 50;
let next = 0;
const startMs = performance.now();
const filling = await longestPause(() =>
  callers(32, async () => {
    if (next >= KEYS) return false;
    const from = next;
    next += PUTS_PER_TXN;
    const success = Array.from({ length: PUTS_PER_TXN }, (_, i) => ({
      type: "put" as const,
      request: { key: Buffer.from(keyOf(from + i)), value: VALUE },
    }));
    await kv.txn({ compare: [], success, failure: [] });
    return true;
  }),
);
const fillMs = performance.now() - startMs;
const { rss, heapUsed } = process.memoryUsage();
const peakRssMb = process.resourceUsage().maxRSS / 1024;

let puts = 0;
const putUntil = (done: () => boolean): Promise<void> =>
  callers(16, async () => {
    await client.put(keyOf(Math.floor(Math.random() * KEYS)), VALUE);
    puts++;
    return !done();
  });

const quietEndMs = performance.now() + 2000;
const before = await longestPause(() => putUntil(() => performance.now() > quietEndMs));

puts = 0;
let snapshotMs = 0;
const during = await longestPause(async () => {
  const begunMs = performance.now();
  let done = false;
  const writing = kv.takeSnapshot().finally(() => (done = true));
  await Promise.all([writing, putUntil(() => done)]);
  snapshotMs = performance.now() - begunMs;
  return await writing;
});

process.send!({
  keys: KEYS,
  putsPerSecond: KEYS / (fillMs / 1000),
  rssMb: rss / MB,
  peakRssMb,
  heapMb: heapUsed / MB,
  pauseFilling: filling.pause,
  pauseBefore: before.pause,
  pauseDuring: during.pause,
  snapshotMb: during.result.size / MB,
  snapshotMs,
  putsMeanwhile: puts,
} satisfies MemoryFindings);
await engine.stop();
process.disconnect();
