import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectReader, ObjectStore } from "../../../adapters/object-store/index.ts";
import { EngineError } from "../../../core/errors/index.ts";
import { objectPrefix, type StorageConfig } from "../storage/describe-storage.ts";
import { openObjectStore } from "../storage/open-object-store.ts";

/*
 * A cluster that was restored has other ids than the one it is a copy of, even when it is given the same names, URLs
 * and token: they are computed with the SHA-256 of the backup, and with by how much its revisions were raised. So the
 * members of the old one are refused, and so are founders that were restored from another file, or otherwise, or begin
 * with nothing. The storage says that it was restored, and from what, for the next start to compute the same.
 */

const NAME = "restored-from";

/** What a restored state is, in the words that are kept beside it: a digest, and the revisions that were added. */
export function restoredOrigin(digest: string, bumpRevision: number): string {
  return bumpRevision === 0 ? digest : `${digest}+${bumpRevision}`;
}

/** What the ids of a restored cluster are computed with, instead of the token alone. */
export function restoredToken(token: string, origin: string): string {
  return `${token}\nrestored from ${origin}`;
}

export async function writeRestoredFile(dir: string, origin: string): Promise<void> {
  await writeFile(join(dir, NAME), `${origin}\n`, { flush: true });
}

/** @throws EngineError `storageForeign` where somebody else has begun. */
export async function writeRestoredObject(store: ObjectStore, origin: string): Promise<void> {
  const outcome = await store.putIfAbsent(NAME, new TextEncoder().encode(`${origin}\n`));
  if (outcome.type === "written") return;
  if (outcome.type === "refused")
    throw new EngineError("storageForeign", { detail: "another restores to it" });
  throw new EngineError("storageUnavailable", {
    detail: `whether ${store.location}${NAME} was written is not known: delete it before the next attempt`,
    cause: outcome.cause,
  });
}

/** What the ids of the cluster in this member's storage were computed with, if it was restored. */
export async function tokenOfRestored(config: StorageConfig): Promise<string | null> {
  const text = await readOrigin(config);
  return /^[0-9a-f]{64}(?:\+[1-9][0-9]{0,15})?\n$/.test(text)
    ? restoredToken(config.initialClusterToken, text.trim())
    : null;
}

async function readOrigin(config: StorageConfig): Promise<string> {
  const { storage } = config;
  if (storage.type === "memory") return "";
  if (storage.type === "sqlite") return await readFile(join(storage.dir, NAME), "latin1").catch(() => "");
  const store: ObjectReader & Pick<ObjectStore, "close"> = await openObjectStore(
    storage,
    objectPrefix(storage, config),
    { readOnly: true },
  );
  try {
    const found = await store.get(NAME);
    return found === null ? "" : new TextDecoder().decode(found.body);
  } finally {
    await store.close();
  }
}
