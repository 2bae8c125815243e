import { EngineError } from "../errors/index.ts";
import type { LogIndex, SnapshotMeta } from "../raft/index.ts";
import type { Applier } from "./applier.ts";
import type { LogExtent } from "./log-reader.ts";
import type { Meter } from "./observer.ts";
import type { NodeTuning } from "./options.ts";
import type { Clock, Logger, SnapshotInfo, StorageEngine } from "./ports.ts";

/** How often is looked whether a snapshot can be taken. */
const CAPTURE_RETRY_MS = 5;

/** What the snapshotter asks of the node around it. */
export interface SnapshotterHost {
  /** Where the log in the store begins and ends. */
  stored(): LogExtent;
  /** Entries up to `snapshot.index` will be dropped from the log. */
  compacting(snapshot: SnapshotMeta): void;
  fail(error: unknown): void;
}

/**
 * Takes snapshots of the state machine while it goes on working, and then shortens the log, keeping some entries
 * behind for followers that lag a little.
 */
export class Snapshotter<R> {
  readonly #storage: StorageEngine;
  readonly #applier: Applier<R>;
  readonly #tuning: NodeTuning;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #meter: Meter;
  readonly #host: SnapshotterHost;
  #running: Promise<SnapshotInfo> | null = null;
  /** Snapshots that are being read, by their index, and by how many. */
  readonly #lent: Map<LogIndex, number> = new Map();
  #stopped = false;

  constructor(
    storage: StorageEngine,
    applier: Applier<R>,
    tuning: NodeTuning,
    clock: Clock,
    logger: Logger,
    meter: Meter,
    host: SnapshotterHost,
  ) {
    this.#storage = storage;
    this.#applier = applier;
    this.#tuning = tuning;
    this.#clock = clock;
    this.#logger = logger;
    this.#meter = meter;
    this.#host = host;
  }

  /** Called between two applications: starts a snapshot when enough has been applied since the last. */
  poll(): void {
    const { bytes, entries } = this.#applier.sinceSnapshot;
    const due = bytes >= this.#tuning.snapshotBytes || entries >= this.#tuning.snapshotEntries;
    if (!due || this.#running !== null || !this.#mayCapture()) return;
    this.take().catch((error: unknown) => this.#host.fail(error));
  }

  /**
   * Not in the middle of applying, when state and index do not belong together; and not ahead of the log on disk,
   * or a restart would find a gap between the two.
   */
  #mayCapture(): boolean {
    return !this.#applier.isBusy && this.#applier.appliedIndex <= this.#host.stored().persistedIndex;
  }

  /**
   * Lends the newest snapshot that is no older than `minIndex` and that `admits`, taken now if there is none. It
   * and the log behind it are kept until `use` is done. Null if there is none to lend at this moment; ask again.
   */
  async lend<T>(
    minIndex: LogIndex,
    admits: (info: SnapshotInfo) => boolean,
    use: (info: SnapshotInfo) => Promise<T>,
  ): Promise<T | null> {
    const info = await this.#provide(minIndex, admits);
    if (info === null) return null;
    const { index } = info.meta;
    this.#lent.set(index, (this.#lent.get(index) ?? 0) + 1);
    try {
      return await use(info);
    } finally {
      const left = this.#lent.get(index)! - 1;
      if (left > 0) this.#lent.set(index, left);
      else this.#lent.delete(index);
    }
  }

  async #provide(minIndex: LogIndex, admits: (info: SnapshotInfo) => boolean): Promise<SnapshotInfo | null> {
    if (this.#running !== null) await this.#running;
    const newest = (await this.#storage.snapshots.list())[0];
    if (newest !== undefined && newest.meta.index >= minIndex && admits(newest)) return newest;
    if (this.#applier.appliedIndex < minIndex) return null;
    const taken = await this.take();
    return taken.meta.index >= minIndex && admits(taken) ? taken : null;
  }

  /**
   * Takes a snapshot as soon as one can be taken, or joins the one being taken.
   *
   * @throws EngineError `timeout` if what was begun to be applied or written does not end; `stopped`.
   */
  take(): Promise<SnapshotInfo> {
    this.#running ??= this.#takeSoon().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #takeSoon(): Promise<SnapshotInfo> {
    const deadlineMs = this.#clock.nowMs() + this.#tuning.requestTimeoutMs;
    while (!this.#stopped && !this.#mayCapture()) {
      if (this.#clock.nowMs() >= deadlineMs) throw new EngineError("timeout");
      await new Promise<void>((resolve) => this.#clock.setTimer(CAPTURE_RETRY_MS, resolve));
    }
    if (this.#stopped) throw new EngineError("stopped");
    return await this.#take();
  }

  async #take(): Promise<SnapshotInfo> {
    const applier = this.#applier;
    const startedMs = this.#clock.nowMs();
    const meta: SnapshotMeta = {
      index: applier.appliedIndex,
      term: applier.appliedTerm,
      config: applier.membership.config,
    };
    const context = applier.membership.encode();
    const state = applier.stateMachine.snapshot();
    applier.sinceSnapshot = { entries: 0, bytes: 0 };
    try {
      const info = await this.#write(meta, context, state.chunks());
      await this.#compact(info);
      const durationMs = this.#clock.nowMs() - startedMs;
      this.#meter.record("snapshotDuration", durationMs / 1000);
      this.#meter.record("snapshotBytes", info.size);
      this.#logger.log("info", "snapshot taken", { index: meta.index, bytes: info.size, durationMs });
      return info;
    } finally {
      state.release();
    }
  }

  async #write(
    meta: SnapshotMeta,
    context: Uint8Array,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<SnapshotInfo> {
    const writer = await this.#storage.snapshots.create(meta, context);
    try {
      for await (const chunk of chunks) {
        if (this.#stopped) throw new EngineError("stopped");
        await writer.write(chunk);
        // A turn for everybody else: a large state must not stop the node for longer than one chunk takes.
        await new Promise<void>((resolve) => this.#clock.setTimer(0, resolve));
      }
      return await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Drops older snapshots, and the part of the log that no follower near the end will ask for. */
  async #compact(info: SnapshotInfo): Promise<void> {
    const { log, snapshots } = this.#storage;
    for (const older of await snapshots.list()) {
      const isLent = this.#lent.has(older.meta.index);
      if (older.meta.index < info.meta.index && !isLent) await snapshots.drop(older);
    }
    // Whoever gets a snapshot needs the log from there on, or would have to be sent the next one, for ever.
    const to = Math.min(info.meta.index - this.#tuning.trailingEntries, ...this.#lent.keys());
    const isGone = (): boolean => to < this.#host.stored().firstIndex;
    if (isGone()) return;
    try {
      const term = await log.term(to);
      if (isGone()) return;
      this.#host.compacting({ index: to, term, config: info.meta.config });
    } catch (error) {
      // The leader's snapshot has begun the log anew behind it meanwhile.
      if (isGone()) return;
      throw error;
    }
    await log.compact(to);
  }

  /** Breaks off the snapshot under way, which a later start can as well take, and takes no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => {});
  }
}
