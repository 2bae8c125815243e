import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { EngineError } from "../../core/errors/index.ts";
import type { Engine, EngineStatus } from "../../core/node/index.ts";
import type { Metrics } from "../http/index.ts";
import { formatId } from "../http/peer/index.ts";
import type { PeerTransport } from "./peers/peer-transport.ts";

/** From a tenth of a millisecond, an eventual read, to the usual time-out. */
const DURATION_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Operations that are timed. */
const TIMED = ["range", "put", "deleteRange", "txn", "compact"] as const;

/** Gauges read from the engine's status when somebody asks. */
const STATUS_GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (status: EngineStatus) => number,
])[] = [
  ["has_leader", "1 when this member knows a leader", (status) => (status.leaderId === null ? 0 : 1)],
  ["is_leader", "1 when this member leads", (status) => (status.role === "leader" ? 1 : 0)],
  ["is_learner", "1 when this member is a learner", (status) => (status.isLearner ? 1 : 0)],
  ["term", "Raft term", (status) => status.term],
  ["log_first_index", "index of the oldest entry in the log", (status) => status.firstIndex],
  ["log_last_index", "index of the newest entry in the log", (status) => status.lastIndex],
  ["commit_index", "index up to which the log is committed", (status) => status.commitIndex],
  ["applied_index", "index up to which the log is applied", (status) => status.appliedIndex],
  ["revision", "revision of the key-value store", (status) => status.revision],
  ["compact_revision", "revision up to which the store is compacted", (status) => status.compactRevision],
  ["db_size_bytes", "estimated bytes of the state in memory", (status) => status.dbSize],
];

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

const PEER_COUNTERS = [
  ["sentFrames", "peer_sent_frames", "frames delivered to a member"],
  ["sentBytes", "peer_sent_bytes", "bytes delivered to a member"],
  ["sentBatches", "peer_sent_batches", "batches delivered to a member"],
  ["droppedFrames", "peer_dropped_frames", "frames lost on the way to a member, or before"],
  ["failures", "peer_send_failures", "failed attempts to reach a member"],
] as const;

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
