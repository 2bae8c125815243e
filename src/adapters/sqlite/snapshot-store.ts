import { mkdir, open, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo, SnapshotStore, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import {
  BLOCK_BYTES,
  BLOCK_CRC_BYTES,
  blockChecksum,
  blockOffset,
  readFully,
  readTail,
} from "./snapshot-file.ts";
import { FileSnapshotWriter, syncDirectory } from "./snapshot-writer.ts";
import { corrupt, storageError } from "./storage-error.ts";

const COMMITTED = ".snap";
const UNFINISHED = ".tmp";

/**
 * Snapshots as files beside the database and not in it: SQLite has one writer, so a snapshot of hundreds of
 * megabytes in there would hold up the log's commits, and pass through the write-ahead log besides. A file is
 * written a block at a time by the thread pool, and becomes visible by a rename.
 */
export class FileSnapshotStore implements SnapshotStore {
  readonly #dir: string;
  readonly #writers = new Set<SnapshotWriter>();
  #nextTemporary = 1;
  #closed = false;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Removes what unfinished writes left. The caller holds the lock on the directory above. */
  static async open(dir: string): Promise<FileSnapshotStore> {
    try {
      if ((await mkdir(dir, { recursive: true })) !== undefined) await syncDirectory(dirname(dir));
      for (const name of await readdir(dir)) {
        if (name.endsWith(UNFINISHED)) await rm(join(dir, name));
      }
    } catch (error) {
      throw storageError(error, dir);
    }
    return new FileSnapshotStore(dir);
  }

  async list(): Promise<SnapshotInfo[]> {
    this.#refuseIfClosed();
    const infos: SnapshotInfo[] = [];
    try {
      for (const name of await readdir(this.#dir)) {
        if (!name.endsWith(COMMITTED)) continue;
        const info = await this.#readInfo(join(this.#dir, name));
        if (info !== null) infos.push(info);
      }
    } catch (error) {
      throw storageError(error, this.#dir);
    }
    return infos.toSorted((a, b) => b.meta.index - a.meta.index || b.meta.term - a.meta.term);
  }

  async create(meta: SnapshotMeta, context: Uint8Array): Promise<SnapshotWriter> {
    this.#refuseIfClosed();
    const paths = {
      temporary: join(this.#dir, `${this.#nextTemporary++}${UNFINISHED}`),
      final: this.#pathOf(meta),
    };
    const writer = await FileSnapshotWriter.create(paths, meta, context, (done) =>
      this.#writers.delete(done),
    );
    this.#writers.add(writer);
    return writer;
  }

  async *read(info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array, void, undefined> {
    this.#refuseIfClosed();
    const path = this.#pathOf(info.meta);
    const file = await open(path, "r").catch((error: unknown) => {
      throw storageError(error, path);
    });
    try {
      const found = await readTail(file, path);
      if (found.checksum !== info.checksum || found.size !== info.size) {
        throw new EngineError("storageFailed", { detail: `${path} has been replaced by another snapshot` });
      }
      let skip = offset % BLOCK_BYTES;
      for (let number = Math.floor(offset / BLOCK_BYTES); number * BLOCK_BYTES < info.size; number++) {
        const length = Math.min(BLOCK_BYTES, info.size - number * BLOCK_BYTES);
        const block = await readFully(file, path, blockOffset(number), BLOCK_CRC_BYTES + length);
        const content = block.subarray(BLOCK_CRC_BYTES);
        if (new DataView(block.buffer).getUint32(0, true) !== blockChecksum(number, content)) {
          throw corrupt(path, `block ${number} of the snapshot does not match its checksum`);
        }
        if (skip < length) yield content.subarray(skip);
        skip = 0;
      }
    } catch (error) {
      throw storageError(error, path);
    } finally {
      await file.close();
    }
  }

  async drop(info: SnapshotInfo): Promise<void> {
    this.#refuseIfClosed();
    const path = this.#pathOf(info.meta);
    try {
      await rm(path, { force: true });
    } catch (error) {
      throw storageError(error, path);
    }
  }

  /** Abandons unfinished writes. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const writer of this.#writers) await writer.abort();
  }

  /** Null for one that was dropped since its name was read. */
  async #readInfo(path: string): Promise<SnapshotInfo | null> {
    const file = await open(path, "r").catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    });
    if (file === null) return null;
    try {
      const info = await readTail(file, path);
      if (this.#pathOf(info.meta) !== path) throw corrupt(path, "the snapshot stands under another's name");
      return info;
    } finally {
      await file.close();
    }
  }

  #pathOf(meta: SnapshotMeta): string {
    return join(this.#dir, `${meta.index}-${meta.term}${COMMITTED}`);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new EngineError("storageFailed", { detail: "the store is closed" });
  }
}
