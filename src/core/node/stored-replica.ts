import { assert, EngineError } from "../errors/index.ts";
import type { KvResult, KvStore } from "../kv/index.ts";
import { changeConfig, type ClusterConfig, type Entry, type LogIndex, type NodeId } from "../raft/index.ts";
import { Applier } from "./applier.ts";
import { KvStateMachine } from "./kv-state-machine.ts";
import { Membership } from "./membership.ts";
import { Meter } from "./observer.ts";
import type { Clock, SnapshotInfo, StoreIdentity } from "./ports.ts";
import type { StateMachine } from "./state-machine.ts";
import type { StoredBeginning, StoredLog, StoredStep } from "./stored-log.ts";

export interface StoredReplicaOptions {
  readonly log: StoredLog;
  /** Names no moment that matters: what is due "later" is done at the end of each catch-up. */
  readonly clock: Clock;
  /** The most that the state may take in memory, as estimated; more is refused (`stateTooLarge`). */
  readonly maxStateBytes: number;
}

export interface CatchUpLimits {
  /** About how much of the log to read. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

/** Uncommitted entries are as many as a leader may have; more than this no leader of ours leaves behind. */
const MAX_PENDING_BYTES = 256 << 20;
const MAX_BEGINNINGS = 4;

/**
 * The key-value state that a node's stores amount to, in the memory of somebody who is no member and writes nothing.
 *
 * Only what is known to be committed is in it:
 *
 * - What is in a snapshot.
 * - Entries up to the commit index that the node has stored.
 * - Where the node is the only voter, by the membership as of the entries before: every entry that is durable. Whoever
 *   leads from then on is this node or was elected with its vote, hence has what it has (paper §5.4), and a single voter
 *   replaces nothing. Its stores' fence says the same of every process that may own them.
 *
 * A node writes its commit index when it writes something else. So of a voter among several the last writes before a
 * pause are shown only with the next.
 */
export class StoredReplica {
  readonly #options: StoredReplicaOptions;
  #state: StoredState | null = null;

  constructor(options: StoredReplicaOptions) {
    this.#options = options;
  }

  /** The state as of the last catch-up; null before the first that got so far. */
  get state(): StoredState | null {
    return this.#state;
  }

  /**
   * Brings the state forward, up to the limits; resolves with whether it then had everything that was stored at some
   * moment after the call. One at a time; after a failure it may be called again, and the state is as it was or further.
   *
   * @throws EngineError `storageUnavailable` when there is nothing yet, `stateTooLarge`, `canceled`, and what the store
   * rejects with.
   */
  async catchUp({ maxBytes, signal }: CatchUpLimits): Promise<boolean> {
    const { log } = this.#options;
    const call = signal === undefined ? { maxBytes } : { maxBytes, signal };
    for (let beginnings = 0; ;) {
      if (this.#state?.isCurrent !== true) {
        if (beginnings++ === MAX_BEGINNINGS) return false;
        this.#state = await this.#begin(signal);
      }
      const state = this.#state;
      const found = await log.readOn({ after: state.appliedIndex, ...call });
      if (found === "gone" || !(await state.take(found.steps))) {
        // It may be served until there is a newer one.
        state.isCurrent = false;
        continue;
      }
      state.freeCompacted();
      this.#refuseLarge(state.store.sizeBytes);
      return found.atEnd;
    }
  }

  async #begin(signal: AbortSignal | undefined): Promise<StoredState> {
    const { log, clock, maxStateBytes } = this.#options;
    const beginning = await log.begin(signal);
    if (beginning === null) {
      throw new EngineError("storageUnavailable", {
        detail: `${log.location}: no node has been set up there`,
      });
    }
    const { size } = beginning.snapshot.info;
    this.#refuseLarge(size);
    // Both at once only where there is room.
    if ((this.#state?.store.sizeBytes ?? 0) + size > maxStateBytes) this.#state = null;
    return await StoredState.restore(beginning, clock);
  }

  #refuseLarge(bytes: number): void {
    const { log, maxStateBytes } = this.#options;
    if (bytes <= maxStateBytes) return;
    this.#state = null;
    const detail = `${log.location}: ${mebibytes(bytes)} MiB, and ${mebibytes(maxStateBytes)} MiB are set aside`;
    throw new EngineError("stateTooLarge", { detail });
  }
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / (1 << 20));
}

/** One state, from a snapshot on. */
export class StoredState {
  readonly identity: StoreIdentity;
  /** What follows the last step is what the store will hold next; else it must be begun anew. */
  isCurrent = true;
  /** When the newest command was proposed, by the leader's clock; null: none since the snapshot. */
  writtenAtMs: number | null = null;
  readonly #machine: KvStateMachine;
  readonly #applier: Applier<KvResult>;
  readonly #due: (() => void)[] = [];
  #config: ClusterConfig;
  #commit: LogIndex;
  /** Behind what is applied, and not known to be committed. */
  #pending: Entry[] = [];
  #pendingBytes = 0;

  private constructor({ identity, hardState, snapshot }: StoredBeginning, clock: Clock) {
    const { meta } = snapshot.info;
    this.identity = identity;
    this.#config = meta.config;
    this.#commit = Math.max(meta.index, hardState?.commit ?? 0);
    const later: Clock = {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      setTimer: (_delayMs, callback) => {
        this.#due.push(callback);
        return () => {};
      },
    };
    this.#machine = new KvStateMachine(later);
    const observed: StateMachine<KvResult> = {
      applyChunk: (commands) => {
        this.writtenAtMs = dateOf(commands.at(-1)?.timeMs) ?? this.writtenAtMs;
        return this.#machine.applyChunk(commands);
      },
      snapshot: () => this.#machine.snapshot(),
      restore: (chunks) => this.#machine.restore(chunks),
    };
    const silent = new Meter(clock, null);
    this.#applier = new Applier(observed, new Membership(meta.config, []), meta, silent, {
      onConfChange: (change) => {
        const next = changeConfig(this.#config, change);
        assert(!("refused" in next), "a committed membership change fits the configuration it meets");
        this.#config = next;
        return next;
      },
      onResult: () => {},
      onMembership: () => {},
    });
  }

  static async restore(beginning: StoredBeginning, clock: Clock): Promise<StoredState> {
    const state = new StoredState(beginning, clock);
    const { snapshot } = beginning;
    await state.#restore(snapshot.info, snapshot.read());
    return state;
  }

  get store(): KvStore {
    return this.#machine.store;
  }

  get appliedIndex(): LogIndex {
    return this.#applier.appliedIndex;
  }

  get term(): number {
    return this.#applier.appliedTerm;
  }

  get nodeId(): NodeId {
    return this.identity.nodeId;
  }

  /** Takes what the owner wrote next; false: it does not continue what is here. */
  async take(steps: readonly StoredStep[]): Promise<boolean> {
    for (const step of steps) if (!this.#append(step)) return false;
    await this.#apply();
    return true;
  }

  /** Frees what compaction has hidden: nobody else does it while nothing is applied. */
  freeCompacted(): void {
    for (let act = this.#due.shift(); act !== undefined; act = this.#due.shift()) act();
  }

  async #restore(info: SnapshotInfo, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#applier.restore(info, chunks);
  }

  #append({ reset, hardState, first, entries }: StoredStep): boolean {
    if (reset !== null) {
      this.#truncate(0);
      // What is missing up to there is in a snapshot.
      if (reset.index > this.appliedIndex) return false;
    }
    if (hardState !== null) this.#commit = Math.max(this.#commit, hardState.commit);
    if (first === 0) return true;
    this.#truncate(first);
    for (const entry of entries) {
      if (entry.index <= this.appliedIndex) continue;
      if (entry.index !== this.appliedIndex + this.#pending.length + 1) return false;
      this.#pending.push(entry);
      this.#pendingBytes += sizeOf(entry);
    }
    if (this.#pendingBytes <= MAX_PENDING_BYTES) return true;
    throw new EngineError("storageCorrupt", {
      detail: "more entries without a commit than any leader leaves",
    });
  }

  /** Forgets what was not known to be committed from this index on. */
  #truncate(from: LogIndex): void {
    while ((this.#pending.at(-1)?.index ?? -1) >= from) this.#pendingBytes -= sizeOf(this.#pending.pop()!);
  }

  async #apply(): Promise<void> {
    for (;;) {
      const count = this.#committed();
      if (count === 0) return;
      const entries = this.#pending.splice(0, count);
      for (const entry of entries) this.#pendingBytes -= sizeOf(entry);
      await this.#applier.apply(entries);
    }
  }

  /** How many of the pending entries are known to be committed, up to the next change of who decides that. */
  #committed(): number {
    const { voters, votersOutgoing } = this.#config;
    const isSole = voters.length === 1 && voters[0] === this.nodeId && votersOutgoing.length === 0;
    const known = this.#commit - this.appliedIndex;
    const count = isSole ? this.#pending.length : Math.max(0, Math.min(known, this.#pending.length));
    const change = this.#pending.slice(0, count).findIndex(({ kind }) => kind === "confChange");
    return change === -1 ? count : change + 1;
  }
}

function sizeOf(entry: Entry): number {
  return entry.kind === "command" ? entry.data.length + 64 : 64;
}

/** The last moment that ECMAScript has a date for. */
const MAX_DATE_MS = 8.64e15;

function dateOf(timeMs: number | undefined): number | null {
  if (timeMs === undefined || !(timeMs >= 0 && timeMs <= MAX_DATE_MS)) return null;
  return Math.trunc(timeMs);
}
