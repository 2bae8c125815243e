import { EngineError } from "../../core/errors/index.ts";
import type { Cancel, Clock } from "../../core/node/index.ts";
import type { Entry, HardState } from "../../core/raft/index.ts";
import type { Position } from "./record.ts";

/** What one call wants to have written. */
export interface Write {
  readonly reset?: Position;
  readonly hardState?: HardState;
  readonly entries?: readonly Entry[];
}

/** Several calls' writes, to become durable in one record. */
export interface Batch {
  reset: Position | null;
  hardState: HardState | null;
  entries: Entry[];
  bytes: number;
  readonly durable: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface RecordQueueOptions {
  readonly clock: Clock;
  /** Between the beginnings of two writes pass at least so many milliseconds, unless a batch is full. */
  readonly lingerMs: number;
  /** A batch that has so many bytes waits for no more. */
  readonly maxBatchBytes: number;
  /** Whether a batch would be under way at once. */
  readonly hasRoom: () => boolean;
  readonly write: (batch: Batch) => void;
}

/** Bytes that may wait: far above what a node's own limits let through. */
const MAX_QUEUED_BYTES = 256 << 20;
/** What a write takes beside its entries' data, roughly. */
const WRITE_BYTES = 64;
const ENTRY_BYTES = 32;

/** Gathers writes into batches: those that come in one turn, those that come while others are under way, and a linger. */
export class RecordQueue {
  readonly #options: RecordQueueOptions;
  readonly #batches: Batch[] = [];
  #queuedBytes = 0;
  #lastWriteMs = Number.NEGATIVE_INFINITY;
  #flushScheduled = false;
  #cancelTimer: Cancel | null = null;
  #held = true;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: RecordQueueOptions) {
    this.#options = options;
  }

  /** Resolves when the write is durable. Throws, and has done nothing, when too much waits or nothing is written any more. */
  add(write: Write): Promise<void> {
    if (this.#failure !== null) throw this.#failure.error;
    const bytes = sizeOf(write);
    if (this.#queuedBytes + bytes > MAX_QUEUED_BYTES) {
      throw new EngineError("tooManyRequests", { detail: "too many bytes wait for the store" });
    }
    const last = this.#batches.at(-1);
    const joins = last !== undefined && last.bytes + bytes <= this.#options.maxBatchBytes;
    const batch = joins ? last : this.#open();
    merge(batch, write);
    batch.bytes += bytes;
    this.#queuedBytes += bytes;
    this.#scheduleFlush();
    return batch.durable;
  }

  /** The last batch's promise: everything that was added is durable. Null: nothing waits. */
  get last(): Promise<void> | null {
    return this.#batches.at(-1)?.durable ?? null;
  }

  /** Lets batches go. Until the first call they are held. */
  release(): void {
    this.#held = false;
    this.flush();
  }

  /** Lets go what may go now. */
  flush(): void {
    if (this.#held) return;
    while (this.#batches.length > 0 && this.#options.hasRoom()) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#cancelTimer ??= this.#options.clock.setTimer(waitMs, () => {
          this.#cancelTimer = null;
          this.flush();
        });
        return;
      }
      const batch = this.#batches.shift()!;
      this.#queuedBytes -= batch.bytes;
      this.#lastWriteMs = this.#options.clock.nowMs();
      this.#options.write(batch);
    }
  }

  /** Nothing more is written. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (const batch of this.#batches.splice(0)) batch.reject(error);
    this.#queuedBytes = 0;
  }

  #open(): Batch {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Every caller has a promise of its own that fails with it.
    promise.catch(() => {});
    const batch = {
      reset: null,
      hardState: null,
      entries: [],
      bytes: 0,
      durable: promise,
      resolve,
      reject,
    };
    this.#batches.push(batch);
    return batch;
  }

  /** An idle store writes at once; a busy one at a measured pace, and never waits with a full batch. */
  #waitMs(): number {
    const { lingerMs, clock, maxBatchBytes } = this.#options;
    if (this.#batches.length > 1 || this.#batches[0]!.bytes >= maxBatchBytes) return 0;
    return this.#lastWriteMs + lingerMs - clock.nowMs();
  }

  /** After the turn, so that what comes in one turn goes together. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }
}

/** One record has one effect: a later write replaces what it makes void in an earlier one. */
function merge(batch: Batch, { reset, hardState, entries = [] }: Write): void {
  if (reset !== undefined) {
    batch.reset = reset;
    batch.entries = [];
  }
  if (hardState !== undefined) batch.hardState = hardState;
  const first = entries[0];
  if (first === undefined) return;
  const start = batch.entries[0]?.index ?? first.index;
  batch.entries.length = Math.max(0, first.index - start);
  for (const entry of entries) batch.entries.push(entry);
}

function sizeOf({ entries = [] }: Write): number {
  let bytes = WRITE_BYTES;
  for (const entry of entries) {
    bytes += ENTRY_BYTES;
    if (entry.kind === "command") bytes += entry.data.length;
    if (entry.kind === "confChange") bytes += entry.change.context.length + 16 * entry.change.steps.length;
  }
  return bytes;
}
