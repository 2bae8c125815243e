import { EngineError } from "../../../core/errors/index.ts";
import type { KvStore } from "../../../core/kv/index.ts";
import { type BackupSummary, foundFrom, type Logger, type StoreIdentity } from "../../../core/node/index.ts";
import { foundCluster, founderId, type InitialMember } from "../../http/peer/index.ts";
import { invalid } from "../config/raw-settings.ts";
import type { StorageConfig } from "../storage/describe-storage.ts";
import { openStorage } from "../storage/open-storage.ts";
import { type CheckedBackup, contentOf, loadBackup, type OnProgress } from "./read-backup.ts";
import { type RestoreTarget, unusedPlace } from "./restore-target.ts";
import { restoredOrigin, restoredToken } from "./restored-token.ts";

export interface RestoreOptions extends StorageConfig {
  readonly file: string;
  /** For messages: which settings named `storage` and `storageMeta`. */
  readonly settings?: readonly [main: string, meta: string];
  readonly initialCluster: readonly InitialMember[];
  /**
   * By how much revisions are raised, with all history before compacted, so that no client that has seen later ones of
   * the old cluster takes anything it knows for news (as etcd's `--bump-revision` with `--mark-compacted`). 0: they go
   * on where the backup ends.
   */
  readonly bumpRevision: number;
  readonly logger: Logger;
  /** The file is read twice. */
  readonly onProgress: OnProgress;
}

export interface Restored {
  readonly identity: StoreIdentity;
  readonly backup: CheckedBackup;
  /** At which the new cluster begins. */
  readonly revision: number;
}

/**
 * Makes the stores of one member of a new cluster that begins with the state in a backup. On a disk they appear when
 * they are complete, and if anything fails there are none; elsewhere nothing is a member's until the end.
 *
 * @throws EngineError `malformed` or `storageCorrupt` for the file, `invalidConfig` for a place that is in use (then
 * nothing was written), and what the stores fail with.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { file, storage, storageMeta, bumpRevision, onProgress } = options;
  const [ofMain, ofMeta] = options.settings ?? ["--storage", "--storage-meta"];
  const main = await unusedPlace(storage, options, ofMain);
  const meta = storageMeta === null ? null : await unusedPlace(storageMeta, options, ofMeta);
  const { backup, store } = await loadBackup(file, onProgress);
  if (bumpRevision > 0) raiseRevisions(store, bumpRevision);
  const { revision } = store;
  const origin = restoredOrigin(Buffer.from(backup.digest).toString("hex"), bumpRevision);
  const token = restoredToken(options.initialClusterToken, origin);
  const founding = await foundCluster(options.initialCluster, token);
  const nodeId = founderId(founding, options.name);
  const identity = { clusterId: founding.clusterId, groupId: options.groupId, nodeId };
  // Each member tells its name itself, when it first starts.
  const founders = founding.founders.map((founder) => ({ ...founder, name: "" }));
  const content = bumpRevision > 0 ? contentOfStore(store, onProgress) : unchanged(file, backup, onProgress);

  const targets: RestoreTarget[] = [];
  try {
    targets.push(await main(origin));
    if (meta !== null) targets.push(await meta(null));
    const [first, second] = targets;
    const places = { storage: first!.location, storageMeta: second?.location ?? null };
    const stores = await openStorage({ ...options, ...places }, options.logger);
    try {
      await foundFrom(stores, identity, founders, content);
    } finally {
      await stores.close();
    }
    for (const target of targets) await target.complete();
  } catch (error) {
    let reason: unknown = error;
    for (const target of targets) reason = await target.abandon(reason);
    throw reason;
  }
  return { identity, backup, revision };
}

function raiseRevisions(store: KvStore, by: number): void {
  try {
    store.raiseRevisions(by);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw invalid(`--bump-revision: from ${store.revision}, there is no room for ${by} revisions more`);
  }
}

function* chunksOf(store: KvStore): Generator<Uint8Array, void, undefined> {
  const snapshot = store.snapshot();
  yield* snapshot.chunks();
  snapshot.release();
}

async function* contentOfStore(
  store: KvStore,
  onProgress: OnProgress,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunksOf(store)) {
    yield chunk;
    onProgress(chunk.length);
  }
}

/** The content of a file that has been checked, which must not have changed since. */
async function* unchanged(
  file: string,
  { digest }: BackupSummary,
  onProgress: OnProgress,
): AsyncGenerator<Uint8Array, void, undefined> {
  const summary = yield* contentOf(file, onProgress);
  if (!Buffer.from(summary.digest).equals(digest)) {
    throw new EngineError("malformed", { detail: `snapshot file: ${file} changed while it was being read` });
  }
}
