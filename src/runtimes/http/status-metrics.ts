import type { EngineStatus, Measurement } from "../../core/node/index.ts";

/*
 * What every runtime tells Prometheus of a node, under the same names: etcd's where the meaning is etcd's, so that
 * what watches etcd clusters watches this.
 */

/** Gauges read from the engine's status when somebody asks. */
export const STATUS_GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (status: EngineStatus) => number,
])[] = [
  [
    "etcd_server_has_leader",
    "1 when this member knows a leader",
    ({ leaderId }) => (leaderId === null ? 0 : 1),
  ],
  ["etcd_server_is_leader", "1 when this member leads", ({ role }) => (role === "leader" ? 1 : 0)],
  ["etcd_server_is_learner", "1 when this member is a learner", ({ isLearner }) => (isLearner ? 1 : 0)],
  ["d_engine_asleep", "1 while the group sleeps", ({ isAsleep }) => (isAsleep ? 1 : 0)],
  [
    "etcd_server_proposals_pending",
    "proposals of this member's callers that are not answered yet",
    ({ pendingProposals }) => pendingProposals,
  ],
  [
    "etcd_server_proposals_committed_total",
    "the commit index, as etcd calls it",
    ({ commitIndex }) => commitIndex,
  ],
  [
    "etcd_server_proposals_applied_total",
    "the applied index, as etcd calls it",
    ({ appliedIndex }) => appliedIndex,
  ],
  ["d_engine_term", "Raft term", ({ term }) => term],
  ["d_engine_log_first_index", "index of the oldest entry in the log", ({ firstIndex }) => firstIndex],
  ["d_engine_log_last_index", "index of the newest entry in the log", ({ lastIndex }) => lastIndex],
  ["d_engine_commit_index", "index up to which the log is committed", ({ commitIndex }) => commitIndex],
  ["d_engine_applied_index", "index up to which the log is applied", ({ appliedIndex }) => appliedIndex],
  ["d_engine_revision", "revision of the key-value store", ({ revision }) => revision],
  [
    "d_engine_compact_revision",
    "revision up to which the store is compacted",
    ({ compactRevision }) => compactRevision,
  ],
  ["d_engine_leases", "leases that are alive", ({ leases }) => leases],
  ["d_engine_watch_streams", "open streams of watches", ({ watches }) => watches.streams],
  ["d_engine_watches", "watches on all streams", ({ watches }) => watches.watches],
  [
    "d_engine_slow_watches",
    "watches that have yet to be told of what is applied",
    ({ watches }) => watches.slowWatches,
  ],
  [
    "d_engine_watch_lag_revisions",
    "revisions that the watch which is furthest behind has yet to be told of",
    ({ watchLag }) => watchLag(),
  ],
  ["d_engine_db_size_bytes", "bytes of the state in memory", ({ dbSize }) => dbSize],
  ["etcd_mvcc_db_total_size_in_bytes", "the same, as etcd calls it", ({ dbSize }) => dbSize],
  ["etcd_mvcc_db_total_size_in_use_in_bytes", "the same: nothing is waste", ({ dbSize }) => dbSize],
  [
    "etcd_server_quota_backend_bytes",
    "what the state may take; 0: there is no quota",
    ({ quotaBytes }) => (Number.isFinite(quotaBytes) ? quotaBytes : 0),
  ],
  [
    "d_engine_alarms_nospace",
    "alarms that are active because space has run out",
    ({ alarms }) => alarms.filter(({ type }) => type === "noSpace").length,
  ],
  [
    "d_engine_alarms_corrupt",
    "alarms that are active because something is corrupt",
    ({ alarms }) => alarms.filter(({ type }) => type === "corrupt").length,
  ],
];

/** From a tenth of a millisecond, an eventual read, to the usual time-out. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];
const LONG_BUCKETS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const COUNT_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];
/** From 1 KiB to 4 GiB, four times as much each. */
const BYTES_BUCKETS: readonly number[] = Array.from({ length: 12 }, (_, i) => 2 ** (10 + 2 * i));

export interface MeasurementMetric {
  readonly name: string;
  readonly help: string;
  /** Of a histogram. Null: a counter. */
  readonly buckets: readonly number[] | null;
}

/** What the driver measures, and what it is called. */
export const MEASUREMENTS: Readonly<Record<Measurement, MeasurementMetric>> = {
  proposeToCommit: {
    name: "d_engine_propose_commit_duration_seconds",
    help: "time from a proposal of this member's callers until it was known to be committed",
    buckets: DURATION_BUCKETS,
  },
  proposeToApply: {
    name: "d_engine_propose_apply_duration_seconds",
    help: "time from a proposal of this member's callers until it was applied here",
    buckets: DURATION_BUCKETS,
  },
  logFlush: {
    name: "d_engine_log_flush_duration_seconds",
    help: "time until entries written to the log were durable, waiting for earlier ones included",
    buckets: DURATION_BUCKETS,
  },
  applyBatch: {
    name: "d_engine_apply_batch_commands",
    help: "commands applied at once",
    buckets: COUNT_BUCKETS,
  },
  applyDuration: {
    name: "d_engine_apply_duration_seconds",
    help: "time that it took to apply commands at once",
    buckets: DURATION_BUCKETS,
  },
  snapshotDuration: {
    name: "d_engine_snapshot_duration_seconds",
    help: "time that it took to take a snapshot and shorten the log",
    buckets: LONG_BUCKETS,
  },
  snapshotBytes: {
    name: "d_engine_snapshot_bytes",
    help: "bytes of snapshots that were taken",
    buckets: BYTES_BUCKETS,
  },
  restoreDuration: {
    name: "d_engine_snapshot_restore_duration_seconds",
    help: "time that it took to replace the state by a snapshot from the leader",
    buckets: LONG_BUCKETS,
  },
  rejectedProposals: {
    name: "d_engine_rejected_proposals_total",
    help: "proposals refused here because too many waited",
    buckets: null,
  },
  rejectedReads: {
    name: "d_engine_rejected_reads_total",
    help: "reads and questions to the leader refused here because too many waited",
    buckets: null,
  },
  elections: {
    name: "d_engine_elections_total",
    help: "elections that this member began, won or not",
    buckets: null,
  },
  leaderChanges: {
    name: "etcd_server_leader_changes_seen_total",
    help: "changes of the leader that this member has seen",
    buckets: null,
  },
};

/** By the name of the counter that each link keeps. */
export const PEER_COUNTERS = [
  ["sentFrames", "d_engine_peer_sent_frames", "frames delivered to a member"],
  ["sentBytes", "d_engine_peer_sent_bytes", "bytes delivered to a member"],
  ["sentBatches", "d_engine_peer_sent_batches", "batches delivered to a member"],
  ["droppedFrames", "d_engine_peer_dropped_frames", "frames lost on the way to a member, or before"],
  ["failures", "d_engine_peer_send_failures", "failed attempts to reach a member"],
] as const;
