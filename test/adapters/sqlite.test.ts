import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
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

it("opens in a script that was given on the command line", () => {
  const dir = mkdtempSync(join(tmpdir(), "d-engine-sqlite-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const module = new URL("../../src/adapters/sqlite/index.ts", import.meta.url).href;
  const script = `const { openSqliteStorage } = await import("${module}");
    const storage = await openSqliteStorage({ dir: process.argv[1] });
    console.log((await storage.log.open()).lastIndex);
    await storage.close();`;
  const args = ["--no-warnings", "--input-type=module", "--eval", script, dir];
  expect(execFileSync(process.execPath, args, { encoding: "utf8" })).toBe("0\n");
});

it("answers whatever comes, while its thread is at work, falling asleep or asleep", async () => {
  const place = await site();
  const storage = await place.open();
  onTestFinished(() => place.remove());
  await storage.log.open();
  await storage.log.append([command(1, 1)]);
  for (let round = 0; round < 3000; round++) {
    // One turn's questions travel together, and a microtask later there is another message behind them.
    const asked = Array.from({ length: 1 + (round % 3) }, () => storage.log.term(1));
    await Promise.resolve();
    asked.push(storage.log.term(1));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([1]));
    if (round % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await storage.close();
});

it("lets the process end that forgets to close it", () => {
  const dir = mkdtempSync(join(tmpdir(), "d-engine-sqlite-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const module = new URL("../../src/adapters/sqlite/index.ts", import.meta.url).href;
  const script = `const { openSqliteStorage } = await import("${module}");
    const storage = await openSqliteStorage({ dir: process.argv[1] });
    console.log((await storage.log.open()).lastIndex);`;
  const args = ["--no-warnings", "--input-type=module", "--eval", script, dir];
  expect(execFileSync(process.execPath, args, { encoding: "utf8" })).toBe("0\n");
});
