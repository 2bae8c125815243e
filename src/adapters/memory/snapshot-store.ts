import { crc32 } from "../../core/bytes/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import type { SnapshotInfo, SnapshotStore, SnapshotWriter } from "../../core/node/index.ts";

interface StoredSnapshot {
  readonly info: SnapshotInfo;
  readonly chunks: readonly Uint8Array[];
}

/** Snapshots as lists of chunks. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #ready: () => void;
  #stored: StoredSnapshot[] = [];
  /** Writers of before a close must not commit after it. */
  #generation = 0;

  /** @param ready throws when the store must not be used any more. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  async list(): Promise<SnapshotInfo[]> {
    this.#ready();
    return this.#stored.map(({ info }) => info);
  }

  async create(meta: SnapshotMeta, context: Uint8Array): Promise<SnapshotWriter> {
    this.#ready();
    const generation = this.#generation;
    const ready = (): void => {
      this.#ready();
      if (generation !== this.#generation) throw finished();
    };
    return new MemorySnapshotWriter(meta, context.slice(), ready, (snapshot) => this.#add(snapshot));
  }

  async *read(info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array, void, undefined> {
    this.#ready();
    const found = this.#stored.find((stored) => isSame(stored.info, info));
    if (found === undefined) {
      throw new EngineError("storageFailed", { detail: `there is no snapshot at ${info.meta.index}` });
    }
    let skip = offset;
    for (const chunk of found.chunks) {
      if (skip < chunk.length) yield chunk.slice(skip);
      skip = Math.max(0, skip - chunk.length);
    }
  }

  async drop(info: SnapshotInfo): Promise<void> {
    this.#ready();
    this.#stored = this.#stored.filter((stored) => !isSame(stored.info, info));
  }

  /** What a restart does to snapshots that were being written. */
  abandonUnfinished(): void {
    this.#generation++;
  }

  #add(snapshot: StoredSnapshot): void {
    const { index, term } = snapshot.info.meta;
    this.#stored = this.#stored.filter(({ info }) => info.meta.index !== index || info.meta.term !== term);
    this.#stored.push(snapshot);
    this.#stored.sort((a, b) => b.info.meta.index - a.info.meta.index || b.info.meta.term - a.info.meta.term);
  }
}

class MemorySnapshotWriter implements SnapshotWriter {
  readonly #meta: SnapshotMeta;
  readonly #context: Uint8Array;
  readonly #ready: () => void;
  readonly #publish: (snapshot: StoredSnapshot) => void;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #checksum = 0;
  #finished = false;

  constructor(
    meta: SnapshotMeta,
    context: Uint8Array,
    ready: () => void,
    publish: (snapshot: StoredSnapshot) => void,
  ) {
    this.#meta = meta;
    this.#context = context;
    this.#ready = ready;
    this.#publish = publish;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#use();
    this.#chunks.push(chunk.slice());
    this.#size += chunk.length;
    this.#checksum = crc32(chunk, this.#checksum);
  }

  async commit(): Promise<SnapshotInfo> {
    this.#use();
    this.#finished = true;
    const info: SnapshotInfo = {
      meta: this.#meta,
      context: this.#context,
      size: this.#size,
      checksum: this.#checksum,
    };
    this.#publish({ info, chunks: this.#chunks });
    return info;
  }

  async abort(): Promise<void> {
    this.#finished = true;
    this.#chunks.length = 0;
  }

  #use(): void {
    this.#ready();
    if (this.#finished) throw finished();
  }
}

function finished(): EngineError {
  return new EngineError("storageFailed", { detail: "the snapshot is not being written any more" });
}

function isSame(a: SnapshotInfo, b: SnapshotInfo): boolean {
  return a.meta.index === b.meta.index && a.meta.term === b.meta.term && a.checksum === b.checksum;
}
