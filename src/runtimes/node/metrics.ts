import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { EngineError } from "../../core/errors/index.ts";
import type { Engine } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { PEER_COUNTERS, STATUS_GAUGES } from "../http/status-metrics.ts";
import { formatId } from "../http/peer/index.ts";
import type { PeerTransport } from "./peers/peer-transport.ts";

/** From a tenth of a millisecond, an eventual read, to the usual time-out. */
const DURATION_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Operations that are timed. */
const TIMED = ["range", "put", "deleteRange", "txn", "compact"] as const;

export interface NodeMetrics {
  /** Text for Prometheus. */
  readonly render: () => Promise<Metrics>;
  /** The engine with its operations timed and its errors counted. */
  readonly engine: Engine;
}

/** Metrics of the process, of one node and of what is asked of it, in a registry of their own. */
export function nodeMetrics(engine: Engine, transport: Pick<PeerTransport, "stats">): NodeMetrics {
  const register = new Registry();
  collectDefaultMetrics({ register });
  for (const [name, help, value] of STATUS_GAUGES) {
    new Gauge({
      name: `d_engine_${name}`,
      help,
      registers: [register],
      collect() {
        this.set(value(engine.status()));
      },
    });
  }
  const leaderChanges = new Counter({
    name: "d_engine_leader_changes_total",
    help: "changes of the leader that this member has seen",
    registers: [register],
  });
  engine.onLeaderChange((leaderId) => {
    if (leaderId !== null) leaderChanges.inc();
  });
  peerMetrics(register, transport);
  return {
    render: async () => ({ contentType: register.contentType, body: await register.metrics() }),
    engine: timed(engine, register),
  };
}

function peerMetrics(register: Registry, transport: Pick<PeerTransport, "stats">): void {
  for (const [field, name, help] of PEER_COUNTERS) {
    // The counters are the links' own: they are set, not added to.
    new Gauge({
      name: `d_engine_${name}`,
      help,
      labelNames: ["peer"],
      registers: [register],
      collect() {
        this.reset();
        for (const [peer, stats] of transport.stats()) this.set({ peer: formatId(peer) }, stats[field]);
      },
    });
  }
}

/** The same engine; a proxy rather than a list of methods, so that none can be forgotten. */
function timed(engine: Engine, register: Registry): Engine {
  const durations = new Histogram({
    name: "d_engine_request_duration_seconds",
    help: "time from a request's arrival at the engine to its answer",
    labelNames: ["operation"],
    buckets: DURATION_BUCKETS,
    registers: [register],
  });
  const errors = new Counter({
    name: "d_engine_request_errors_total",
    help: "requests that failed, by the code of the error",
    labelNames: ["operation", "code"],
    registers: [register],
  });
  const wrapped = new Map<PropertyKey, (...args: unknown[]) => Promise<unknown>>();
  for (const operation of TIMED) {
    // Looked up once: labels cost more than the measurement.
    const duration = durations.labels(operation);
    const run = engine[operation].bind(engine) as (...args: unknown[]) => Promise<unknown>;
    wrapped.set(operation, async (...args) => {
      const startedMs = performance.now();
      try {
        return await run(...args);
      } catch (error) {
        errors.inc({ operation, code: error instanceof EngineError ? error.code : "internal" });
        throw error;
      } finally {
        duration.observe((performance.now() - startedMs) / 1000);
      }
    });
  }
  return new Proxy(engine, {
    get(target, property) {
      const timedMethod = wrapped.get(property);
      if (timedMethod !== undefined) return timedMethod;
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      wrapped.set(property, method);
      return method;
    },
  });
}
