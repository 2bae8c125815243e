import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { encodeCommand, KvStore } from "../../../src/core/kv/index.ts";
import { backupOf } from "../../../src/core/node/backup/index.ts";
import { StateWalks } from "../../../src/core/node/state-walks.ts";
import { restoreBackup, type RestoreOptions } from "../../../src/runtimes/node/backup/restore-backup.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

afterAll(removeTempDirs);

/** A backup with one key, written by a member that stands at `createdMs`. */
async function backup(createdMs: number): Promise<Uint8Array> {
  const store = new KvStore();
  const request = { key: Uint8Array.of(1), value: new Uint8Array(3000) };
  store.applyChunk([{ command: encodeCommand({ type: "put", request }), term: 1 }]);
  const walks = new StateWalks(store, nodeClock, () => {});
  const origin = { clusterId: 1n, memberId: 2n, groupId: "default", term: 3, createdMs };
  const header = { clusterId: 1n, memberId: 2n, revision: 2, raftTerm: 3 };
  const pieces: Uint8Array[] = [];
  for await (const piece of backupOf(
    walks,
    () => origin,
    () => header,
  ))
    pieces.push(piece.bytes);
  return Buffer.concat(pieces);
}

async function place(): Promise<RestoreOptions & { readonly storage: { readonly dir: string } }> {
  const dir = await tempDir();
  const file = join(dir, "backup.snap");
  await writeFile(file, await backup(1));
  return {
    file,
    storage: { type: "sqlite", dir: join(dir, "data") },
    storageMeta: null,
    bumpRevision: 0,
    logger: { log: () => {} },
    name: "n1",
    initialCluster: [{ name: "n1", peerUrls: ["http://127.0.0.1:1"] }],
    initialClusterToken: "token",
    groupId: "default",
    onProgress: () => {},
  };
}

it.each(["is cut short", "is replaced by another"])(
  "leaves nothing behind when the file %s after it was checked",
  async (what) => {
    const options = await place();
    const other = await backup(2);
    const { length } = await readFile(options.file);
    let read = 0;
    const onProgress = (bytes: number): void => {
      read += bytes;
      if (read !== length) return;
      if (what === "is cut short") truncateSync(options.file, length - 100);
      else writeFileSync(options.file, other);
    };
    const problem = what === "is cut short" ? "it breaks off after" : "changed while it was being read";
    await expect(restoreBackup({ ...options, onProgress })).rejects.toThrow(problem);
    expect(await readdir(join(options.storage.dir, ".."))).toEqual(["backup.snap"]);
  },
);

it("is refused where what it says of itself is no date", async () => {
  const options = await place();
  await writeFile(options.file, await backup(Number.MAX_SAFE_INTEGER));
  await expect(restoreBackup(options)).rejects.toMatchObject({ code: "malformed" });
});

it("does not take a directory in which there is anything", async () => {
  const options = await place();
  await restoreBackup(options);
  const before = await readdir(options.storage.dir);
  await truncate(options.file, 10);
  await expect(restoreBackup(options)).rejects.toThrow("is not empty");
  expect(await readdir(options.storage.dir)).toEqual(before);
});
