import { EngineError } from "../../core/errors/index.ts";
import type { LogBounds } from "../../core/node/index.ts";
import type { Entry, HardState, LogIndex, Term } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import {
  decodeEntries,
  encodeRecord,
  type LogState,
  packEntries,
  type PackedEntries,
  partsOf,
} from "./log-record.ts";
import { type LiveRecord, nameOf, readRecord, scanLog } from "./log-scan.ts";
import { EMPTY } from "./row-codec.ts";
import type { Slots } from "./slots.ts";
import { decoding } from "./storage-error.ts";

/**
 * The log and the hard state, as the records that log-record.ts describes. Which of them are needed is known here;
 * the slots of the others are free, and the next records go there. A write is one row, and takes effect at once.
 */
export class LogRing {
  readonly #db: Database;
  #state: LogState;
  #sequence: number;
  #lastIndex: LogIndex;
  readonly #records: LiveRecord[];
  /** Of the newest record, if that has no entries. */
  #stateSlots: readonly number[];
  readonly #slots: Slots;

  /** Reads and verifies the whole log. */
  constructor(db: Database) {
    const found = scanLog(db);
    this.#db = db;
    this.#state = found.state;
    this.#sequence = found.sequence;
    this.#lastIndex = found.lastIndex;
    this.#records = found.records;
    this.#stateSlots = found.stateSlots;
    this.#slots = found.slots;
  }

  get hardState(): HardState | null {
    return this.#state.hardState;
  }

  bounds(): LogBounds {
    const { prevIndex, prevTerm } = this.#state;
    const lastTerm = this.#records.at(-1)?.runs.findLast(({ from }) => from <= this.#lastIndex)?.term;
    return {
      firstIndex: prevIndex + 1,
      lastIndex: this.#lastIndex,
      prevTerm,
      lastTerm: lastTerm ?? prevTerm,
    };
  }

  /** Hard state and entries in one step; null: the hard state stays as it is. */
  write(hardState: HardState | null, entries: readonly Entry[]): void {
    const first = entries[0]?.index ?? this.#lastIndex + 1;
    if (first <= this.#state.prevIndex || first > this.#lastIndex + 1) {
      refuse(`an append at ${first} to a log of ${this.#state.prevIndex + 1} to ${this.#lastIndex}`);
    }
    entries.forEach(({ index }, i) => {
      if (index !== first + i) refuse(`entry ${index} stands where ${first + i} should`);
    });
    const state = hardState === null ? this.#state : { ...this.#state, hardState };
    if (entries.length > 0) this.#put(state, packEntries(entries));
    else if (hardState !== null) this.#put(state, [this.#nothing()]);
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    if (from <= this.#state.prevIndex || from > to || to > this.#lastIndex) {
      refuse(`a read of ${from} to ${to} from a log of ${this.#state.prevIndex + 1} to ${this.#lastIndex}`);
    }
    const found: Entry[] = [];
    let bytes = 0;
    for (let at = this.#recordOf(from); from + found.length <= to; at++) {
      const record = this.#records[at]!;
      const body = readRecord(this.#db, record);
      for (const stored of decoding(() => [...decodeEntries(nameOf(record), record, body)])) {
        const { index } = stored.entry;
        if (index < from) continue;
        if (index > Math.min(to, record.last)) break;
        bytes += stored.bytes;
        if (found.length > 0 && bytes > maxBytes) return found;
        found.push(stored.entry);
      }
    }
    return found;
  }

  term(index: LogIndex): Term {
    const { prevIndex, prevTerm } = this.#state;
    if (index === prevIndex) return prevTerm;
    if (index < prevIndex || index > this.#lastIndex) {
      refuse(`the term at ${index} of a log of ${prevIndex + 1} to ${this.#lastIndex}`);
    }
    return this.#records[this.#recordOf(index)]!.runs.findLast(({ from }) => from <= index)!.term;
  }

  /** One row, however much it drops. */
  compact(to: LogIndex): void {
    if (to <= this.#state.prevIndex) return;
    if (to > this.#lastIndex) refuse(`compaction up to ${to} of a log that ends at ${this.#lastIndex}`);
    this.#put({ ...this.#state, prevIndex: to, prevTerm: this.term(to) }, [this.#nothing()]);
  }

  reset(index: LogIndex, term: Term): void {
    const nothing = { first: index + 1, count: 0, body: EMPTY, runs: [] };
    this.#put({ ...this.#state, prevIndex: index, prevTerm: term }, [nothing]);
  }

  /** Entries for a record that only says what the state is. */
  #nothing(): PackedEntries {
    return { first: this.#lastIndex + 1, count: 0, body: EMPTY, runs: [] };
  }

  #put(state: LogState, packed: readonly PackedEntries[]): void {
    const records = packed.map(({ first, count, body, runs }): LiveRecord => {
      const slots = Array.from({ length: partsOf(body) }, () => this.#slots.take());
      return { slots, sequence: ++this.#sequence, first, count, last: first + count - 1, runs };
    });
    const rows = records.flatMap(({ slots, sequence }, i) =>
      encodeRecord(slots, sequence, state, packed[i]!),
    );
    // A failure leaves what is in memory behind, and the store unusable.
    this.#db.put("d_engine_log", rows);
    this.#state = state;
    this.#lastIndex = records.at(-1)!.last;
    this.#slots.release(this.#stateSlots);
    this.#stateSlots = [];
    this.#forget(records[0]!.first, state.prevIndex);
    for (const record of records) {
      if (record.count > 0) this.#records.push(record);
      else this.#stateSlots = record.slots;
    }
  }

  /** Frees what holds nothing but entries from `replaced` on, and up to `dropped`. */
  #forget(replaced: LogIndex, dropped: LogIndex): void {
    for (let newest = this.#records.at(-1); newest !== undefined; newest = this.#records.at(-1)) {
      newest.last = Math.min(newest.last, replaced - 1);
      if (newest.last >= newest.first) break;
      this.#slots.release(newest.slots);
      this.#records.pop();
    }
    let count = 0;
    while (count < this.#records.length && this.#records[count]!.last <= dropped) count++;
    for (const { slots } of this.#records.splice(0, count)) this.#slots.release(slots);
  }

  /** Where the record is that has this entry. */
  #recordOf(index: LogIndex): number {
    let low = 0;
    let high = this.#records.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#records[middle]!.first <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function refuse(detail: string): never {
  throw new EngineError("invalidArgument", { detail });
}
