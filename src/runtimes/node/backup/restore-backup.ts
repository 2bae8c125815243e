import { mkdir, mkdtemp, open, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { openSqliteStorage } from "../../../adapters/sqlite/index.ts";
import { EngineError } from "../../../core/errors/index.ts";
import { type BackupSummary, foundFrom, type StoreIdentity } from "../../../core/node/index.ts";
import { foundCluster, founderId, type InitialMember } from "../../http/peer/index.ts";
import { invalid } from "../config/raw-settings.ts";
import { type CheckedBackup, checkBackup, contentOf, type OnProgress } from "./read-backup.ts";
import { restoredFile, restoredToken } from "./restored-token.ts";

export interface RestoreOptions {
  readonly file: string;
  /** Must not be there, or be empty. */
  readonly dataDir: string;
  readonly name: string;
  readonly initialCluster: readonly InitialMember[];
  readonly initialClusterToken: string;
  readonly groupId: string;
  /** The file is read twice. */
  readonly onProgress: OnProgress;
}

export interface Restored {
  readonly identity: StoreIdentity;
  readonly backup: CheckedBackup;
}

/**
 * Makes the data directory of one member of a new cluster that begins with the state in a backup. The directory appears
 * when it is complete; until then, and if anything fails, there is none.
 *
 * @throws EngineError `malformed` or `storageCorrupt` for the file, `invalidConfig` for the directory.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { file, name, groupId, onProgress } = options;
  const dataDir = resolve(options.dataDir);
  await requireUnused(dataDir);
  const backup = await checkBackup(file, onProgress);
  const digest = Buffer.from(backup.digest).toString("hex");
  const founding = await foundCluster(
    options.initialCluster,
    restoredToken(options.initialClusterToken, digest),
  );
  const nodeId = founderId(founding, name);
  const identity = { clusterId: founding.clusterId, groupId, nodeId };
  // Each member tells its name itself, when it first starts.
  const founders = founding.founders.map((founder) => ({ ...founder, name: "" }));

  await mkdir(dirname(dataDir), { recursive: true });
  const unfinished = await mkdtemp(join(dirname(dataDir), `.${basename(dataDir)}.restoring-`));
  try {
    const storage = await openSqliteStorage({ dir: unfinished });
    try {
      await foundFrom(storage, identity, founders, unchanged(file, backup, onProgress));
    } finally {
      await storage.close();
    }
    await writeFile(restoredFile(unfinished), `${digest}\n`, { flush: true });
    await sync(unfinished);
    // Not every system replaces an empty directory.
    await rmdir(dataDir).catch(ignoreMissing);
    await rename(unfinished, dataDir);
    await sync(dirname(dataDir));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
  return { identity, backup };
}

async function requireUnused(dataDir: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(dataDir);
  } catch (error) {
    return ignoreMissing(error);
  }
  if (names.length > 0)
    throw invalid(`--data-dir: ${dataDir} is not empty, and nothing in it will be overwritten`);
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

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

async function sync(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
