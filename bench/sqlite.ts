// Where should SQLite commit: on the event loop, or in a thread of its own? The same load on both:
//
//     node bench/sqlite.ts
//
// Clients in a closed loop, on an event loop that has other work as well: a request burns some CPU (parsing, Raft,
// the answer), waits until its entry is durable, burns some more, and the client sends the next one. Whatever
// queued while a commit was under way joins the next. Also measured: the longest commits, which are those that
// checkpoint the write-ahead log, and what a large snapshot does to commits.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Database } from "../src/adapters/sqlite/database.ts";
import { openSqliteStorage } from "../src/adapters/sqlite/index.ts";
import { packEntries } from "../src/adapters/sqlite/packed-entries.ts";
import type { StorageEngine } from "../src/core/node/index.ts";
import type { CommandEntry } from "../src/core/raft/index.ts";

const SECONDS = 3;
const VALUE_BYTES = 300;

/** Appends a few entries at the given index; resolves once they are durable. */
interface Log {
  append(entries: readonly CommandEntry[]): Promise<void>;
  close(): Promise<void>;
}

/** The thread that the adapter has. */
async function threaded(dir: string): Promise<Log> {
  const storage = await openSqliteStorage({ dir });
  await storage.log.open();
  return { append: (entries) => storage.log.append(entries), close: () => storage.close() };
}

/** The alternative: commit on the event loop, once per turn of it. */
async function onEventLoop(dir: string): Promise<Log> {
  const database = new Database({ dir });
  database.verifyLog();
  let queued: { readonly entries: readonly CommandEntry[]; readonly resolve: () => void }[] = [];
  const flush = (): void => {
    const batch = queued;
    queued = [];
    database.write(
      batch.map(({ entries }) => ({
        hardState: null,
        entries: packEntries(entries),
        firstIndex: entries[0]!.index,
      })),
    );
    for (const { resolve } of batch) resolve();
  };
  return {
    append: (entries) => {
      if (queued.length === 0) setImmediate(flush);
      return new Promise((resolve) => queued.push({ entries, resolve }));
    },
    close: async () => database.close(),
  };
}

function burn(microseconds: number): void {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

interface Measured {
  readonly perSecond: number;
  readonly latenciesMs: Float64Array;
  readonly longestPauseMs: number;
  /** Of all threads, beyond what requests burn on purpose. */
  readonly cpuMicrosecondsEach: number;
}

/**
 * Like the driver, one queue: requests append to a batch, and at most `MAX_INFLIGHT` batches are being persisted.
 */
async function closedLoop(log: Log, clients: number, cpuMicroseconds: number): Promise<Measured> {
  const MAX_INFLIGHT = 4;
  const data = new Uint8Array(VALUE_BYTES).fill(7);
  const latencies: number[] = [];
  let index = 0;
  let inflight = 0;
  let waiting: (() => void)[] = [];
  const pump = (): void => {
    if (inflight >= MAX_INFLIGHT || waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    inflight++;
    const entries = batch.map((): CommandEntry => ({ kind: "command", index: ++index, term: 1, data }));
    void log.append(entries).then(() => {
      inflight--;
      for (const resolve of batch) resolve();
      pump();
    });
  };
  const pauses = monitorEventLoopDelay({ resolution: 1 });
  pauses.enable();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() - start < SECONDS * 1000) {
      const began = performance.now();
      burn(cpuMicroseconds / 2);
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        queueMicrotask(pump);
      });
      burn(cpuMicroseconds / 2);
      latencies.push(performance.now() - began);
      // The client's turn: its next request arrives as an event of its own.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  pauses.disable();
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  return {
    perSecond: latencies.length / seconds,
    latenciesMs: Float64Array.from(latencies).toSorted(),
    longestPauseMs: pauses.max / 1e6,
    cpuMicrosecondsEach: (cpu.user + cpu.system) / latencies.length - cpuMicroseconds,
  };
}

function percentile(sorted: Float64Array, fraction: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? 0).toFixed(2);
}

async function withDirectory<T>(run: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "d-engine-bench-"));
  try {
    return await run(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function compare(): Promise<void> {
  console.log(`entries of ${VALUE_BYTES} bytes, ${SECONDS} s each; latencies in ms`);
  console.log(
    "clients  cpu/request  where         requests/s     p50     p99   p99.9     max  longest pause  own cpu/request",
  );
  for (const cpu of [0, 40]) {
    for (const clients of [1, 16, 64, 256]) {
      for (const [where, open] of [["event loop", onEventLoop] as const, ["thread", threaded] as const]) {
        const { perSecond, latenciesMs, longestPauseMs, cpuMicrosecondsEach } = await withDirectory(
          async (dir) => {
            const log = await open(dir);
            const measured = await closedLoop(log, clients, cpu);
            await log.close();
            return measured;
          },
        );
        const latencies = [0.5, 0.99, 0.999, 1].map((p) => percentile(latenciesMs, p).padStart(8)).join("");
        console.log(
          `${String(clients).padStart(7)}  ${`${cpu} µs`.padStart(11)}  ${where.padEnd(12)}` +
            `${perSecond.toFixed(0).padStart(12)}${latencies}${longestPauseMs.toFixed(1).padStart(15)}` +
            `${cpuMicrosecondsEach.toFixed(0).padStart(14)} µs`,
        );
      }
    }
  }
}

/** Batches of 1,024, one after the other: what the disk and the rows allow. */
async function bulk(): Promise<void> {
  await withDirectory(async (dir) => {
    const log = await threaded(dir);
    const data = new Uint8Array(VALUE_BYTES);
    const times: number[] = [];
    const start = performance.now();
    let index = 0;
    while (performance.now() - start < SECONDS * 1000) {
      const began = performance.now();
      await log.append(
        Array.from({ length: 1024 }, () => ({ kind: "command", index: ++index, term: 1, data })),
      );
      times.push(performance.now() - began);
    }
    const perSecond = (index / (performance.now() - start)) * 1000;
    const sorted = Float64Array.from(times).toSorted();
    console.log(
      `\nbatches of 1,024: ${perSecond.toFixed(0)} entries/s; a batch p50 ${percentile(sorted, 0.5)} ms, ` +
        `p99 ${percentile(sorted, 0.99)} ms, max ${percentile(sorted, 1)} ms`,
    );
    await log.close();
  });
}

/** Single commits while a snapshot of 400 MB is written, and before; and while the log is compacted. */
async function besides(): Promise<void> {
  await withDirectory(async (dir) => {
    const storage = await openSqliteStorage({ dir });
    await storage.log.open();
    let index = 0;
    const data = new Uint8Array(VALUE_BYTES);
    const appendUntil = async (done: () => boolean): Promise<Float64Array> => {
      const times: number[] = [];
      while (!done()) {
        const began = performance.now();
        await storage.log.append(
          Array.from({ length: 64 }, () => ({ kind: "command", index: ++index, term: 1, data })),
        );
        times.push(performance.now() - began);
      }
      return Float64Array.from(times).toSorted();
    };
    const report = (what: string, sorted: Float64Array, seconds: number, pauseMs: number): void =>
      console.log(
        `${what.padEnd(37)} ${(sorted.length / seconds).toFixed(0).padStart(6)} commits/s, p50 ${percentile(sorted, 0.5)}, ` +
          `p99 ${percentile(sorted, 0.99)}, max ${percentile(sorted, 1)} ms; longest pause of the event loop ${pauseMs.toFixed(1)} ms`,
      );
    console.log("\ncommits of 64 entries, one after the other");
    const during = async (what: string, work: Promise<unknown>): Promise<void> => {
      const pauses = monitorEventLoopDelay({ resolution: 1 });
      pauses.enable();
      const start = performance.now();
      let done = false;
      void work.then(() => (done = true));
      const sorted = await appendUntil(() => done);
      pauses.disable();
      report(what, sorted, (performance.now() - start) / 1000, pauses.max / 1e6);
    };
    await during("alone", new Promise((resolve) => setTimeout(resolve, SECONDS * 1000)));
    await during("while 400 MB of snapshot are written", writeSnapshot(storage, 400));
    await during("right after compaction", Promise.all([storage.log.compact(index), pause(1000)]));
    await storage.close();
  });
}

async function writeSnapshot(storage: StorageEngine, megabytes: number): Promise<void> {
  const config = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const writer = await storage.snapshots.create({ index: 1, term: 1, config }, new Uint8Array());
  const chunk = new Uint8Array(512 << 10);
  for (let i = 0; i < megabytes * 2; i++) await writer.write(chunk.fill(i));
  await writer.commit();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await compare();
await bulk();
await besides();
