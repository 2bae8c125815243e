import type { DurableObjectStorage } from "../../adapters/durable-object/index.ts";
import { type ObjectAddress, objectName, parseObjectName } from "./object-address.ts";

/** What an object remembers besides the stores of its node: a few rows. */
export class ObjectRecord {
  readonly #sql: DurableObjectStorage["sql"];

  constructor({ sql }: DurableObjectStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS raft_object (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    );
  }

  /** Who this object is, for alarms, which do not say. Null until somebody has addressed it. */
  get address(): ObjectAddress | null {
    const name = this.#get("address");
    return name === null ? null : parseObjectName(name);
  }

  saveAddress(address: ObjectAddress): void {
    this.#set("address", objectName(address));
  }

  /**
   * Whether the node was awake when this was last written: it may have promised its silence to a leader, who would
   * rely on it though this object has lost its memory meanwhile.
   */
  get awake(): boolean {
    return this.#get("awake") !== null;
  }

  saveAwake(awake: boolean): void {
    if (awake) this.#set("awake", "yes");
    else this.#sql.exec("DELETE FROM raft_object WHERE key = ?", "awake");
  }

  /** What the node knew of leases when it fell asleep; null: nothing, or it is true no longer. */
  get leases(): Uint8Array | null {
    const saved = this.#get("leases");
    return saved === null ? null : new Uint8Array(saved as unknown as ArrayBuffer);
  }

  saveLeases(leases: Uint8Array | null): void {
    if (leases !== null) this.#set("leases", leases);
    else this.#sql.exec("DELETE FROM raft_object WHERE key = ?", "leases");
  }

  #get(key: string): string | null {
    for (const [value] of this.#sql.exec("SELECT value FROM raft_object WHERE key = ?", key).raw()) {
      return value as string;
    }
    return null;
  }

  #set(key: string, value: string | Uint8Array): void {
    this.#sql.exec("INSERT OR REPLACE INTO raft_object (key, value) VALUES (?, ?)", key, value);
  }
}
