import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { decodeEntry, decodeHardState, encodeEntry, encodeHardState } from "../../core/node/codec/index.ts";
import type { Entry, HardState, LogIndex, Term } from "../../core/raft/index.ts";
import { encodeRow, MAX_BODY_BYTES, type Row } from "./row-codec.ts";
import { corrupt } from "./storage-error.ts";

/*
 * The log is a journal of records. Each write appends one: the entries of one Ready in its body, and in its head all
 * that there is to know beside them, so that whatever changes costs the one row that is written anyway. The newest
 * record tells the hard state, where the log begins, and where it ends: at its own last entry. A record's entries
 * replace everything that older records have from its first index on, and that is all that truncation takes.
 *
 *     record   sequence number, part, parts, hard state or none, prevIndex, prevTerm, first index, count of entries
 *
 * A record is one row, unless it is a single entry too large for that, which is cut into parts.
 */

/** What the newest record says of the store. */
export interface LogState {
  readonly hardState: HardState | null;
  /** The position just before the log's first entry. */
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
}

export interface RecordHead extends LogState {
  /** Counts the records ever written. */
  readonly sequence: number;
  readonly part: number;
  readonly parts: number;
  /** Index of the first entry; without entries, the one after the log's last. */
  readonly first: LogIndex;
  readonly count: number;
}

/** Entries from `from` on have this term. */
export interface TermRun {
  readonly from: LogIndex;
  readonly term: Term;
}

/** Entries that go into one record. */
export interface PackedEntries {
  readonly first: LogIndex;
  readonly count: number;
  readonly body: Uint8Array;
  readonly runs: readonly TermRun[];
}

/** Packs contiguous entries, as many to a record as a row can hold, and at least one. */
export function packEntries(entries: readonly Entry[]): PackedEntries[] {
  const packed: PackedEntries[] = [];
  let capacity = 64;
  for (const entry of entries) capacity += 32 + (entry.kind === "command" ? entry.data.length : 0);
  const writer = new ByteWriter(Math.min(capacity, MAX_BODY_BYTES));
  let first = entries[0]?.index ?? 0;
  let runs: TermRun[] = [];
  const cut = (next: LogIndex, end: number): void => {
    packed.push({ first, count: next - first, body: writer.view().slice(0, end), runs });
    first = next;
    runs = [];
  };
  for (const entry of entries) {
    const start = writer.length;
    encodeEntry(writer, entry);
    if (writer.length > MAX_BODY_BYTES && start > 0) {
      cut(entry.index, start);
      const rest = writer.view().slice(start);
      writer.clear().raw(rest);
    }
    if (runs.at(-1)?.term !== entry.term) runs.push({ from: entry.index, term: entry.term });
  }
  const last = entries.at(-1);
  if (last !== undefined) cut(last.index + 1, writer.length);
  return packed;
}

/** The rows of one record. */
export function encodeRecord(
  slots: readonly number[],
  sequence: number,
  { hardState, prevIndex, prevTerm }: LogState,
  { first, count, body }: PackedEntries,
): Row[] {
  return slots.map((slot, part) =>
    encodeRow(slot, body.subarray(part * MAX_BODY_BYTES, (part + 1) * MAX_BODY_BYTES), (writer) => {
      writer
        .uint(sequence)
        .uint(part)
        .uint(slots.length)
        .bool(hardState !== null);
      if (hardState !== null) encodeHardState(writer, hardState);
      writer.uint(prevIndex).uint(prevTerm).uint(first).uint(count);
    }),
  );
}

/** How many rows a record with this body takes. */
export function partsOf(body: Uint8Array): number {
  return Math.max(1, Math.ceil(body.length / MAX_BODY_BYTES));
}

export function decodeRecordHead(fields: ByteReader): RecordHead {
  const sequence = fields.uint();
  const part = fields.uint();
  const parts = fields.uint();
  const hardState = fields.bool() ? decodeHardState(fields) : null;
  const prevIndex = fields.uint();
  const prevTerm = fields.uint();
  const first = fields.uint();
  const count = fields.uint();
  fields.end();
  return { sequence, part, parts, hardState, prevIndex, prevTerm, first, count };
}

/** One of a record's entries, and how many bytes it takes there. */
export interface StoredEntry {
  readonly entry: Entry;
  readonly bytes: number;
}

/** The entries of a record; their data are views of `body`. */
export function* decodeEntries(
  name: string,
  { first, count }: { readonly first: LogIndex; readonly count: number },
  body: Uint8Array,
): Generator<StoredEntry, void, undefined> {
  const reader = new ByteReader(body, name);
  for (let index = first; index < first + count; index++) {
    const start = reader.offset;
    const entry = decodeEntry(reader);
    if (entry.index !== index) {
      throw corrupt(`${name} has entry ${entry.index} where ${index} should be`);
    }
    yield { entry, bytes: reader.offset - start };
  }
  reader.end();
}
