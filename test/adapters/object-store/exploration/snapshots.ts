import { createHash } from "node:crypto";
import type { ObjectStorage } from "../../../../src/adapters/object-store/index.ts";
import type { SnapshotInfo } from "../../../../src/core/node/index.ts";
import type { Prng } from "../../../core/raft/harness/prng.ts";
import { type Oracle, violated } from "./oracle.ts";

const CONFIG = { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
const CONTENT_BYTES = 4000;

/*
 * The platform hashes in a thread of its own, and no schedule could be told again. Same hash, at once.
 */
Object.defineProperty(crypto.subtle, "digest", {
  value: async (_algorithm: string, bytes: Uint8Array) =>
    new Uint8Array(createHash("sha256").update(bytes).digest()).buffer,
});

/** A session's snapshots, as a node takes them: each newer than all that it knows of, and then older ones are dropped. */
export class Snapshots {
  readonly #storage: ObjectStorage;
  readonly #oracle: Oracle;
  readonly #prng: Prng;
  #newest = 0;
  #busy = false;

  constructor(storage: ObjectStorage, oracle: Oracle, prng: Prng) {
    this.#storage = storage;
    this.#oracle = oracle;
    this.#prng = prng;
  }

  /** Once the log is owned: the newest is no older than any that was acknowledged, and whole. */
  async check(): Promise<void> {
    const acknowledged = this.#oracle.snapshotAtLeast;
    const [newest] = await this.#storage.snapshots.list();
    this.#newest = newest?.meta.index ?? 0;
    if (this.#newest < acknowledged) violated("snapshots stay", `${acknowledged} was, ${this.#newest} is`);
    if (newest !== undefined && !(await this.#read(newest)).equals(contentAt(this.#newest))) {
      violated("a snapshot has what was written", `at ${this.#newest}`);
    }
  }

  async #read(info: SnapshotInfo): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of this.#storage.snapshots.read(info)) chunks.push(chunk);
    } catch (error) {
      // Its successor may have dropped it by now.
      await this.#storage.confirmOwner();
      throw error;
    }
    return Buffer.concat(chunks);
  }

  /** At the next position or the one after it, so that rivals often take the very same; sometimes it is given up. */
  async take(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { snapshots } = this.#storage;
    const index = this.#newest + 1 + this.#prng.int(2);
    const writer = await snapshots.create({ index, term: 1, config: CONFIG }, new Uint8Array());
    try {
      const content = contentAt(index);
      for (let from = 0; from < content.length; from += 1000) {
        if (this.#prng.chance(0.05)) {
          await writer.abort();
          return;
        }
        await writer.write(content.subarray(from, from + 1000));
      }
      const info = await writer.commit();
      this.#oracle.snapshotAtLeast = Math.max(this.#oracle.snapshotAtLeast, index);
      this.#newest = index;
      await this.#dropOlder(info);
    } catch (error) {
      await writer.abort();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  async #dropOlder({ meta }: SnapshotInfo): Promise<void> {
    for (const older of await this.#storage.snapshots.list()) {
      if (older.meta.index < meta.index) await this.#storage.snapshots.drop(older);
    }
  }
}

/** The same whoever takes it. */
function contentAt(index: number): Buffer {
  return Buffer.alloc(CONTENT_BYTES, `state at ${index};`);
}
