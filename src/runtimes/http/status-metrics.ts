import type { EngineStatus } from "../../core/node/index.ts";

/* What every runtime tells Prometheus of a node, under the same names. */

/** Gauges read from the engine's status when somebody asks. */
export const STATUS_GAUGES: readonly (readonly [
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
  ["watch_streams", "open streams of watches", (status) => status.watches.streams],
  ["watches", "watches on all streams", (status) => status.watches.watches],
  [
    "slow_watches",
    "watches that have yet to be told of what is applied",
    (status) => status.watches.slowWatches,
  ],
  ["db_size_bytes", "estimated bytes of the state in memory", (status) => status.dbSize],
];

/** By the name of the counter that each link keeps. */
export const PEER_COUNTERS = [
  ["sentFrames", "peer_sent_frames", "frames delivered to a member"],
  ["sentBytes", "peer_sent_bytes", "bytes delivered to a member"],
  ["sentBatches", "peer_sent_batches", "batches delivered to a member"],
  ["droppedFrames", "peer_dropped_frames", "frames lost on the way to a member, or before"],
  ["failures", "peer_send_failures", "failed attempts to reach a member"],
] as const;
