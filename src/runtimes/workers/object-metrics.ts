import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import type { KvEngine, NodeObserver } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { formatId } from "../http/peer/index.ts";
import { MeasurementTally } from "../http/measurement-tally.ts";
import { PEER_COUNTERS, STATUS_GAUGES } from "../http/status-metrics.ts";
import type { ObjectTransport } from "./object-transport.ts";

/** Of one object since it was made: text for Prometheus, whose libraries need a process around them. */
export class ObjectMetrics {
  readonly #tally: MeasurementTally = new MeasurementTally();

  /** For the node: see `NodeOptions`. */
  get observer(): NodeObserver {
    return this.#tally.observer;
  }

  render(
    engine: KvEngine,
    transport: Pick<ObjectTransport, "stats">,
    storage: Pick<DurableObjectStorageEngine, "rowsRead" | "rowsWritten">,
  ): Metrics {
    const lines: string[] = [];
    const begin = (name: string, help: string): void =>
      void lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
    const gauge = (name: string, help: string, value: number): void => {
      begin(name, help);
      lines.push(`${name} ${value}`);
    };
    const status = engine.status();
    for (const [name, help, value] of STATUS_GAUGES) gauge(name, help, value(status));
    gauge("d_engine_rows_read", "rows read from the object's storage, as they are billed", storage.rowsRead);
    gauge(
      "d_engine_rows_written",
      "rows written to the object's storage, as they are billed",
      storage.rowsWritten,
    );
    const stats = [...transport.stats()];
    for (const [field, name, help] of PEER_COUNTERS) {
      begin(name, help);
      for (const [peer, counters] of stats)
        lines.push(`${name}{peer="${formatId(peer)}"} ${counters[field]}`);
    }
    return {
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      body: `${lines.join("\n")}\n${this.#tally.render()}`,
    };
  }
}
