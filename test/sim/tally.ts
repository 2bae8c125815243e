import { MARK_NAMES } from "./marks.ts";
import type { WorkerReport } from "./pool.ts";

/** Adds up what many runs did. */
export class Tally {
  readonly #begunMs = performance.now();
  readonly #marks: Map<string, number> = new Map();
  #runs = 0;
  #steps = 0;
  #events = 0;
  #crashes = 0;
  #virtualMs = 0;
  #cpuMs = 0;
  #ok = 0;
  #failed = 0;
  #unknown = 0;
  #majorityLeader = 0;
  #everyoneLeader = 0;
  #terms = 0;

  add({ result, cpuMs, marks }: WorkerReport): void {
    this.#runs++;
    this.#steps += result.steps;
    this.#events += result.events;
    this.#crashes += result.crashes;
    this.#virtualMs += result.virtualMs;
    this.#cpuMs += cpuMs;
    this.#ok += result.requests.ok;
    this.#failed += result.requests.failed;
    this.#unknown += result.requests.unknown;
    this.#majorityLeader = Math.max(this.#majorityLeader, result.liveness?.majorityLeader ?? 0);
    this.#everyoneLeader = Math.max(this.#everyoneLeader, result.liveness?.everyoneLeader ?? 0);
    this.#terms = Math.max(this.#terms, result.liveness?.terms ?? 0);
    for (const [name, count] of Object.entries(marks)) {
      if (count > 0) this.#marks.set(name, (this.#marks.get(name) ?? 0) + 1);
    }
  }

  text(): string {
    const seconds = (performance.now() - this.#begunMs) / 1000;
    const cpuSeconds = this.#cpuMs / 1000;
    const hours = this.#virtualMs / 3_600_000;
    const lines = [
      "",
      `${this.#runs} runs in ${seconds.toFixed(1)} s: ${(this.#runs / seconds).toFixed(1)} seeds/s`,
      `${this.#steps} steps of cores, ${this.#events} events: ${rate(this.#steps, cpuSeconds)} steps, ${rate(this.#events, cpuSeconds)} events a CPU second`,
      `${hours.toFixed(2)} simulated hours: ${((hours / cpuSeconds) * 60).toFixed(1)} a CPU minute, ${rate(hours, cpuSeconds / 3600)} a CPU hour`,
      `${this.#crashes} crashes; requests: ${this.#ok} ok, ${this.#failed} failed, ${this.#unknown} unknown`,
      `after the faults, at worst: a majority's leader after ${this.#majorityLeader} election timeouts, everyone's after ${this.#everyoneLeader}, ${this.#terms} terms`,
    ];
    if (this.#marks.size > 0) {
      lines.push("rare branches, by the number of runs that reached them:");
      for (const name of MARK_NAMES)
        lines.push(`  ${String(this.#marks.get(name) ?? 0).padStart(6)}  ${name}`);
    }
    return lines.join("\n");
  }
}

function rate(count: number, seconds: number): string {
  return seconds === 0 ? "?" : (count / seconds).toFixed(0);
}
