import type { Measurement, NodeObserver } from "../../core/node/index.ts";
import { MEASUREMENTS } from "./status-metrics.ts";

/** One histogram or counter. */
interface Series {
  readonly name: string;
  readonly help: string;
  readonly buckets: readonly number[] | null;
  /** Of values that are not more than the bucket of the same place; the last one is of all that are more. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * What a node has measured since it was started, as text for Prometheus. The driver measures every write several
 * times, so this changes numbers in place: a library's histograms make objects for each value, and collecting those
 * slows writes down.
 */
export class MeasurementTally {
  readonly #series: Readonly<Record<Measurement, Series>> = Object.fromEntries(
    Object.entries(MEASUREMENTS).map(([measurement, metric]) => [
      measurement,
      { ...metric, counts: new Float64Array((metric.buckets?.length ?? 0) + 1), sum: 0 },
    ]),
  ) as Record<Measurement, Series>;

  readonly observer: NodeObserver = (measurement, value) => {
    const { buckets, counts } = this.#series[measurement];
    this.#series[measurement].sum += value;
    if (buckets === null) return;
    let at = 0;
    while (at < buckets.length && value > buckets[at]!) at++;
    counts[at]!++;
  };

  render(): string {
    const lines: string[] = [];
    for (const { name, help, buckets, counts, sum } of Object.values(this.#series)) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${buckets === null ? "counter" : "histogram"}`);
      if (buckets === null) {
        lines.push(`${name} ${sum}`);
        continue;
      }
      let count = 0;
      for (const [i, bound] of [...buckets, "+Inf"].entries()) {
        count += counts[i]!;
        lines.push(`${name}_bucket{le="${bound}"} ${count}`);
      }
      lines.push(`${name}_sum ${sum}`, `${name}_count ${count}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
