import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import {
  decodeHardState,
  decodeIdentity,
  encodeHardState,
  encodeIdentity,
} from "../../core/node/codec/index.ts";
import type { MetaState, MetaStore, StoreIdentity } from "../../core/node/index.ts";
import type { HardState } from "../../core/raft/index.ts";
import type { DatabaseThread } from "./database-thread.ts";
import { writeBatch } from "./log-store.ts";

/** Identity and hard state in the database's `meta` table. */
export class SqliteMetaStore implements MetaStore {
  readonly #thread: DatabaseThread;

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
  }

  async load(): Promise<MetaState> {
    const { identity, hardState } = await this.#thread.call({ type: "loadMeta" });
    return {
      identity: identity === null ? null : decodeIdentity(identity),
      hardState: hardState === null ? null : hardStateFromBytes(hardState),
    };
  }

  saveIdentity(identity: StoreIdentity): Promise<void> {
    return this.#thread.call({ type: "saveIdentity", identity: encodeIdentity(identity) });
  }

  saveHardState(hardState: HardState): Promise<void> {
    return writeBatch(this.#thread, hardStateBytes(hardState), []);
  }
}

export function hardStateBytes(hardState: HardState): Uint8Array {
  const writer = new ByteWriter(32);
  encodeHardState(writer, hardState);
  return writer.finish();
}

function hardStateFromBytes(bytes: Uint8Array): HardState {
  const reader = new ByteReader(bytes, "hard state");
  const hardState = decodeHardState(reader);
  reader.end();
  return hardState;
}
