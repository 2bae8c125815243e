import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { decodeEntry, decodeHardState, encodeEntry, encodeHardState } from "../../core/node/codec/index.ts";
import type { Entry, HardState, LogIndex, Term } from "../../core/raft/index.ts";

/*
 * What one record of the journal says, in this order: the log begins anew behind a position, the hard state is now
 * this, the log from the first of these entries on is now these. Each is optional; together they are one step.
 *
 *     flags (1 byte)
 *     reset        index, term
 *     hard state   as everywhere
 *     entries      first index, count of runs, (term, entries of that term)*, then the entries
 *
 * The runs tell a reader where the entries belong without decoding them.
 */

const HAS_RESET = 1;
const HAS_HARD_STATE = 2;
const HAS_ENTRIES = 4;

export interface Position {
  readonly index: LogIndex;
  readonly term: Term;
}

/** So many entries of one term. */
export interface TermRun {
  readonly term: Term;
  readonly count: number;
}

export interface RecordHead {
  readonly reset: Position | null;
  readonly hardState: HardState | null;
  /** The index of the first entry; 0 when there are none. */
  readonly first: LogIndex;
  readonly runs: readonly TermRun[];
}

export interface RecordContent {
  readonly reset: Position | null;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
}

export function termRuns(entries: readonly Entry[]): TermRun[] {
  const runs: { term: Term; count: number }[] = [];
  for (const { term } of entries) {
    const last = runs.at(-1);
    if (last?.term === term) last.count++;
    else runs.push({ term, count: 1 });
  }
  return runs;
}

export function encodeRecord({ reset, hardState, entries }: RecordContent): Uint8Array {
  let capacity = 128;
  for (const entry of entries) capacity += 32 + (entry.kind === "command" ? entry.data.length : 0);
  const writer = new ByteWriter(capacity);
  writer.u8(
    (reset === null ? 0 : HAS_RESET) |
      (hardState === null ? 0 : HAS_HARD_STATE) |
      (entries.length === 0 ? 0 : HAS_ENTRIES),
  );
  if (reset !== null) writer.uint(reset.index).uint(reset.term);
  if (hardState !== null) encodeHardState(writer, hardState);
  if (entries.length > 0) {
    const runs = termRuns(entries);
    writer.uint(entries[0]!.index).uint(runs.length);
    for (const { term, count } of runs) writer.uint(term).uint(count);
    for (const entry of entries) encodeEntry(writer, entry);
  }
  return writer.view();
}

/** @param place names the record in error messages. */
export function decodeHead(record: Uint8Array, place: string): RecordHead {
  return readable(place, () => readHead(new ByteReader(record, place)));
}

/** The entries with these indexes, both inclusive; their data are views of the record. */
export function decodeEntries(record: Uint8Array, from: LogIndex, to: LogIndex, place: string): Entry[] {
  return readable(place, () => {
    const reader = new ByteReader(record, place);
    const { first } = readHead(reader);
    if (first === 0 || from < first) reader.fail(`entry ${from} is not there`);
    const entries: Entry[] = [];
    for (let index = first; index <= to; index++) {
      const entry = decodeEntry(reader);
      if (entry.index !== index) reader.fail(`entry ${entry.index} stands where ${index} should`);
      if (index >= from) entries.push(entry);
    }
    return entries;
  });
}

function readHead(reader: ByteReader): RecordHead {
  const flags = reader.u8();
  if (flags === 0 || flags > 7) reader.fail(`${flags} are no flags of a record`);
  const reset = (flags & HAS_RESET) === 0 ? null : { index: reader.uint(), term: reader.uint() };
  const hardState = (flags & HAS_HARD_STATE) === 0 ? null : decodeHardState(reader);
  if ((flags & HAS_ENTRIES) === 0) return { reset, hardState, first: 0, runs: [] };
  const first = reader.uint();
  if (first === 0) reader.fail("entries begin at index 0");
  const runs: TermRun[] = [];
  const runCount = reader.count(2);
  for (let i = 0; i < runCount; i++) runs.push({ term: reader.uint(), count: reader.count(1) });
  if (runs.length === 0) reader.fail("entries without a term");
  return { reset, hardState, first, runs };
}

/** Bytes that match their checksum and still make no sense. */
function readable<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof EngineError && error.code === "malformed") {
      throw new EngineError("storageCorrupt", { detail: error.detail ?? place, cause: error });
    }
    throw error;
  }
}
