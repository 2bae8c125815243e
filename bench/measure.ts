// Closed loops: so many callers, each of which asks again as soon as it has been answered.

import { readFileSync } from "node:fs";

/** What one measurement gave. */
export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Requests that were not answered as they should have been. */
  readonly errors: number;
  /** CPU time of all servers together for each request, where the platform tells. */
  readonly serverCpuUs: number | null;
}

/** Latencies of the answers that came within the measured time. */
export class Recorder {
  errors = 0;
  readonly #fromMs: number;
  readonly #untilMs: number;
  #latenciesMs: Float64Array = new Float64Array(1 << 14);
  #count = 0;

  constructor(fromMs: number, untilMs: number) {
    this.#fromMs = fromMs;
    this.#untilMs = untilMs;
  }

  record(startedMs: number, nowMs: number): void {
    if (nowMs < this.#fromMs || nowMs > this.#untilMs) return;
    if (this.#count === this.#latenciesMs.length) {
      const grown = new Float64Array(this.#count * 2);
      grown.set(this.#latenciesMs);
      this.#latenciesMs = grown;
    }
    this.#latenciesMs[this.#count++] = nowMs - startedMs;
  }

  /** @param cpuUs what the servers spent in the measured time. */
  result(cpuUs: number | null): Measured {
    const sorted = this.#latenciesMs.subarray(0, this.#count).sort();
    const at = (share: number): number =>
      sorted[Math.min(this.#count - 1, Math.floor(this.#count * share))] ?? 0;
    return {
      perSecond: this.#count / ((this.#untilMs - this.#fromMs) / 1000),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
      errors: this.errors,
      serverCpuUs: cpuUs === null || this.#count === 0 ? null : cpuUs / this.#count,
    };
  }
}

export interface LoopOptions {
  readonly callers: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

/** Callers in this process. An operation may be answered without ever leaving the turn of the event loop. */
export async function closedLoop(
  { callers, warmupMs, durationMs }: LoopOptions,
  operation: () => Promise<unknown>,
): Promise<Measured> {
  const MAX_TURN_MS = 2;
  const startMs = performance.now();
  const recorder = new Recorder(startMs + warmupMs, startMs + warmupMs + durationMs);
  let turnMs = startMs;
  const call = async (): Promise<void> => {
    for (;;) {
      const begunMs = performance.now();
      if (begunMs >= startMs + warmupMs + durationMs) return;
      // Heartbeats and disks want their turns too: reads from memory alone would take them all.
      if (begunMs - turnMs > MAX_TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        turnMs = performance.now();
        continue;
      }
      try {
        await operation();
        recorder.record(begunMs, performance.now());
      } catch {
        recorder.errors++;
      }
    }
  };
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: callers }, call));
  const { user, system } = process.cpuUsage(cpu);
  return recorder.result(((user + system) * durationMs) / (warmupMs + durationMs));
}

/** Of several measurements of the same thing, each figure's median. */
export function medianOf(all: readonly Measured[]): Measured {
  const of = (figure: (each: Measured) => number): number => {
    const sorted = all.map(figure).toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  };
  return {
    perSecond: of((each) => each.perSecond),
    p50Ms: of((each) => each.p50Ms),
    p99Ms: of((each) => each.p99Ms),
    p999Ms: of((each) => each.p999Ms),
    errors: all.reduce((sum, each) => sum + each.errors, 0),
    serverCpuUs: all.some((each) => each.serverCpuUs === null) ? null : of((each) => each.serverCpuUs!),
  };
}

/** What servers spend from one moment to another, in microseconds; to be asked before the first. */
export async function cpuBetween(
  fromMs: number,
  untilMs: number,
  pids: readonly number[],
): Promise<number | null> {
  const at = async (atMs: number): Promise<number | null> => {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));
    return cpuOf(pids);
  };
  const [before, after] = await Promise.all([at(fromMs), at(untilMs)]);
  return before === null || after === null ? null : after - before;
}

/** CPU time that processes have used so far, in microseconds; null where there is no /proc. */
function cpuOf(pids: readonly number[]): number | null {
  const TICK_US = 10_000;
  let ticks = 0;
  for (const pid of pids) {
    try {
      // The name, in parentheses, may contain anything; user and system time are the 12th and 13th field after it.
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      return null;
    }
  }
  return ticks * TICK_US;
}
