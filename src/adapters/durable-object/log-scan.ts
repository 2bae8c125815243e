import type { LogIndex } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import {
  decodeEntries,
  decodeRecordHead,
  type LogState,
  type RecordHead,
  type TermRun,
} from "./log-record.ts";
import { Slots } from "./slots.ts";
import { corrupt, decoding } from "./storage-error.ts";

/** A record that is needed, and what of its entries belongs to the log. */
export interface LiveRecord {
  readonly slots: readonly number[];
  readonly sequence: number;
  readonly first: LogIndex;
  /** Entries that were written; later records may have replaced the last of them. */
  readonly count: number;
  /** The last one that belongs to the log. */
  last: LogIndex;
  readonly runs: readonly TermRun[];
}

/** What the table holds. */
export interface ScannedLog {
  readonly state: LogState;
  /** Of the newest record. */
  readonly sequence: number;
  readonly lastIndex: LogIndex;
  /** Records with entries of the log, in order. */
  readonly records: LiveRecord[];
  /** Those of the newest record if it has no entries: it is needed for what its head says. */
  readonly stateSlots: readonly number[];
  readonly slots: Slots;
}

/** A record's head, and the slots of its parts that were found. */
interface FoundRecord {
  readonly head: RecordHead;
  readonly slots: Map<number, number>;
}

/**
 * Finds out what the log is. Heads of all rows are read, those of free slots included, and bodies only where they are
 * needed. Throws `storageCorrupt` if anything that is needed is missing or is not what was written.
 */
export function scanLog(db: Database): ScannedLog {
  const { found, count } = readHeads(db);
  const newest = found[0];
  if (newest === undefined) {
    const state: LogState = { hardState: null, prevIndex: 0, prevTerm: 0 };
    const slots = new Slots(count, () => false);
    return { state, sequence: 0, lastIndex: 0, records: [], stateSlots: [], slots };
  }
  const { head } = newest;
  const lastIndex = head.first + head.count - 1;
  if (lastIndex < head.prevIndex) {
    throw corrupt(`the log ends at ${lastIndex}, and begins after ${head.prevIndex}`);
  }
  const records = findRecords(db, found, head.prevIndex, lastIndex);
  checkTerms(records, head);
  const stateSlots = head.count === 0 ? [...newest.slots.values()] : [];
  const used = new Set([...stateSlots, ...records.flatMap(({ slots }) => slots)]);
  return {
    state: { hardState: head.hardState, prevIndex: head.prevIndex, prevTerm: head.prevTerm },
    sequence: head.sequence,
    lastIndex,
    records,
    stateSlots,
    slots: new Slots(count, (slot) => used.has(slot)),
  };
}

/** All records of which there is something, newest first. */
function readHeads(db: Database): { found: FoundRecord[]; count: number } {
  const bySequence = new Map<number, FoundRecord>();
  let count = 0;
  let highest = 0;
  for (const { slot, head: row } of db.heads("d_engine_log")) {
    const head = decoding(() => decodeRecordHead(row.fields));
    let record = bySequence.get(head.sequence);
    if (record === undefined) {
      record = { head, slots: new Map() };
      bySequence.set(head.sequence, record);
    } else if (record.slots.has(head.part) || record.head.parts !== head.parts) {
      throw corrupt(`${row.name} repeats record ${head.sequence}`);
    }
    record.slots.set(head.part, slot);
    count++;
    highest = Math.max(highest, slot);
  }
  // Slots are used again and never deleted.
  if (highest !== count) throw corrupt(`of ${highest} rows of the log there are ${count}`);
  const found = [...bySequence.values()].toSorted((a, b) => b.head.sequence - a.head.sequence);
  return { found, count };
}

/** False for what is left of a large record after some of its slots were used again. */
function isWhole({ head, slots }: FoundRecord): boolean {
  return slots.size === head.parts;
}

/**
 * Walks back from the newest record. The next older one that reaches below what is covered must reach up to it:
 * between the two the log had no other writer.
 */
function findRecords(
  db: Database,
  found: readonly FoundRecord[],
  prevIndex: LogIndex,
  lastIndex: LogIndex,
): LiveRecord[] {
  const records: LiveRecord[] = [];
  /** Everything from here on has been found. */
  let covered = lastIndex + 1;
  for (const record of found) {
    if (covered - 1 <= prevIndex) break;
    const { first, count } = record.head;
    if (first >= covered || !isWhole(record)) continue;
    if (first + count < covered) break;
    records.push(verify(db, record, covered - 1));
    covered = first;
  }
  if (covered - 1 > prevIndex) throw corrupt(`entry ${covered - 1} of the log is missing`);
  return records.reverse();
}

/** Reads a record whole. */
function verify(db: Database, { head, slots }: FoundRecord, last: LogIndex): LiveRecord {
  const { sequence, first, count, parts } = head;
  const inOrder = Array.from({ length: parts }, (_, part) => slots.get(part));
  if (!inOrder.every((slot) => slot !== undefined)) throw corrupt(`record ${sequence} has no such parts`);
  const record = { slots: inOrder, sequence, first, count, last };
  const body = readRecord(db, record);
  const runs: TermRun[] = [];
  decoding(() => {
    for (const { entry } of decodeEntries(nameOf(record), record, body)) {
      const { index, term } = entry;
      if (index <= last && runs.at(-1)?.term !== term) runs.push({ from: index, term });
    }
  });
  return { ...record, runs };
}

/** Terms never fall; the first record may begin before the log does. */
function checkTerms(records: readonly LiveRecord[], { prevIndex, prevTerm }: LogState): void {
  let previous = 0;
  for (const { from, term } of records.flatMap(({ runs }) => runs)) {
    const least = from > prevIndex ? Math.max(previous, prevTerm) : previous;
    if (term < least) throw corrupt(`entry ${from} has term ${term} after term ${least}`);
    previous = term;
  }
}

/** The body of a record, put together and checked. */
export function readRecord(db: Database, record: Pick<LiveRecord, "slots" | "sequence">): Uint8Array {
  const bodies = record.slots.map((slot, part) => {
    const row = db.row("d_engine_log", slot);
    if (row === null) throw corrupt(`row ${slot} of the log is missing`);
    const head = decoding(() => decodeRecordHead(row.head.fields));
    if (head.sequence !== record.sequence || head.part !== part) {
      throw corrupt(`${row.head.name} holds record ${head.sequence}, not ${record.sequence}`);
    }
    return row.body;
  });
  if (bodies.length === 1) return bodies[0]!;
  const whole = new Uint8Array(bodies.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const body of bodies) {
    whole.set(body, offset);
    offset += body.length;
  }
  return whole;
}

export function nameOf({ sequence }: Pick<LiveRecord, "sequence">): string {
  return `record ${sequence} of the log`;
}
