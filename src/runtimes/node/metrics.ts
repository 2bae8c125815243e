import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { EngineError } from "../../core/errors/index.ts";
import type { Engine, NodeObserver } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { DURATION_BUCKETS, PEER_COUNTERS, STATUS_GAUGES } from "../http/status-metrics.ts";
import { MeasurementTally } from "../http/measurement-tally.ts";
import { formatId } from "../http/peer/index.ts";
import type { PeerTransport } from "./peers/peer-transport.ts";

/** Operations that are timed. */
const TIMED = ["range", "put", "deleteRange", "txn", "compact"] as const;

/** What is served over HTTP, measured. */
export interface Measured {
  /** Text for Prometheus. */
  readonly render: () => Promise<Metrics>;
  /** The engine with its operations timed and its errors counted. */
  readonly engine: Engine;
}

/** Metrics of the process, of one node and of what is asked of it, in a registry of their own. */
export class NodeMetrics {
  readonly #register: Registry = new Registry();
  readonly #tally: MeasurementTally = new MeasurementTally();

  constructor() {
    collectDefaultMetrics({ register: this.#register });
  }

  /** For the node: see `NodeOptions`. */
  get observer(): NodeObserver {
    return this.#tally.observer;
  }

  /** To be called once, with the node that was given the observer. */
  of(engine: Engine, transport: Pick<PeerTransport, "stats">): Measured {
    const register = this.#register;
    const tally = this.#tally;
    const gauges = STATUS_GAUGES.map(([name, help, value]) => ({
      gauge: new Gauge({ name, help, registers: [register] }),
      value,
    }));
    peerMetrics(register, transport);
    return {
      render: async () => {
        const status = engine.status();
        for (const { gauge, value } of gauges) gauge.set(value(status));
        return { contentType: register.contentType, body: (await register.metrics()) + tally.render() };
      },
      engine: timed(engine, register),
    };
  }
}

function peerMetrics(register: Registry, transport: Pick<PeerTransport, "stats">): void {
  for (const [field, name, help] of PEER_COUNTERS) {
    // The counters are the links' own: they are set, not added to.
    new Gauge({
      name,
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
    buckets: [...DURATION_BUCKETS],
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
