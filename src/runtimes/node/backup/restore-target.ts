import { mkdir, mkdtemp, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EngineError } from "../../../core/errors/index.ts";
import { invalid } from "../config/raw-settings.ts";
import type { ObjectLocation, StorageLocation } from "../config/storage-url.ts";
import { describeLocation, objectPrefix, type StorageConfig } from "../storage/describe-storage.ts";
import { openObjectStore, someObject } from "../storage/open-object-store.ts";
import { writeRestoredFile, writeRestoredObject } from "./restored-token.ts";

/** A place for a member's stores that is being filled. */
export interface RestoreTarget {
  /** Where to make them; not where they will be, if that is another place of the same kind. */
  readonly location: StorageLocation;
  /** They are whole: from now on they are where they belong. */
  complete(): Promise<void>;
  /** What is to be said, or done, of what was begun. Gives the error to fail with. */
  abandon(error: unknown): Promise<unknown>;
}

/**
 * A place in which there is nothing yet.
 *
 * @param setting which names it, for messages.
 * @throws EngineError `invalidConfig` where there is something: nothing was written.
 */
export async function unusedPlace(
  location: StorageLocation,
  config: StorageConfig,
  setting: string,
): Promise<(origin: string | null) => Promise<RestoreTarget>> {
  switch (location.type) {
    case "memory":
      throw invalid(`${setting}: what is restored to memory: is gone when this command ends`);
    case "sqlite": {
      const dir = resolve(location.dir);
      await requireEmptyDirectory(dir, setting);
      return (origin) => beginDirectory(dir, origin);
    }
    default: {
      const name = describeLocation(location, config);
      await requireNoObjects(location, config, `${setting}: ${name}`);
      return (origin) => beginObjects(location, config, origin, name);
    }
  }
}

async function requireEmptyDirectory(dir: string, setting: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    return ignoreMissing(error);
  }
  if (names.length > 0)
    throw invalid(`${setting}: ${dir} is not empty, and nothing in it will be overwritten`);
}

/** The directory appears when it is complete; until then, and if anything fails, there is none. */
async function beginDirectory(dir: string, origin: string | null): Promise<RestoreTarget> {
  await mkdir(dirname(dir), { recursive: true });
  const unfinished = await mkdtemp(join(dirname(dir), `.${basename(dir)}.restoring-`));
  return {
    location: { type: "sqlite", dir: unfinished },
    async complete() {
      if (origin !== null) await writeRestoredFile(unfinished, origin);
      await sync(unfinished);
      // Not every system replaces an empty directory.
      await rmdir(dir).catch(ignoreMissing);
      await rename(unfinished, dir);
      await sync(dirname(dir));
    },
    async abandon(error) {
      await rm(unfinished, { recursive: true, force: true });
      return error;
    },
  };
}

async function requireNoObjects(
  location: ObjectLocation,
  config: StorageConfig,
  name: string,
): Promise<void> {
  const found = await someObject(location, objectPrefix(location, config));
  if (found === null) return;
  throw invalid(
    `${name} is not empty (there is ${found}), and nothing in it will be overwritten: take another prefix, or ` +
      "--initial-cluster-token, or delete what is there",
  );
}

/**
 * Objects have no name for all of them that could be changed in the end. What the place is restored from is written
 * first, and by one alone; an identity, which makes a member of it, last.
 */
async function beginObjects(
  location: ObjectLocation,
  config: StorageConfig,
  origin: string | null,
  name: string,
): Promise<RestoreTarget> {
  const store = await openObjectStore(location, objectPrefix(location, config));
  try {
    if (origin !== null) await writeRestoredObject(store, origin);
  } finally {
    await store.close();
  }
  return {
    location,
    complete: () => Promise.resolve(),
    abandon(error) {
      if (!(error instanceof EngineError)) return Promise.resolve(error);
      const detail = `${error.detail ?? error.message}; delete what was begun in ${name} before the next attempt`;
      return Promise.resolve(new EngineError(error.code, { detail, cause: error }));
    },
  };
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
