import type { ObjectSite } from "./storage-site.ts";

export interface StoredRow {
  readonly slot: number;
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

type Table = "d_engine_log" | "d_engine_meta" | "d_engine_snapshots";

/** What a table of the adapter holds, by slot. */
export function rowsOf(site: ObjectSite, table: Table): Promise<StoredRow[]> {
  return site.run(({ sql }) =>
    [...sql.exec(`SELECT slot, head, body FROM ${table} ORDER BY slot`)].map(({ slot, head, body }) => ({
      slot: Number(slot),
      head: new Uint8Array(head as ArrayBuffer),
      body: new Uint8Array(body as ArrayBuffer),
    })),
  );
}

/** Writes a row as it is, behind the store's back. */
export async function putRow(site: ObjectSite, table: Table, { slot, head, body }: StoredRow): Promise<void> {
  await site.run(({ sql }) => {
    sql.exec(`INSERT OR REPLACE INTO ${table} (slot, head, body) VALUES (?, ?, ?)`, slot, head, body);
  });
}

export async function deleteRow(site: ObjectSite, table: Table, slot: number): Promise<void> {
  await site.run(({ sql }) => {
    sql.exec(`DELETE FROM ${table} WHERE slot = ?`, slot);
  });
}

/** The same bytes with some of them changed. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice();
  changed[at]! ^= 0x55;
  return changed;
}
