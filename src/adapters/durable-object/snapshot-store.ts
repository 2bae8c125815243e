import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo, SnapshotStore, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import { CHUNK_BYTES } from "./snapshot-record.ts";
import { SnapshotTable } from "./snapshot-table.ts";
import { ChunkedSnapshotWriter } from "./snapshot-writer.ts";

/** Snapshots in rows of 1 MiB; the slots of those that were dropped are used again. */
export class DurableObjectSnapshotStore implements SnapshotStore {
  readonly #db: Database;
  #opened: SnapshotTable | null = null;

  constructor(db: Database) {
    this.#db = db;
  }

  async list(): Promise<SnapshotInfo[]> {
    return this.#table().list();
  }

  async create(meta: SnapshotMeta, context: Uint8Array): Promise<SnapshotWriter> {
    return new ChunkedSnapshotWriter(this.#db, this.#table(), meta, context.slice());
  }

  async *read(info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = offset; at < info.size;) {
      // Looked up for each chunk: it may have been dropped since, and its slots may hold another by now.
      const table = this.#table();
      const found = table.find(info);
      if (found === null) throw missing(info);
      const content = table.readChunk(found, Math.floor(at / CHUNK_BYTES));
      const part = content.subarray(at % CHUNK_BYTES);
      at += part.length;
      yield part;
    }
    if (this.#table().find(info) === null) throw missing(info);
  }

  async drop(info: SnapshotInfo): Promise<void> {
    if (this.#table().drop(info)) await this.#db.durable();
  }

  #table(): SnapshotTable {
    this.#db.requireUsable();
    this.#opened ??= new SnapshotTable(this.#db);
    return this.#opened;
  }
}

function missing({ meta }: SnapshotInfo): EngineError {
  return new EngineError("storageFailed", { detail: `there is no snapshot at ${meta.index}` });
}
