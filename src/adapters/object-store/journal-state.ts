import { EngineError } from "../../core/errors/index.ts";
import type { StoreIdentity } from "../../core/node/index.ts";
import type { HardState } from "../../core/raft/index.ts";
import {
  type Checkpoint,
  decodeCheckpoint,
  describeIdentity,
  EMPTY_CHECKPOINT,
  sameIdentity,
} from "./checkpoint.ts";
import type { JournalReader, Place } from "./journal/walk.ts";
import { LogRanges } from "./log-ranges.ts";
import { decodeHead, type RecordHead } from "./record.ts";

/**
 * Records of the opening that are kept for the reads of the recovery, in bytes: as much as a node writes before it takes
 * a snapshot, by its defaults. What is behind that is read twice.
 */
const MAX_KEPT_BYTES = 64 << 20;

/** What the durable records amount to. */
export class JournalState implements JournalReader {
  readonly #location: string;
  readonly #expected: StoreIdentity | null;
  #checkpoint: Checkpoint = EMPTY_CHECKPOINT;
  ranges: LogRanges = new LogRanges(EMPTY_CHECKPOINT.compacted);
  hardState: HardState | null = null;
  /** The end of the last record. */
  through = 0;
  readonly #kept: Map<number, Uint8Array> = new Map();
  #keptBytes = 0;

  /** @param expected whose journal it must be; null: anybody's. */
  constructor(location: string, expected: StoreIdentity | null) {
    this.#location = location;
    this.#expected = expected;
  }

  get identity(): StoreIdentity | null {
    return this.#checkpoint.identity;
  }

  begin(bytes: Uint8Array): void {
    const checkpoint = decodeCheckpoint(bytes, `${this.#location}: the checkpoint`);
    this.requireIdentity(checkpoint.identity, this.#expected);
    this.#checkpoint = checkpoint;
    this.ranges = new LogRanges(checkpoint.compacted);
    this.hardState = checkpoint.hardState;
    this.through = 0;
    this.forgetKept();
  }

  record(record: Uint8Array, place: Place): void {
    const head = decodeHead(record, `${this.#location}: segment ${place.seq}`);
    this.apply(head, place, record.length);
    // What was compacted later than this was written does not come back.
    if (this.through <= this.#checkpoint.through) this.ranges.compact(this.#checkpoint.compacted);
    if (head.first > 0 && this.#keptBytes + record.length <= MAX_KEPT_BYTES) {
      this.#kept.set(place.seq, record);
      this.#keptBytes += record.length;
    }
  }

  /** A record is durable. */
  apply(head: RecordHead, place: Place, bytes: number): void {
    if (head.reset !== null) this.ranges.reset(head.reset);
    if (head.hardState !== null) this.hardState = head.hardState;
    if (head.first > 0) {
      if (head.first > this.ranges.lastIndex + 1) {
        throw new EngineError("storageCorrupt", {
          detail: `${this.#location}: segment ${place.seq} begins at ${head.first}, but the log before it ends at ${this.ranges.lastIndex}`,
        });
      }
      this.ranges.put(head, place, bytes);
    }
    this.through = place.seq + place.slots - 1;
  }

  /** What a manifest is to say now, and the oldest slot that is still needed then. */
  checkpoint(identity: StoreIdentity | null): { readonly boundary: number; readonly checkpoint: Checkpoint } {
    const { ranges, hardState, through } = this;
    return {
      boundary: ranges.oldest?.seq ?? through + 1,
      checkpoint: { identity, hardState, compacted: ranges.prev, through },
    };
  }

  /** That checkpoint is durable. */
  checkpointed(checkpoint: Checkpoint): void {
    this.#checkpoint = checkpoint;
  }

  /** A record that was read at the opening; it is handed out once. */
  takeKept(seq: number): Uint8Array | null {
    const record = this.#kept.get(seq) ?? null;
    if (record !== null) this.#kept.delete(seq);
    return record;
  }

  forgetKept(): void {
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  /** Refuses (`storageForeign`) when both are known and differ. */
  requireIdentity(stored: StoreIdentity | null, wanted: StoreIdentity | null): void {
    if (stored === null || wanted === null || sameIdentity(stored, wanted)) return;
    throw new EngineError("storageForeign", {
      detail: `${this.#location} holds ${describeIdentity(stored)}, this is ${describeIdentity(wanted)}; choose a prefix of its own for each node`,
    });
  }
}
