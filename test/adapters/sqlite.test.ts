import { mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStorage } from "../../src/adapters/sqlite/index.ts";
import type { SnapshotInfo } from "../../src/core/node/index.ts";
import { storageConformance, type StorageSite } from "./conformance.ts";
import { storageDamageConformance } from "./damage-conformance.ts";
import { flipBytes } from "./sqlite-files.ts";
import { command } from "./storage-helpers.ts";

async function site(): Promise<StorageSite & { readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), "d-engine-sqlite-"));
  return {
    dir,
    open: () => openSqliteStorage({ dir }),
    remove: async () => rmSync(dir, { recursive: true }),
  };
}

const snapshotPath = (dir: string, { meta }: SnapshotInfo): string =>
  join(dir, "snapshots", `${meta.index}-${meta.term}.snap`);

storageConformance("sqlite", { site, histories: 10 });

storageDamageConformance("sqlite", {
  site,
  damageLog: async ({ dir }) => flipBytes(join(dir, "log.db"), command(25, 1).data),
  damageSnapshot: async ({ dir }, info) => flipBytes(snapshotPath(dir, info), Math.floor(info.size / 2)),
  tearSnapshot: async ({ dir }, info) => {
    const path = snapshotPath(dir, info);
    truncateSync(path, statSync(path).size - 100);
  },
});
