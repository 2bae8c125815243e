import type { SocketTopic } from "../http/etcd/socket-sessions.ts";
import type { HibernatingSocket, ObjectStorage } from "./platform.ts";

/** The platform takes 16,384 bytes; what is around ours is some tens. */
const MAX_ATTACHED_BYTES = 16_000;
/** Of what is too large for that and goes into a row, which is billed each time. */
const MAX_SAVED_BYTES = 1 << 20;

/** What outlasts an object's memory about one of its connections. */
export interface Attached {
  readonly about: SocketTopic["about"];
  readonly saved: Uint8Array;
}

/** As it is attached: the connection's own bytes, or the number of the row that has them. */
interface Attachment {
  readonly about: Attached["about"];
  readonly saved?: Uint8Array;
  readonly row?: number;
}

/** What is attached to connections: to themselves as long as it fits, and else in the object's storage. */
export class SocketAttachments {
  readonly #sql: ObjectStorage["sql"];
  /** Whether the table is there, which most objects never need. */
  #hasTable: boolean;

  constructor(storage: ObjectStorage) {
    this.#sql = storage.sql;
    const found = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", "raft_object_sockets");
    this.#hasTable = [...found.raw()].length > 0;
  }

  /** Returns false if it is more than can be kept. In the same turn as what is sent, it goes or stays with that. */
  attach(socket: HibernatingSocket, { about, saved }: Attached): boolean {
    const row = attachmentOf(socket)?.row;
    if (saved.length <= MAX_ATTACHED_BYTES) {
      socket.serializeAttachment({ about, saved } satisfies Attachment);
      if (row !== undefined) this.#delete(row);
      return true;
    }
    if (saved.length > MAX_SAVED_BYTES) return false;
    this.#createTable();
    const id = row ?? this.#freeRow();
    this.#sql.exec("INSERT OR REPLACE INTO raft_object_sockets (id, saved) VALUES (?, ?)", id, saved);
    if (row === undefined) socket.serializeAttachment({ about, row: id } satisfies Attachment);
    return true;
  }

  /** Null for a connection that has none, which is none of ours. */
  attached(socket: HibernatingSocket): Attached | null {
    const attachment = attachmentOf(socket);
    if (attachment === null) return null;
    const { about, saved, row } = attachment;
    if (row === undefined) return { about, saved: saved ?? new Uint8Array(0) };
    for (const [bytes] of this.#sql.exec("SELECT saved FROM raft_object_sockets WHERE id = ?", row).raw()) {
      return { about, saved: new Uint8Array(bytes as ArrayBuffer) };
    }
    return null;
  }

  /** The connection is over. */
  forget(socket: HibernatingSocket): void {
    const row = attachmentOf(socket)?.row;
    if (row !== undefined) this.#delete(row);
  }

  /** Rows of connections that ended while nobody was there, as all do in a deployment. */
  sweep(sockets: readonly HibernatingSocket[]): void {
    if (!this.#hasTable) return;
    const kept = new Set(sockets.map((socket) => attachmentOf(socket)?.row));
    const rows = [...this.#sql.exec("SELECT id FROM raft_object_sockets").raw()];
    for (const [id] of rows) if (!kept.has(id as number)) this.#delete(id as number);
  }

  #createTable(): void {
    if (this.#hasTable) return;
    this.#sql.exec("CREATE TABLE raft_object_sockets (id INTEGER PRIMARY KEY, saved BLOB NOT NULL)");
    this.#hasTable = true;
  }

  #freeRow(): number {
    const [first] = [...this.#sql.exec("SELECT COALESCE(MAX(id), 0) + 1 FROM raft_object_sockets").raw()];
    return Number(first![0]);
  }

  #delete(row: number): void {
    if (this.#hasTable) this.#sql.exec("DELETE FROM raft_object_sockets WHERE id = ?", row);
  }
}

function attachmentOf(socket: HibernatingSocket): Attachment | null {
  return socket.deserializeAttachment() as Attachment | null;
}
