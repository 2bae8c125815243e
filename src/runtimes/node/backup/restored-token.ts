import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ServerConfig } from "../config/server-config.ts";

/*
 * A cluster that was restored has other ids than the one it is a copy of, even when it is given the same names, URLs
 * and token: they are computed with the SHA-256 of the backup. So the members of the old one are refused, and so are
 * founders that were restored from another file, or begin with nothing. The directory says that it was restored, and
 * from what, for the next start to compute the same.
 */

const FILE = "restored-from";

/** What the ids of a restored cluster are computed with, instead of the token alone. */
export function restoredToken(token: string, digest: string): string {
  return `${token}\nrestored from ${digest}`;
}

export function restoredFile(dataDir: string): string {
  return join(dataDir, FILE);
}

/** What the ids of the cluster in this member's directory were computed with. */
export async function tokenInForce({ storage, initialClusterToken }: ServerConfig): Promise<string> {
  if (storage.type !== "sqlite") return initialClusterToken;
  const digest = await readFile(restoredFile(storage.dir), "latin1").catch(() => "");
  return /^[0-9a-f]{64}\n$/.test(digest)
    ? restoredToken(initialClusterToken, digest.trim())
    : initialClusterToken;
}
