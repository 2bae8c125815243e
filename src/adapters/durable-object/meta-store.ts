import { equalBytes } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { decodeIdentity, describeIdentity, encodeIdentity } from "../../core/node/codec/index.ts";
import type { MetaState, MetaStore, StoreIdentity } from "../../core/node/index.ts";
import type { HardState } from "../../core/raft/index.ts";
import type { Database } from "./database.ts";
import type { LogRing } from "./log-ring.ts";
import { encodeRow } from "./row-codec.ts";
import { decoding } from "./storage-error.ts";

const IDENTITY_SLOT = 1;

/** The identity in a row of its own; the hard state travels with the log. */
export class DurableObjectMetaStore implements MetaStore {
  readonly #db: Database;
  readonly #ring: () => LogRing;

  constructor(db: Database, ring: () => LogRing) {
    this.#db = db;
    this.#ring = ring;
  }

  async load(): Promise<MetaState> {
    const bytes = this.#identity();
    const identity = bytes === null ? null : decoding(() => decodeIdentity(bytes));
    return { identity, hardState: this.#ring().hardState };
  }

  async saveIdentity(identity: StoreIdentity): Promise<void> {
    const wanted = encodeIdentity(identity);
    const found = this.#identity();
    if (found === null) {
      this.#db.put("d_engine_meta", [encodeRow(IDENTITY_SLOT, wanted, () => {})]);
      await this.#db.durable();
    } else if (!equalBytes(found, wanted)) {
      const detail = `the object's database belongs to ${describeIdentity(found)}, not to ${describeIdentity(wanted)}`;
      throw new EngineError("storageForeign", { detail });
    }
  }

  async saveHardState(hardState: HardState): Promise<void> {
    this.#ring().write(hardState, []);
    await this.#db.durable();
  }

  #identity(): Uint8Array | null {
    return this.#db.row("d_engine_meta", IDENTITY_SLOT)?.body ?? null;
  }
}
