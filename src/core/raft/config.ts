import { EngineError } from "../errors/index.ts";
import type { NodeId } from "./types.ts";

/** Settings of the Raft core. Durations are in milliseconds, sizes in bytes. */
export interface RaftOptions {
  readonly nodeId: NodeId;
  /**
   * A follower campaigns after hearing nothing for between one and two of these. Also how long a follower that
   * heard from a leader refuses to vote for another, and so the base of the leader lease.
   */
  readonly electionTimeoutMs: number;
  /** How often a leader makes itself heard. At most a third of the election timeout. */
  readonly heartbeatIntervalMs: number;
  /**
   * The most by which two nodes' clocks may drift apart within one election timeout. The leader lease is shortened
   * by it: a larger drift than this makes lease reads (and only those) unsafe.
   */
  readonly clockDriftBoundMs: number;
  /** Entries of one AppendEntries together; at least one entry is always sent. */
  readonly maxAppendBytes: number;
  /** AppendEntries in flight to one follower. */
  readonly maxInflightMessages: number;
  /** Bytes in flight to one follower. */
  readonly maxInflightBytes: number;
  /** Bytes of commands appended by this leader and not committed yet; more are refused. 0-byte commands always pass. */
  readonly maxUncommittedBytes: number;
  /** Bytes of entries a follower takes in before they are applied; appends beyond are dropped and sent again. */
  readonly maxUnappliedBytes: number;
  /** Bytes of one Ready's committed entries; at least one entry is always handed out. */
  readonly maxCommittedBytes: number;
  /** How much of the log's applied part stays in memory for followers that lag a little. */
  readonly tailBytes: number;
  /** ReadIndex requests waiting for confirmation; more are refused. */
  readonly maxPendingReads: number;
  /** A learner is caught up, and may be promoted, when it is at most this many entries behind. */
  readonly promotionMaxLag: number;
  /**
   * How long the news that entries are committed may wait for an append or a heartbeat that takes it along, before it
   * is sent by itself. Where somebody waits for it at the member, it goes at once. 0 = it always does.
   */
  readonly commitNewsDelayMs: number;
  /** Put the group to sleep after this long with nothing to do and every live follower caught up; 0 = never. */
  readonly quiesceAfterMs: number;
}

export const RAFT_DEFAULTS: Omit<RaftOptions, "nodeId"> = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  clockDriftBoundMs: 100,
  maxAppendBytes: 1 << 20,
  maxInflightMessages: 64,
  maxInflightBytes: 16 << 20,
  maxUncommittedBytes: 64 << 20,
  maxUnappliedBytes: 128 << 20,
  maxCommittedBytes: 4 << 20,
  tailBytes: 32 << 20,
  maxPendingReads: 65536,
  promotionMaxLag: 1000,
  commitNewsDelayMs: 0,
  quiesceAfterMs: 0,
};

/** Fills in defaults and refuses settings that could not work, naming the setting. */
export function raftOptions(given: Partial<RaftOptions> & Pick<RaftOptions, "nodeId">): RaftOptions {
  const options: RaftOptions = { ...RAFT_DEFAULTS, ...given };
  const refuse = (detail: string): never => {
    throw new EngineError("invalidConfig", { detail });
  };
  if (options.nodeId <= 0n || options.nodeId >= 1n << 64n) refuse("nodeId must be between 1 and 2^64 - 1");
  for (const [name, value] of Object.entries(options)) {
    if (name === "nodeId") continue;
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
      refuse(`${name} must be a number of at least 0, not ${String(value)}`);
    }
  }
  for (const name of POSITIVE) {
    if (!(options[name] > 0)) refuse(`${name} must be greater than 0`);
  }
  if (options.heartbeatIntervalMs * 3 > options.electionTimeoutMs) {
    refuse("heartbeatIntervalMs must be at most a third of electionTimeoutMs");
  }
  if (options.clockDriftBoundMs >= options.electionTimeoutMs) {
    refuse("clockDriftBoundMs must be less than electionTimeoutMs");
  }
  return options;
}

const POSITIVE = [
  "electionTimeoutMs",
  "heartbeatIntervalMs",
  "maxAppendBytes",
  "maxInflightMessages",
  "maxInflightBytes",
  "maxUncommittedBytes",
  "maxUnappliedBytes",
  "maxCommittedBytes",
  "maxPendingReads",
] as const;
