import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import type { KvEngine, Measurement, NodeObserver } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { formatId } from "../http/peer/index.ts";
import {
  type MeasurementMetric,
  MEASUREMENTS,
  PEER_COUNTERS,
  STATUS_GAUGES,
} from "../http/status-metrics.ts";
import type { ObjectTransport } from "./object-transport.ts";

/** Of one object since it was made: text for Prometheus, whose libraries need a process around them. */
export class ObjectMetrics {
  readonly #sums: Map<Measurement, { count: number; sum: number }> = new Map();

  /** For the node. Counts and sums alone: rates and means can be had of them, and an object is billed by its time. */
  readonly observer: NodeObserver = (measurement, value) => {
    const sums = this.#sums.get(measurement);
    if (sums === undefined) {
      this.#sums.set(measurement, { count: 1, sum: value });
    } else {
      sums.count++;
      sums.sum += value;
    }
  };

  render(
    engine: KvEngine,
    transport: Pick<ObjectTransport, "stats">,
    storage: Pick<DurableObjectStorageEngine, "rowsRead" | "rowsWritten">,
  ): Metrics {
    const lines: string[] = [];
    const begin = (name: string, help: string, type: "counter" | "gauge" | "summary"): void =>
      void lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    const gauge = (name: string, help: string, value: number): void => {
      begin(name, help, "gauge");
      lines.push(`${name} ${value}`);
    };
    const status = engine.status();
    for (const [name, help, value] of STATUS_GAUGES) gauge(name, help, value(status));
    for (const [measurement, { name, help, buckets }] of measurements()) {
      const { count, sum } = this.#sums.get(measurement) ?? { count: 0, sum: 0 };
      begin(name, help, buckets === null ? "counter" : "summary");
      if (buckets === null) lines.push(`${name} ${sum}`);
      else lines.push(`${name}_sum ${sum}`, `${name}_count ${count}`);
    }
    gauge("d_engine_rows_read", "rows read from the object's storage, as they are billed", storage.rowsRead);
    gauge(
      "d_engine_rows_written",
      "rows written to the object's storage, as they are billed",
      storage.rowsWritten,
    );
    const stats = [...transport.stats()];
    for (const [field, name, help] of PEER_COUNTERS) {
      begin(name, help, "gauge");
      for (const [peer, counters] of stats)
        lines.push(`${name}{peer="${formatId(peer)}"} ${counters[field]}`);
    }
    return { contentType: "text/plain; version=0.0.4; charset=utf-8", body: `${lines.join("\n")}\n` };
  }
}

function measurements(): [Measurement, MeasurementMetric][] {
  return Object.entries(MEASUREMENTS) as [Measurement, MeasurementMetric][];
}
