import { crc32 } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import { CHUNK_BYTES } from "./snapshot-record.ts";
import type { SnapshotTable } from "./snapshot-table.ts";

/** Collects one chunk at a time. Each is durable before the next is asked for, so that none pile up in memory. */
export class ChunkedSnapshotWriter implements SnapshotWriter {
  readonly #db: Database;
  readonly #table: SnapshotTable;
  readonly #meta: SnapshotMeta;
  readonly #context: Uint8Array;
  readonly #id: number;
  readonly #slots: number[] = [];
  readonly #chunk: Uint8Array = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #size = 0;
  #checksum = 0;
  #finished = false;

  constructor(db: Database, table: SnapshotTable, meta: SnapshotMeta, context: Uint8Array) {
    this.#db = db;
    this.#table = table;
    this.#meta = meta;
    this.#context = context;
    this.#id = table.newId();
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#requireUnfinished();
    const before = this.#slots.length;
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, CHUNK_BYTES - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === CHUNK_BYTES) this.#flush();
    }
    this.#size += bytes.length;
    this.#checksum = crc32(bytes, this.#checksum);
    if (this.#slots.length > before) await this.#db.durable();
  }

  async commit(): Promise<SnapshotInfo> {
    this.#requireUnfinished();
    if (this.#filled > 0) this.#flush();
    const info: SnapshotInfo = {
      meta: this.#meta,
      context: this.#context,
      size: this.#size,
      checksum: this.#checksum,
    };
    this.#table.commit(this.#id, info, this.#slots);
    this.#finished = true;
    await this.#db.durable();
    return info;
  }

  async abort(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    this.#table.release(this.#slots);
  }

  #flush(): void {
    const content = this.#chunk.subarray(0, this.#filled);
    this.#slots.push(this.#table.putChunk(this.#id, this.#slots.length, content));
    this.#filled = 0;
  }

  #requireUnfinished(): void {
    this.#db.requireUsable();
    if (!this.#finished) return;
    throw new EngineError("storageFailed", { detail: "the snapshot is not being written any more" });
  }
}
