import { EngineError } from "../../core/errors/index.ts";
import type {
  Clock,
  LogBounds,
  Logger,
  LogStore,
  MetaState,
  MetaStore,
  Random,
  StoreIdentity,
} from "../../core/node/index.ts";
import type { Entry, HardState, LogIndex, Term } from "../../core/raft/index.ts";
import { type Checkpoint, EMPTY_CHECKPOINT, encodeCheckpoint } from "./checkpoint.ts";
import { inOrder, parallelFetches } from "./in-order.ts";
import { Journal } from "./journal/journal.ts";
import { SLOT_OVERHEAD_BYTES } from "./journal/slot.ts";
import { JournalState } from "./journal-state.ts";
import type { IndexRange } from "./log-ranges.ts";
import type { ObjectStore } from "./object-store.ts";
import { decodeEntries, encodeRecord, termRuns } from "./record.ts";
import { type Batch, RecordQueue, type Write } from "./record-queue.ts";

/** A batch is one object, and of moderate size, so that a read of one entry does not fetch too much. */
const MAX_BATCH_BYTES = 4 << 20;
const RECORD_HEAD_BYTES = 1024;
const JOURNAL_NAME = "log";
/** As {@link ManifestObject} has it. */
export const MANIFEST_NAME: string = `${JOURNAL_NAME}-manifest`;
/** So many slots that nobody needs any more are worth a change of the manifest. */
const TRIM_SLOTS = 256;

export interface SegmentLogOptions {
  readonly store: ObjectStore;
  readonly identity: StoreIdentity | null;
  readonly lingerMs: number;
  readonly maxRaises?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Log and metadata of one node as records of one journal: a Ready's hard state and entries are one object. Ownership
 * is taken by `open`, or by the first write.
 */
export class SegmentLog implements LogStore, MetaStore {
  readonly #options: SegmentLogOptions;
  readonly #state: JournalState;
  readonly #queue: RecordQueue;
  readonly #journal: Journal;
  /** Where the log will begin and end once everything that was called is durable. */
  #prevIndex: LogIndex;
  #lastIndex: LogIndex;
  #resets = 0;
  #owning: Promise<void> | null = null;
  #isOwned = false;
  #awaitingOwnership = 0;
  /** The last record that is under way. */
  #written: Promise<void> = Promise.resolve();
  #trimming = false;
  /** The hard state that was told before it was certain that nobody else changes it. */
  #told: HardState | null | undefined = undefined;
  #closing: Promise<void> | null = null;
  #closed = false;

  private constructor(options: SegmentLogOptions, state: JournalState, queue: RecordQueue, journal: Journal) {
    this.#options = options;
    this.#state = state;
    this.#queue = queue;
    this.#journal = journal;
    this.#prevIndex = state.ranges.prev.index;
    this.#lastIndex = state.ranges.lastIndex;
  }

  /** Reads what there is; nothing is written. */
  static async connect(options: SegmentLogOptions): Promise<SegmentLog> {
    const { store, identity, lingerMs, maxRaises, clock, random, logger } = options;
    const state = new JournalState(store.location, identity);
    const queue: RecordQueue = new RecordQueue({
      clock,
      lingerMs,
      maxBatchBytes: Math.min(
        MAX_BATCH_BYTES,
        store.maxObjectBytes - SLOT_OVERHEAD_BYTES - RECORD_HEAD_BYTES,
      ),
      hasRoom: () => journal.hasRoom,
      write: (batch) => log.#write(batch),
    });
    const journal: Journal = await Journal.open({
      store,
      name: JOURNAL_NAME,
      emptyCheckpoint: encodeCheckpoint(EMPTY_CHECKPOINT),
      reader: state,
      clock,
      random,
      logger,
      onRoom: () => queue.flush(),
      ...(maxRaises === undefined ? {} : { maxRaises }),
    });
    const log: SegmentLog = new SegmentLog(options, state, queue, journal);
    return log;
  }

  async open(): Promise<LogBounds> {
    await this.#own();
    await this.#drained();
    const { prev, lastIndex, lastTerm } = this.#state.ranges;
    return { firstIndex: prev.index + 1, lastIndex, prevTerm: prev.term, lastTerm };
  }

  append(entries: readonly Entry[]): Promise<void> {
    return this.#call({ entries });
  }

  commit(hardState: HardState, entries: readonly Entry[]): Promise<void> {
    return this.#call({ hardState, entries });
  }

  saveHardState(hardState: HardState): Promise<void> {
    return this.#call({ hardState });
  }

  reset(index: LogIndex, term: Term): Promise<void> {
    return this.#call({ reset: { index, term } });
  }

  async load(): Promise<MetaState> {
    this.#refuseIfClosed();
    await this.#drained();
    const { identity, hardState } = this.#state;
    if (this.#owning === null) this.#told = hardState;
    return { identity, hardState };
  }

  async saveIdentity(identity: StoreIdentity): Promise<void> {
    await this.#own();
    this.#state.requireIdentity(this.#state.identity, identity);
    if (this.#state.identity === null) await this.#saveCheckpoint(identity);
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    await this.#own();
    await this.#drained();
    const { prev, lastIndex } = this.#state.ranges;
    if (from <= prev.index || from > to || to > lastIndex) {
      throw refusal(`a read of ${from} to ${to} from a log of ${prev.index + 1} to ${lastIndex}`);
    }
    const found: Entry[] = [];
    let bytes = 0;
    // As of now: a record may be replaced while it is read.
    const ranges = this.#state.ranges.covering(from, to, maxBytes).map((range) => ({ ...range }));
    await inOrder(
      ranges,
      parallelFetches(Math.max(...ranges.map((range) => range.bytes))),
      (range) => this.#fetch(range),
      (record, { first, last, place }) => {
        const name = `${this.#options.store.location}: segment ${place.seq}`;
        for (const entry of decodeEntries(record, Math.max(first, from), Math.min(last, to), name)) {
          bytes += entry.kind === "command" ? entry.data.length : 0;
          if (found.length > 0 && bytes > maxBytes) return;
          found.push(entry);
        }
      },
    );
    return found;
  }

  async term(index: LogIndex): Promise<Term> {
    await this.#own();
    await this.#drained();
    const { ranges } = this.#state;
    if (index < ranges.prev.index || index > ranges.lastIndex) {
      throw refusal(`the term at ${index} of a log of ${ranges.prev.index + 1} to ${ranges.lastIndex}`);
    }
    return ranges.term(index);
  }

  async compact(to: LogIndex): Promise<void> {
    this.#refuseIfClosed();
    if (!this.#isOwned) await this.#own();
    if (to <= this.#prevIndex) return;
    if (to > this.#lastIndex)
      throw refusal(`compaction up to ${to} of a log that ends at ${this.#lastIndex}`);
    this.#prevIndex = to;
    const resets = this.#resets;
    await this.#drained();
    // A reset that was called meanwhile has dropped all that, and perhaps gone back.
    if (resets !== this.#resets) return await this.#drained();
    const { ranges } = this.#state;
    if (to > ranges.prev.index) ranges.compact({ index: to, term: ranges.term(to) });
    await this.#saveCheckpoint(this.#state.identity);
  }

  /** Resolves if this process was still the owner at some moment after the call. One small read for all who ask. */
  async confirmOwner(): Promise<void> {
    await this.#own();
    await this.#journal.confirm();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await this.#drained().catch(() => {});
    this.#queue.fail(this.#closedError());
    await this.#journal.close();
    this.#state.forgetKept();
  }

  /** Takes its place among the calls at once; async only in what it answers. */
  async #call(write: Write): Promise<void> {
    this.#refuseIfClosed();
    // Only the first calls of a process wait here, and those that come before these have gone on.
    if (!this.#isOwned || this.#awaitingOwnership > 0) {
      this.#awaitingOwnership++;
      try {
        await this.#own();
      } finally {
        this.#awaitingOwnership--;
      }
    }
    const { reset, hardState, entries = [] } = write;
    this.#refuseMisfit(entries);
    if (reset === undefined && hardState === undefined && entries.length === 0) return await this.#drained();
    const durable = this.#queue.add(write);
    const last = entries.at(-1);
    if (last !== undefined) {
      this.#lastIndex = last.index;
      // The recovery is over when a log grows.
      this.#state.forgetKept();
    }
    if (reset !== undefined) {
      this.#prevIndex = reset.index;
      this.#lastIndex = reset.index;
      this.#resets++;
    }
    await durable;
  }

  /** Refuses what does not fit the log as it will be then. */
  #refuseMisfit(entries: readonly Entry[]): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    if (first <= this.#prevIndex || first > this.#lastIndex + 1) {
      throw refusal(`an append at ${first} to a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    entries.forEach(({ index }, i) => {
      if (index !== first + i) throw refusal(`entry ${index} stands where ${first + i} should`);
    });
  }

  #own(): Promise<void> {
    this.#refuseIfClosed();
    this.#owning ??= this.#takeOver();
    return this.#owning;
  }

  async #takeOver(): Promise<void> {
    const first = await this.#journal.own();
    const { ranges, hardState } = this.#state;
    this.#state.through = first - 1;
    const told = this.#told;
    if (told !== undefined && (told?.term !== hardState?.term || told?.vote !== hardState?.vote)) {
      const error = new EngineError("storageLocked", {
        detail: `${this.#options.store.location}: another process wrote to it while this one was starting; that one is fenced now, start this one again`,
      });
      this.#journal.fail(error);
      throw error;
    }
    this.#prevIndex = ranges.prev.index;
    this.#lastIndex = ranges.lastIndex;
    this.#isOwned = true;
    this.#queue.release();
  }

  /** Everything that was called before is durable. */
  async #drained(): Promise<void> {
    await (this.#queue.last ?? this.#written);
  }

  #write(batch: Batch): void {
    const { reset, hardState, entries } = batch;
    const record = encodeRecord({ reset, hardState, entries });
    const head = { reset, hardState, first: entries[0]?.index ?? 0, runs: termRuns(entries) };
    const written = this.#journal.append(record).then((place) => {
      this.#state.apply(head, place, record.length);
      batch.resolve();
      this.#trimSoon();
    });
    this.#written = written;
    written.catch((error: unknown) => {
      batch.reject(error);
      this.#queue.fail(error);
    });
  }

  /** Without a compaction slots become useless by resets, truncations and hard states. */
  #trimSoon(): void {
    const useless = this.#state.checkpoint(null).boundary - this.#journal.boundary;
    if (useless < TRIM_SLOTS || this.#trimming) return;
    this.#trimming = true;
    this.#saveCheckpoint(this.#state.identity)
      .catch(() => {})
      .finally(() => {
        this.#trimming = false;
      });
  }

  async #saveCheckpoint(identity: StoreIdentity | null): Promise<void> {
    let saved: Checkpoint = EMPTY_CHECKPOINT;
    await this.#journal.change(() => {
      // As of this change's turn.
      const { boundary, checkpoint } = this.#state.checkpoint(identity ?? this.#state.identity);
      saved = checkpoint;
      return { boundary, checkpoint: encodeCheckpoint(checkpoint) };
    });
    this.#state.checkpointed(saved);
  }

  async #fetch({ place }: IndexRange): Promise<Uint8Array> {
    const record = this.#state.takeKept(place.seq) ?? (await this.#journal.read(place));
    if (record !== null) return record;
    if (place.seq < this.#journal.boundary) throw refusal(`segment ${place.seq} was compacted meanwhile`);
    return await this.#journal.explain(`segment ${place.seq} is missing`);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): EngineError {
    return new EngineError("storageFailed", { detail: `${this.#options.store.location} has been closed` });
  }
}

function refusal(detail: string): EngineError {
  return new EngineError("invalidArgument", { detail });
}
