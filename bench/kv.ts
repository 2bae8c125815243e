// The key-value store alone, without log or network: `node --expose-gc bench/kv.ts [keys]`.
//
// 8-byte keys, 256-byte values, one command at a time. Times are CPU time of the main thread, so that they mean
// something on a busy machine too; garbage collection that stops the thread is in them. "longest" is the longest
// time between two moments at which an event loop could have run.

import { KvStore, encodeCommand } from "../src/core/kv/index.ts";
import type { KvCommand, KvEntry } from "../src/core/kv/index.ts";

const KEYS = Number(process.argv[2] ?? 1_000_000);
const VALUE_BYTES = 256;
const GROUP = 100;

const value = new Uint8Array(VALUE_BYTES).map((_, i) => i * 7);

function nowMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Adds up what is measured, and keeps the longest piece. */
class Stopwatch {
  totalMs = 0;
  longestMs = 0;

  time<T>(run: () => T): T {
    const start = nowMs();
    const result = run();
    const took = nowMs() - start;
    this.totalMs += took;
    this.longestMs = Math.max(this.longestMs, took);
    return result;
  }

  report(name: string, count: number, unit = "/s"): void {
    const rate = Math.round(count / (this.totalMs / 1000)).toLocaleString("en");
    line(name, `${rate.padStart(10)}${unit}   longest ${this.longestMs.toFixed(1)} ms`);
  }
}

function line(name: string, result: string): void {
  console.log(`${name.padEnd(36)} ${result}`);
}

function printMemory(name: string): void {
  global.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const mib = (bytes: number): string => `${Math.round(bytes / 1048576)} MiB`;
  line(name, `rss ${mib(rss)}, heap ${mib(heapUsed)}, buffers ${mib(arrayBuffers)}`);
}

/** Where the `i`-th key goes: ascending, or so that it looks random (an odd factor visits every number once). */
type KeyOrder = (i: number) => number;
const ascending: KeyOrder = (i) => i;
const random: KeyOrder = (i) => Math.imul(i, 2654435761) >>> 0;

function key(number: number): Uint8Array {
  const bytes = new Uint8Array(8).fill(0x6b);
  new DataView(bytes.buffer).setUint32(4, number);
  return bytes;
}

function putCommand(number: number): KvEntry {
  return { command: encodeCommand({ type: "put", request: { key: key(number), value } }), term: 1 };
}

/** Prepares commands before they are timed. */
function benchPuts(name: string, store: KvStore, count: number, order: KeyOrder): void {
  const watch = new Stopwatch();
  for (let done = 0; done < count; done += GROUP) {
    const commands = Array.from({ length: GROUP }, (_, i) => [putCommand(order(done + i))]);
    watch.time(() => {
      for (const one of commands) store.applyChunk(one);
    });
  }
  watch.report(name, count);
}

function benchReads(store: KvStore): void {
  const single = new Stopwatch();
  for (let done = 0; done < 1_000_000; done += GROUP) {
    const requests = Array.from({ length: GROUP }, (_, i) => ({ key: key(random((done + i) % KEYS)) }));
    single.time(() => {
      for (const request of requests) store.range(request);
    });
  }
  single.report("range of one key", 1_000_000);

  const width = 100 * Math.floor(2 ** 32 / KEYS);
  const hundred = new Stopwatch();
  let found = 0;
  for (let i = 0; i < 10_000; i++) {
    const from = random(i) >>> 1;
    const request = { key: key(from), rangeEnd: key(from + width) };
    hundred.time(() => (found += store.range(request).count));
  }
  hundred.report("range of about 100 keys, keys", found);
}

/** What is asked about all keys, or half of them, and answered with a number or a few keys. */
function benchCounts(store: KvStore, revision: number): void {
  const all = { key: key(0), rangeEnd: key(2 ** 32 - 1) };
  const asked = { countOnly: { countOnly: true }, limit: { limit: 10 }, old: { countOnly: true, revision } };
  const names = {
    countOnly: "count of all keys",
    limit: "ten of all keys, and count",
    old: "count at half time",
  };
  for (const which of ["countOnly", "limit", "old"] as const) {
    const watch = new Stopwatch();
    let count = 0;
    const times = which === "old" ? 3 : 10_000;
    for (let i = 0; i < times; i++)
      watch.time(() => (count = store.range({ ...all, ...asked[which] }).count));
    watch.report(`${names[which]} (${count})`, times);
  }
}

/** Reads a snapshot to the end, with a put between every two chunks. */
function benchSnapshot(store: KvStore): Uint8Array[] {
  const capture = new Stopwatch();
  const snapshot = capture.time(() => store.snapshot());
  const writing = new Stopwatch();
  const putting = new Stopwatch();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const iterator = snapshot.chunks()[Symbol.iterator]();
  for (let next = writing.time(() => iterator.next()); next.done !== true;) {
    chunks.push(next.value);
    bytes += next.value.length;
    const put = [putCommand(random(chunks.length * 997))];
    putting.time(() => store.applyChunk(put));
    next = writing.time(() => iterator.next());
  }
  snapshot.release();
  line("snapshot, capture", `${capture.totalMs.toFixed(2)} ms`);
  writing.report(`snapshot of ${Math.round(bytes / 1048576)} MiB`, bytes / 1048576, " MiB/s");
  putting.report("  puts between its chunks", chunks.length);
  return chunks;
}

function benchCompaction(store: KvStore): void {
  const command: KvCommand = { type: "compact", request: { revision: store.revision } };
  store.applyChunk([{ command: encodeCommand(command), term: 1 }]);
  const watch = new Stopwatch();
  let steps = 1;
  while (watch.time(() => store.compactStep(1000))) steps++;
  watch.report("compaction, keys looked at", steps * 1000);
}

function benchRestore(chunks: readonly Uint8Array[]): KvStore {
  const store = new KvStore();
  const restorer = store.restorer();
  const watch = new Stopwatch();
  for (const chunk of chunks) watch.time(() => restorer.push(chunk));
  watch.time(() => restorer.finish());
  watch.report("restore, keys", store.keyCount);
  return store;
}

function benchHash(store: KvStore): void {
  const snapshot = store.snapshot();
  const hasher = snapshot.hasher();
  const watch = new Stopwatch();
  while (watch.time(() => hasher.step(1000)));
  snapshot.release();
  watch.report(`state hash ${hasher.digest()}, keys`, store.keyCount);
}

console.log(
  `${KEYS.toLocaleString("en")} keys of 8 bytes, values of ${VALUE_BYTES} bytes, Node ${process.version}`,
);
printMemory("at the start");
const store = new KvStore();
benchPuts("put, new keys in order", new KvStore(), Math.min(KEYS, 200_000), ascending);
benchPuts("put, new keys at random", store, KEYS, random);
printMemory("all keys once");
benchReads(store);
benchCounts(store, Math.floor(KEYS / 2));
benchSnapshot(store);
benchPuts("put, existing keys at random", store, KEYS, random);
printMemory("all keys twice");
benchCompaction(store);
printMemory("all keys once again");
const chunks = benchSnapshot(store);
benchHash(store);
benchHash(benchRestore(chunks));
