// Prints rows as they are measured, and keeps them for the JSON file.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import type { Measured } from "./measure.ts";

/** One measured row. */
export interface Row {
  readonly section: string;
  readonly system: string;
  readonly target: string;
  readonly operation: string;
  readonly callers: number;
  readonly measured: Measured;
  /** How many times the throughput of another system in the same row. */
  readonly ratio?: { readonly to: string; readonly throughput: number };
}

export class Report {
  readonly #rows: Row[] = [];
  readonly #facts: { readonly name: string; readonly value: number; readonly unit: string }[] = [];

  title(text: string, callers: string): void {
    console.log(`\n${text}`);
    const latencies = "req/s      p50      p99    p99.9 ms   CPU µs/req  ratio";
    console.log(`${"".padEnd(40)}${callers.padStart(11)}${latencies.padStart(65)}`);
  }

  row(row: Row): void {
    this.#rows.push(row);
    const { system, target, operation, callers, measured, ratio } = row;
    const { perSecond, p50Ms, p99Ms, p999Ms, serverCpuUs, errors } = measured;
    const name = `${system.padEnd(10)}${target.padEnd(10)}${operation}`;
    const numbers = [p50Ms, p99Ms, p999Ms].map((ms) => ms.toFixed(2).padStart(9)).join("");
    const cpu = serverCpuUs === null ? "-" : serverCpuUs.toFixed(0);
    const versus = ratio === undefined ? "" : `${ratio.throughput.toFixed(2)} × ${ratio.to}`;
    const failed = errors === 0 ? "" : `  ${errors} ERRORS`;
    console.log(
      `${name.padEnd(40)}${String(callers).padStart(11)}${perSecond.toFixed(0).padStart(14)}${numbers}${cpu.padStart(16)}  ${versus}${failed}`,
    );
  }

  fact(name: string, value: number, unit: string, target = ""): void {
    this.#facts.push({ name, value, unit });
    const shown = value.toLocaleString("en", { maximumFractionDigits: 1 });
    console.log(
      `  ${name.padEnd(74)}${shown.padStart(10)} ${unit}${target === "" ? "" : `  (aim: ${target})`}`,
    );
  }

  note(text: string): void {
    console.log(`  ${text}`);
  }

  save(file: string): void {
    const machine = { node: process.version, processors: cpus().length, model: cpus()[0]?.model ?? "" };
    writeFileSync(file, `${JSON.stringify({ machine, rows: this.#rows, facts: this.#facts }, null, 2)}\n`);
  }
}
