import type { DurableObjectStorageEngine } from "../../adapters/durable-object/index.ts";
import type { KvEngine } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { formatId } from "../http/peer/index.ts";
import { PEER_COUNTERS, STATUS_GAUGES } from "../http/status-metrics.ts";
import type { ObjectTransport } from "./object-transport.ts";

/** Of one object since it was made: text for Prometheus, whose libraries need a process around them. */
export function objectMetrics(
  engine: KvEngine,
  transport: Pick<ObjectTransport, "stats">,
  storage: Pick<DurableObjectStorageEngine, "rowsRead" | "rowsWritten">,
): Metrics {
  const lines: string[] = [];
  const add = (
    name: string,
    help: string,
    values: readonly (readonly [labels: string, value: number])[],
  ): void => {
    lines.push(`# HELP d_engine_${name} ${help}`, `# TYPE d_engine_${name} gauge`);
    for (const [labels, value] of values) lines.push(`d_engine_${name}${labels} ${value}`);
  };
  const status = engine.status();
  for (const [name, help, value] of STATUS_GAUGES) add(name, help, [["", value(status)]]);
  add("rows_read", "rows read from the object's storage, as they are billed", [["", storage.rowsRead]]);
  add("rows_written", "rows written to the object's storage, as they are billed", [
    ["", storage.rowsWritten],
  ]);
  const stats = [...transport.stats()];
  for (const [field, name, help] of PEER_COUNTERS) {
    add(
      name,
      help,
      stats.map(([peer, counters]) => [`{peer="${formatId(peer)}"}`, counters[field]]),
    );
  }
  return { contentType: "text/plain; version=0.0.4; charset=utf-8", body: `${lines.join("\n")}\n` };
}
