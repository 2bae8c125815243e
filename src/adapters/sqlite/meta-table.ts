import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { corrupt } from "./storage-error.ts";

export const META_SCHEMA = `
  CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    crc   INTEGER NOT NULL
  ) WITHOUT ROWID`;

/** `base` is the position just before the log's first entry. */
export type MetaName = "identity" | "hardState" | "base";

/** Named records, each with the CRC-32 of its name and value. */
export class MetaTable {
  readonly #path: string;
  readonly #select: StatementSync;
  readonly #upsert: StatementSync;

  constructor(db: DatabaseSync, path: string) {
    this.#path = path;
    this.#select = db.prepare("SELECT value, crc FROM meta WHERE name = ?");
    this.#upsert = db.prepare(
      "INSERT INTO meta (name, value, crc) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, crc = excluded.crc",
    );
  }

  get(name: MetaName): Uint8Array | null {
    const row = this.#select.get(name) as { value: Uint8Array; crc: number } | undefined;
    if (row === undefined) return null;
    if (checksum(name, row.value) !== row.crc)
      throw corrupt(this.#path, `${name} does not match its checksum`);
    return row.value;
  }

  put(name: MetaName, value: Uint8Array): void {
    this.#upsert.run(name, value, checksum(name, value));
  }
}

function checksum(name: MetaName, value: Uint8Array): number {
  return crc32(value, crc32(name));
}
