import type { LogIndex, RaftOptions } from "../raft/index.ts";
import type { AutoCompaction } from "./auto-compactor.ts";
import type { Consistency, Member } from "./engine.ts";
import type { ProposalId } from "./frames.ts";
import type { SavedLeases } from "./lessor.ts";
import type { NodeObserver } from "./observer.ts";
import type { Clock, Logger, Random, StorageEngine, StoreIdentity, Transport } from "./ports.ts";
import type { WatchTuning } from "./watch/watch-hub.ts";

/** What the driver needs to run one node of one group. Durations in milliseconds, sizes in bytes. */
export interface NodeOptions {
  readonly identity: StoreIdentity;
  /**
   * The founding members, the same on each of them: used when the store is new and the group is too. Null: this
   * node joins an existing group, and waits to be sent a snapshot.
   */
  readonly founders: readonly Member[] | null;
  /**
   * Whether this node knows that it has promised no leader its silence: it was asleep when it stopped, or is new.
   * Then it goes on sleeping until something happens. Default: it has, perhaps.
   */
  readonly rested?: boolean;
  /** What `KvEngine.saveLeases` gave an earlier life of this node. */
  readonly savedLeases?: SavedLeases | null;
  /** This node's name and client URLs, told to the group once it has started. */
  readonly self: { readonly name: string; readonly clientUrls: readonly string[] };
  readonly storage: StorageEngine;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told what the node measures. Absent: nothing is measured. */
  readonly observer?: NodeObserver;
  readonly raft?: Partial<Omit<RaftOptions, "nodeId">>;
  readonly tuning?: Partial<NodeTuning>;
  readonly watch?: Partial<WatchTuning>;
  /** Told what is applied, at the start and from then on. For a process that looks for what it wrote in an earlier life. */
  readonly applied?: AppliedObserver;
  /** Absent: history is kept until somebody compacts it. */
  readonly autoCompaction?: AutoCompaction;
}

export interface AppliedObserver {
  /** The state was read from a snapshot at this index; of what came before, nothing is told. */
  onSnapshot(index: LogIndex): void;
  /** A proposal has been applied; `result` is the state machine's. In log order, each once. */
  onResult(id: ProposalId, result: unknown): void;
}

export interface NodeTuning {
  /** Policy of reads that name none. */
  readonly defaultConsistency: Consistency;
  /** How long a request may take when it does not say. */
  readonly requestTimeoutMs: number;
  /** Requests waiting for an answer; more are refused with `tooManyRequests`. */
  readonly maxPendingRequests: number;
  /**
   * Writes to the log under way at the same time, before proposals wait to go together into the next; not for stores
   * that gather by themselves.
   */
  readonly maxInflightReadys: number;
  /**
   * How long a leader lets proposals gather before it writes them, in milliseconds: for stores that bill each write.
   * They take as much longer, at most. Default 0: not at all.
   */
  readonly lingerMs: number;
  /** Take a snapshot once this many bytes of commands were applied since the last one... */
  readonly snapshotBytes: number;
  /** ...or this many entries. */
  readonly snapshotEntries: number;
  /** Entries kept in the log behind a snapshot, for followers that lag a little. */
  readonly trailingEntries: number;
  /** Bytes of one snapshot chunk. */
  readonly snapshotChunkBytes: number;
  /** Largest command or request. */
  readonly maxRequestBytes: number;
  readonly maxTxnOps: number;
  /**
   * Most that a read is answered at once, as the store counts its bytes (64 for each key besides); Infinity: no bound.
   * More is refused with `rangeTooLarge` before it is built. etcd leaves that to its clients, but an answer of gigabytes
   * would keep this process from everything else meanwhile.
   */
  readonly maxRangeBytes: number;
  /**
   * Bytes that the key-value store may take, as `EngineStatus.dbSize` counts them; Infinity: as many as there are. A
   * write that would pass it is refused with `noSpace`, and the alarm of that name raised, until it is disarmed.
   */
  readonly quotaBytes: number;
  /** A write under an idempotency key is remembered for at least so long, unless too many others come. */
  readonly idempotencyWindowMs: number;
}

export const NODE_DEFAULTS: NodeTuning = {
  defaultConsistency: "linearizable",
  requestTimeoutMs: 5000,
  maxPendingRequests: 65536,
  maxInflightReadys: 4,
  lingerMs: 0,
  snapshotBytes: 64 << 20,
  snapshotEntries: 100_000,
  trailingEntries: 5_000,
  snapshotChunkBytes: 512 << 10,
  maxRequestBytes: 1.5 * (1 << 20),
  maxTxnOps: 128,
  maxRangeBytes: 128 << 20,
  // etcd has 2 GiB on disk. This is memory, of a process that has other uses for it, too.
  quotaBytes: 1 << 30,
  idempotencyWindowMs: 600_000,
};
