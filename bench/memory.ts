// A million keys in one embedded member: what they take, and what writing them out does to the event loop.

import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";
import type { Pause } from "./memory-member.ts";
import { endProcess } from "./servers.ts";

/** What bench/memory-member.ts found. */
export interface MemoryFindings {
  readonly keys: number;
  readonly putsPerSecond: number;
  readonly rssMb: number;
  readonly peakRssMb: number;
  readonly heapMb: number;
  readonly pauseFilling: Pause;
  /** Under the load that goes on during the snapshot. */
  readonly pauseBefore: Pause;
  readonly pauseDuring: Pause;
  readonly snapshotMb: number;
  readonly snapshotMs: number;
  readonly putsMeanwhile: number;
}

export async function benchMemory(report: Report): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
  const member: ChildProcess = fork(fileURLToPath(new URL("./memory-member.ts", import.meta.url)), [dir]);
  try {
    const found = await new Promise<MemoryFindings>((resolve, reject) => {
      member.once("message", (findings: MemoryFindings) => resolve(findings));
      member.once("exit", (code) => reject(new Error(`the member's process ended with ${code}`)));
    });
    console.log(
      `\nmemory: ${found.keys.toLocaleString("en")} keys of 8 bytes with values of 256, one embedded member`,
    );
    report.fact("filling it, 32 callers with 50 puts a transaction", found.putsPerSecond, "puts/s");
    report.fact("resident memory with all keys", found.rssMb, "MB", "under 1,024");
    report.fact("largest resident memory so far, snapshots included", found.peakRssMb, "MB");
    report.fact("of it the JavaScript heap, before collection", found.heapMb, "MB");
    reportPause(report, "while filling", found.pauseFilling);
    reportPause(report, "16 callers put for 2 s, no snapshot", found.pauseBefore);
    reportPause(report, "the same while a snapshot is written", found.pauseDuring, "under 50");
    report.fact("the snapshot", found.snapshotMb, "MB");
    report.fact("time to write it", found.snapshotMs, "ms");
    report.fact("puts answered meanwhile", found.putsMeanwhile, "");
  } finally {
    await endProcess(member);
    await rm(dir, { recursive: true, force: true });
  }
}

function reportPause(report: Report, when: string, { wallMs, cpuMs }: Pause, aim = ""): void {
  report.fact(`longest pause of the event loop, ${when}`, wallMs, "ms", aim);
  report.fact("   longest without a turn, in CPU time of its own", cpuMs, "ms");
}
