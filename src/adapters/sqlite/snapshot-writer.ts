import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { EngineError } from "../../core/errors/index.ts";
import type { SnapshotInfo, SnapshotWriter } from "../../core/node/index.ts";
import type { SnapshotMeta } from "../../core/raft/index.ts";
import { BLOCK_BYTES, BLOCK_CRC_BYTES, blockChecksum, encodeTail } from "./snapshot-file.ts";
import { storageError } from "./storage-error.ts";

/**
 * Bytes written before they are synced. The file system may make the log's next sync wait for whatever else is
 * dirty: in small portions nobody waits long.
 */
const SYNC_BYTES = 4 << 20;

/** Where a snapshot is written, and where it goes once it is whole. */
export interface SnapshotPaths {
  readonly temporary: string;
  readonly final: string;
}

/** Writes a snapshot's file under a temporary name; `commit` syncs and renames it. */
export class FileSnapshotWriter implements SnapshotWriter {
  readonly #file: FileHandle;
  readonly #paths: SnapshotPaths;
  readonly #meta: SnapshotMeta;
  readonly #context: Uint8Array;
  readonly #onFinish: () => void;
  /** One block and its checksum: all the memory a snapshot takes here. */
  readonly #block: Uint8Array = new Uint8Array(BLOCK_CRC_BYTES + BLOCK_BYTES);
  #filled = 0;
  #blocks = 0;
  #size = 0;
  #checksum = 0;
  #unsynced = 0;
  #finished = false;
  /** Calls that overlap take their turns. */
  #last: Promise<void> = Promise.resolve();

  private constructor(
    file: FileHandle,
    paths: SnapshotPaths,
    meta: SnapshotMeta,
    context: Uint8Array,
    onFinish: () => void,
  ) {
    this.#file = file;
    this.#paths = paths;
    this.#meta = meta;
    this.#context = context;
    this.#onFinish = onFinish;
  }

  /** @param onFinish called once, when it is committed, aborted, or has failed. */
  static async create(
    paths: SnapshotPaths,
    meta: SnapshotMeta,
    context: Uint8Array,
    onFinish: (writer: FileSnapshotWriter) => void,
  ): Promise<FileSnapshotWriter> {
    try {
      const file = await open(paths.temporary, "w");
      const writer: FileSnapshotWriter = new FileSnapshotWriter(file, paths, meta, context.slice(), () =>
        onFinish(writer),
      );
      return writer;
    } catch (error) {
      throw storageError(error, paths.temporary);
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#inTurn(() => this.#write(chunk));
  }

  async commit(): Promise<SnapshotInfo> {
    let info: SnapshotInfo | undefined;
    await this.#inTurn(async () => {
      info = await this.#commit();
    });
    return info!;
  }

  async abort(): Promise<void> {
    await this.#last;
    if (!this.#finished) await this.#discard();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      if (this.#finished) {
        throw new EngineError("storageFailed", {
          detail: `${this.#paths.temporary} is not being written any more`,
        });
      }
      try {
        await work();
      } catch (error) {
        // What is on the disk is unknown, so it is not built on.
        await this.#discard();
        throw storageError(error, this.#paths.temporary);
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      const part = rest.subarray(0, BLOCK_BYTES - this.#filled);
      this.#block.set(part, BLOCK_CRC_BYTES + this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === BLOCK_BYTES) await this.#flushBlock();
    }
    this.#size += chunk.length;
    this.#checksum = crc32(chunk, this.#checksum);
  }

  async #flushBlock(): Promise<void> {
    const used = this.#block.subarray(0, BLOCK_CRC_BYTES + this.#filled);
    const checksum = blockChecksum(this.#blocks, used.subarray(BLOCK_CRC_BYTES));
    new DataView(used.buffer).setUint32(0, checksum, true);
    await this.#writeFully(used);
    this.#blocks++;
    this.#filled = 0;
    this.#unsynced += used.length;
    if (this.#unsynced >= SYNC_BYTES) {
      await this.#file.datasync();
      this.#unsynced = 0;
    }
  }

  async #commit(): Promise<SnapshotInfo> {
    if (this.#filled > 0) await this.#flushBlock();
    const info: SnapshotInfo = {
      meta: this.#meta,
      context: this.#context,
      size: this.#size,
      checksum: this.#checksum,
    };
    await this.#writeFully(encodeTail(info));
    await this.#file.sync();
    await this.#file.close();
    await rename(this.#paths.temporary, this.#paths.final);
    await syncDirectory(dirname(this.#paths.final));
    this.#finish();
    return info;
  }

  async #writeFully(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) done += (await this.#file.write(bytes, done)).bytesWritten;
  }

  async #discard(): Promise<void> {
    this.#finish();
    // Best effort: the next opening removes what is left.
    await this.#file.close().catch(() => {});
    await rm(this.#paths.temporary, { force: true }).catch(() => {});
  }

  #finish(): void {
    this.#finished = true;
    this.#onFinish();
  }
}

/** Makes names in a directory durable. */
export async function syncDirectory(dir: string): Promise<void> {
  // Windows has no way to sync a directory, and no need.
  if (process.platform === "win32") return;
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
