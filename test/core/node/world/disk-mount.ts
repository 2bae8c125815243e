import { crc32 } from "../../../../src/core/bytes/index.ts";
import { EngineError } from "../../../../src/core/errors/index.ts";
import type {
  SnapshotInfo,
  SnapshotStore,
  SnapshotWriter,
  StorageEngine,
} from "../../../../src/core/node/index.ts";
import type { SnapshotMeta } from "../../../../src/core/raft/index.ts";
import { type Disk, never } from "./disk.ts";
import type { Life } from "./life.ts";
import { sharing } from "./shared-snapshots.ts";

/**
 * A disk as one life of a node uses it: the storage ports.
 *
 * @param crash takes the node down.
 */
export function mountDisk(disk: Disk, life: Life, crash: () => void): StorageEngine {
  disk.own(life, crash);
  let closed = false;
  const opened = <T>(use: () => Promise<T>): Promise<T> =>
    closed ? Promise.reject(new EngineError("storageFailed", { detail: "the disk is closed" })) : use();
  const stores: StorageEngine = {
    meta: {
      load: () => opened(() => disk.read(life, ({ identity, hardState }) => ({ identity, hardState }))),
      saveIdentity: (identity) =>
        opened(() =>
          disk.write(life, "saveIdentity", (image) => {
            image.identity = identity;
          }),
        ),
      saveHardState: (hardState) =>
        opened(() =>
          disk.write(life, "saveHardState", (image) => {
            image.hardState = hardState;
          }),
        ),
    },
    log: {
      open: () => opened(() => disk.read(life, (image) => image.bounds())),
      append: (entries) => opened(() => disk.appendWrite(life, entries)),
      read: (from, to, maxBytes) => opened(() => disk.read(life, (image) => image.read(from, to, maxBytes))),
      term: (index) => opened(() => disk.read(life, (image) => image.term(index))),
      compact: (to) => opened(() => disk.write(life, "compact", (image) => image.compact(to))),
      reset: (index, term) => opened(() => disk.write(life, "reset", (image) => image.reset(index, term))),
    },
    snapshots: mountSnapshots(disk, life, opened),
    gathersWrites: disk.gathersWrites,
    async close() {
      closed = true;
      await disk.drained(life);
      disk.release(life);
    },
  };
  const { confirmOwner } = disk;
  const owned: StorageEngine =
    confirmOwner === null ? stores : { ...stores, confirmOwner: () => opened(confirmOwner) };
  if (!disk.options.hasCommit) return owned;
  return {
    ...owned,
    commit: (hardState, entries) =>
      opened(() =>
        disk.write(life, "commit", (image) => {
          image.append(entries);
          image.hardState = hardState;
        }),
      ),
  };
}

function mountSnapshots(
  disk: Disk,
  life: Life,
  opened: <T>(use: () => Promise<T>) => Promise<T>,
): SnapshotStore {
  return {
    list: () => opened(() => disk.read(life, (image) => image.snapshots.map(({ info }) => info))),
    create: (meta, context) =>
      opened(async () => {
        await disk.write(life, "snapshotCreate", () => {});
        return snapshotWriter(disk, life, meta, context.slice());
      }),
    drop: (info) => opened(() => disk.write(life, "snapshotDrop", (image) => image.dropSnapshot(info))),
    async *read(info: SnapshotInfo, offset = 0) {
      let at = 0;
      for (let chunk = 0; ; chunk++) {
        const found = await opened(() => disk.read(life, (image) => image.snapshotAt(info)));
        if (found === undefined) throw new EngineError("storageFailed", { detail: "no such snapshot" });
        const bytes = found.chunks[chunk];
        if (bytes === undefined) return;
        const skip = Math.max(0, offset - at);
        at += bytes.length;
        if (skip < bytes.length) yield bytes.slice(skip);
      }
    },
    ...sharing(disk, life),
  };
}

function snapshotWriter(disk: Disk, life: Life, meta: SnapshotMeta, context: Uint8Array): SnapshotWriter {
  const chunks: Uint8Array[] = [];
  let finished = false;
  const use = (): void => {
    if (finished)
      throw new EngineError("storageFailed", { detail: "the snapshot is not being written any more" });
  };
  return {
    async write(chunk) {
      use();
      chunks.push(chunk.slice());
      await disk.write(life, "snapshotWrite", () => {});
    },
    async commit() {
      use();
      finished = true;
      const size = chunks.reduce((sum, { length }) => sum + length, 0);
      const checksum = chunks.reduce((crc, chunk) => crc32(chunk, crc), 0);
      const info: SnapshotInfo = { meta, context, size, checksum };
      await disk.write(life, "snapshotCommit", (image) => image.addSnapshot({ info, chunks }));
      return life.isAlive ? info : await never();
    },
    async abort() {
      if (finished) return;
      finished = true;
      await disk.write(life, "snapshotAbort", () => {});
    },
  };
}
