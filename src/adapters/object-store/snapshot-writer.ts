import { crc32 } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import { createObject } from "./journal/create-object.ts";
import type { Patience } from "./journal/patience.ts";
import type { ObjectStore } from "./object-store.ts";
import { corrupt } from "./sealed.ts";
import { chunkName, hashOf, type SnapshotDescription } from "./snapshot-object.ts";

/** Chunks on their way at the same time; each is held in memory until it is there. */
const MAX_UPLOADS = 3;

export interface ObjectSnapshotWriterOptions {
  readonly store: ObjectStore;
  readonly patience: Patience;
  readonly meta: SnapshotMeta;
  readonly context: Uint8Array;
  readonly chunkBytes: number;
  /** Chunks of this position that are there already: an upload that broke off goes on behind them. */
  readonly present: ReadonlySet<string>;
  /** Rejects when another process has taken over. */
  readonly confirm: () => Promise<void>;
  /** Makes the snapshot visible. */
  readonly publish: (description: SnapshotDescription) => Promise<void>;
  /** Called once, when it is committed, aborted, or has failed. */
  readonly onFinish: () => void;
}

/** Cuts the content into chunks and uploads them; `commit` adds the description. */
export class ObjectSnapshotWriter implements SnapshotWriter {
  readonly #options: ObjectSnapshotWriterOptions;
  readonly #hashes: Uint8Array[] = [];
  readonly #uploads: Set<Promise<void>> = new Set();
  #chunk: Uint8Array | null = null;
  #filled = 0;
  #size = 0;
  #checksum = 0;
  #finished = false;
  #failure: { readonly error: unknown } | null = null;
  /** Calls that overlap take their turns. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ObjectSnapshotWriterOptions) {
    this.#options = options;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#inTurn(() => this.#write(bytes));
  }

  commit(): Promise<SnapshotInfo> {
    return this.#inTurn(() => this.#commit());
  }

  /** The chunks stay until a newer snapshot is there: another process may have begun to count on them. */
  async abort(): Promise<void> {
    this.abandon();
    await this.settled();
  }

  /** Nothing more is written. What is there stays: a later upload of the same goes on behind it. */
  abandon(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#options.onFinish();
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    await this.#last;
    await Promise.allSettled(this.#uploads);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      this.#refuseIfFinished();
      try {
        return await work();
      } catch (error) {
        this.abandon();
        throw error;
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { chunkBytes } = this.#options;
    let rest = bytes;
    while (rest.length > 0) {
      this.#chunk ??= new Uint8Array(chunkBytes);
      const part = rest.subarray(0, chunkBytes - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === chunkBytes) await this.#endChunk();
    }
    this.#size += bytes.length;
    this.#checksum = crc32(bytes, this.#checksum);
  }

  async #endChunk(): Promise<void> {
    const chunk = this.#chunk!.subarray(0, this.#filled);
    this.#chunk = null;
    this.#filled = 0;
    const hash = await hashOf(chunk);
    const number = this.#hashes.push(hash) - 1;
    while (this.#uploads.size >= MAX_UPLOADS) await Promise.race(this.#uploads);
    if (this.#failure !== null) throw this.#failure.error;
    this.#refuseIfFinished();
    const name = chunkName(this.#options.meta, number, hash);
    if (this.#options.present.has(name)) return;
    const upload: Promise<void> = this.#upload(name, chunk)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#uploads.delete(upload));
    this.#uploads.add(upload);
  }

  async #upload(name: string, chunk: Uint8Array): Promise<void> {
    const { store, patience, confirm } = this.#options;
    const occupant = await createObject(store, patience, name, chunk);
    if (occupant.type === "mine") return;
    // A successor that is further on may have swept it away.
    await confirm();
    throw corrupt(`${store.location}: ${name}`, "was changed while the snapshot was written");
  }

  async #commit(): Promise<SnapshotInfo> {
    const { meta, context, chunkBytes, publish } = this.#options;
    if (this.#filled > 0) await this.#endChunk();
    await Promise.all(this.#uploads);
    if (this.#failure !== null) throw this.#failure.error;
    const info = { meta, context, size: this.#size, checksum: this.#checksum };
    await publish({ info, chunkBytes, hashes: this.#hashes });
    this.abandon();
    return info;
  }

  #refuseIfFinished(): void {
    if (!this.#finished) return;
    throw new EngineError("storageFailed", { detail: "the snapshot is not being written any more" });
  }
}
