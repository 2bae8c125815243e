import { createReadStream } from "node:fs";
import { KvStore } from "../../../core/kv/index.ts";
import { BackupReader, type BackupSummary } from "../../../core/node/index.ts";

const READ_BYTES: number = 1 << 20;

export interface CheckedBackup extends BackupSummary {
  /** Keys that are there at `revision`. */
  readonly keys: number;
  readonly compactRevision: number;
  readonly leases: number;
}

/** Told how many bytes have been worked through. */
export type OnProgress = (bytes: number) => void;

/**
 * Reads a backup to its end and restores it in memory, so that nothing is left that could be wrong with it.
 *
 * @throws EngineError `malformed`, `storageCorrupt`; what the file system has to say.
 */
export async function loadBackup(
  path: string,
  onProgress: OnProgress,
): Promise<{ readonly backup: CheckedBackup; readonly store: KvStore }> {
  const store = new KvStore();
  const restorer = store.restorer();
  const reader = new BackupReader((content) => restorer.push(content));
  for await (const bytes of createReadStream(path, { highWaterMark: READ_BYTES })) {
    reader.push(bytes as Uint8Array);
    onProgress((bytes as Uint8Array).length);
  }
  const summary = reader.finish();
  restorer.finish();
  const { count } = store.range({ key: EVERYTHING, rangeEnd: EVERYTHING, countOnly: true });
  const { compactRevision, leaseCount: leases } = store;
  return { backup: { ...summary, keys: count, compactRevision, leases }, store };
}

/** What is in a backup. @throws EngineError as `loadBackup`. */
export async function checkBackup(path: string, onProgress: OnProgress): Promise<CheckedBackup> {
  return (await loadBackup(path, onProgress)).backup;
}

const EVERYTHING: Uint8Array = Uint8Array.of(0);

/**
 * The state machine's snapshot in a backup. Whoever takes it may use it only once the last piece has come: only then is
 * it certain that it is whole.
 */
export async function* contentOf(
  path: string,
  onProgress: OnProgress,
): AsyncGenerator<Uint8Array, BackupSummary, undefined> {
  let pieces: Uint8Array[] = [];
  const reader = new BackupReader((content) => pieces.push(content));
  for await (const bytes of createReadStream(path, { highWaterMark: READ_BYTES })) {
    reader.push(bytes as Uint8Array);
    yield* pieces;
    pieces = [];
    onProgress((bytes as Uint8Array).length);
  }
  return reader.finish();
}
