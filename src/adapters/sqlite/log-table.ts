import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { Entry, LogIndex, Term } from "../../core/raft/index.ts";
import { decodeEntry } from "../../core/node/codec/index.ts";
import type { LogBounds } from "../../core/node/index.ts";
import type { MetaTable } from "./meta-table.ts";
import { unpackRows } from "./packed-entries.ts";
import { corrupt } from "./storage-error.ts";

/*
 * One row for each entry. Rows of many entries would save some work on insertion, and would have to be taken apart
 * when a suffix is replaced, when the log is compacted and when one entry is read; insertion costs about 2 µs an
 * entry, while a commit costs 200 times that.
 */
export const LOG_SCHEMA = `
  CREATE TABLE log (
    idx   INTEGER PRIMARY KEY,
    crc   INTEGER NOT NULL,
    entry BLOB NOT NULL
  )`;

/** What one step of trimming may delete, so that no commit waits long behind it. */
const TRIM_ROWS = 1024;
const TRIM_BYTES = 1 << 20;

interface Row {
  readonly idx: number;
  readonly crc: number;
  readonly entry: Uint8Array;
}

/**
 * The log's rows. `base` in the meta table says where it begins: rows up to there are waste that {@link trimStep}
 * deletes by and by, so that compaction itself is one small write. The caller wraps writes in transactions.
 */
export class LogTable {
  readonly #path: string;
  readonly #meta: MetaTable;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #deleteFrom: StatementSync;
  readonly #deleteUpTo: StatementSync;
  readonly #deleteAll: StatementSync;
  readonly #selectWaste: StatementSync;
  #prevIndex: LogIndex = 0;
  #prevTerm: Term = 0;
  #lastIndex: LogIndex = 0;

  constructor(db: DatabaseSync, path: string, meta: MetaTable) {
    this.#path = path;
    this.#meta = meta;
    this.#insert = db.prepare("INSERT INTO log (idx, crc, entry) VALUES (?, ?, ?)");
    this.#select = db.prepare("SELECT idx, crc, entry FROM log WHERE idx BETWEEN ? AND ? ORDER BY idx");
    this.#deleteFrom = db.prepare("DELETE FROM log WHERE idx >= ?");
    this.#deleteUpTo = db.prepare("DELETE FROM log WHERE idx <= ?");
    this.#deleteAll = db.prepare("DELETE FROM log");
    this.#selectWaste = db.prepare(
      `SELECT idx, length(entry) AS size FROM log WHERE idx <= ? ORDER BY idx LIMIT ${TRIM_ROWS}`,
    );
  }

  /** Reads every row: each must be there, match its checksum, and say the index under which it stands. */
  verify(): LogBounds {
    const base = this.#meta.get("base");
    if (base === null) throw corrupt(this.#path, "it does not say where the log begins");
    const reader = new ByteReader(base, "base of the log");
    this.#prevIndex = reader.uint();
    this.#prevTerm = reader.uint();
    reader.end();
    this.#lastIndex = this.#prevIndex;
    let lastTerm = this.#prevTerm;
    for (const row of this.#rows(this.#prevIndex + 1, Number.MAX_SAFE_INTEGER)) {
      const { index, term } = this.#decode(row, this.#lastIndex + 1);
      if (term < lastTerm)
        throw corrupt(this.#path, `entry ${index} has term ${term} after term ${lastTerm}`);
      this.#lastIndex = index;
      lastTerm = term;
    }
    return this.bounds(lastTerm);
  }

  bounds(lastTerm: Term): LogBounds {
    return {
      firstIndex: this.#prevIndex + 1,
      lastIndex: this.#lastIndex,
      prevTerm: this.#prevTerm,
      lastTerm,
    };
  }

  /** Refuses an append that would leave a gap or reach into what was compacted. */
  checkAppend(firstIndex: LogIndex): void {
    if (firstIndex > this.#prevIndex && firstIndex <= this.#lastIndex + 1) return;
    refuse(`an append at ${firstIndex} to a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
  }

  append(firstIndex: LogIndex, packed: Uint8Array): void {
    if (firstIndex <= this.#lastIndex) this.#deleteFrom.run(firstIndex);
    let index = firstIndex;
    for (const entry of unpackRows(packed)) this.#insert.run(index++, crc32(entry), entry);
    this.#lastIndex = index - 1;
  }

  /** Encoded entries, cut at `maxBytes` but never to less than one. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Uint8Array[] {
    if (from <= this.#prevIndex || from > to || to > this.#lastIndex) {
      refuse(`a read of ${from} to ${to} from a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    const found: Uint8Array[] = [];
    let bytes = 0;
    let expected = from;
    for (const row of this.#rows(from, to)) {
      bytes += row.entry.length;
      if (found.length > 0 && bytes > maxBytes) return found;
      this.#decode(row, expected++);
      found.push(row.entry);
    }
    if (expected !== to + 1) throw corrupt(this.#path, `entry ${expected} is missing`);
    return found;
  }

  term(index: LogIndex): Term {
    if (index === this.#prevIndex) return this.#prevTerm;
    if (index < this.#prevIndex || index > this.#lastIndex) {
      refuse(`the term at ${index} of a log of ${this.#prevIndex + 1} to ${this.#lastIndex}`);
    }
    const row = this.#select.get(index, index) as unknown as Row | undefined;
    if (row === undefined) throw corrupt(this.#path, `entry ${index} is missing`);
    return this.#decode(row, index).term;
  }

  /** Says what `compact` would do: false when that has been done already. */
  checkCompact(to: LogIndex): boolean {
    if (to > this.#lastIndex) refuse(`compaction up to ${to} of a log that ends at ${this.#lastIndex}`);
    return to > this.#prevIndex;
  }

  compact(to: LogIndex): void {
    this.#setBase(to, this.term(to));
  }

  reset(index: LogIndex, term: Term): void {
    this.#deleteAll.run();
    this.#setBase(index, term);
    this.#lastIndex = index;
  }

  /** Deletes some of what compaction left behind; false once there is nothing. */
  trimStep(): boolean {
    let upTo = -1;
    let bytes = 0;
    for (const row of this.#selectWaste.iterate(this.#prevIndex)) {
      const { idx, size } = row as { idx: number; size: number };
      upTo = idx;
      bytes += size;
      if (bytes >= TRIM_BYTES) break;
    }
    if (upTo < 0) return false;
    this.#deleteUpTo.run(upTo);
    return true;
  }

  #setBase(index: LogIndex, term: Term): void {
    this.#meta.put("base", encodeBase(index, term));
    this.#prevIndex = index;
    this.#prevTerm = term;
  }

  *#rows(from: LogIndex, to: LogIndex): Generator<Row, void, undefined> {
    for (const row of this.#select.iterate(from, to)) yield row as unknown as Row;
  }

  #decode({ idx, crc, entry: bytes }: Row, expected: LogIndex): Entry {
    if (idx !== expected) throw corrupt(this.#path, `entry ${expected} is missing`);
    if (!(bytes instanceof Uint8Array) || crc32(bytes) !== crc) {
      throw corrupt(this.#path, `entry ${idx} does not match its checksum`);
    }
    const entry = decodeEntry(new ByteReader(bytes, `${this.#path}: entry ${idx}`));
    if (entry.index !== idx) throw corrupt(this.#path, `entry ${entry.index} stands where ${idx} should`);
    return entry;
  }
}

export function encodeBase(index: LogIndex, term: Term): Uint8Array {
  return new ByteWriter(16).uint(index).uint(term).finish();
}

function refuse(detail: string): never {
  throw new EngineError("invalidArgument", { detail });
}
