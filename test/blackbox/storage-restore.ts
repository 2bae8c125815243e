// A backup of members with their own disks becomes three members with their logs in a store that others reach, with
// revisions that were raised. A second attempt is refused; a member that is killed is there again.
//
// --server=NAME, --storage=URL: as of storage-takeover.ts.

import { join } from "node:path";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { call, encode, status } from "./support/api.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { dEngine, dEngineOk } from "./support/command.ts";
import { program } from "./support/program.ts";
import type { Server } from "./support/server.ts";

const KEYS = 40;
const BUMP = 10_000;

async function put(server: Server, key: string): Promise<void> {
  const outcome = await call(server, "kv/put", { key: encode(key), value: encode("v".repeat(2000)) });
  if (outcome.status !== "ok") throw new Error(outcome.problem);
}

await program("storage-restore", 200, async (run) => {
  const dir = await workDir(run);
  const storage = await storageUrl(run);
  const [old] = await cluster(run, join(dir), 1);
  await old!.start();
  await leaderOf([old!]);
  for (let i = 0; i < KEYS; i++) await put(old!, `k${i % (KEYS / 2)}`);
  const file = join(dir, "backup.snap");
  await dEngineOk("snapshot", "save", file, `--endpoints=${old!.url}`);
  const { revision } = (await status(old!))!;
  await old!.signal("SIGKILL");

  const members = await cluster(run, dir, 3, { storage });
  for (const { name, flags } of members) {
    const settings = [
      `--name=${name}`,
      `--initial-cluster=${flags["initial-cluster"]}`,
      `--storage=${storage}`,
      `--bump-revision=${BUMP}`,
      "--mark-compacted",
    ];
    const printed = await dEngineOk("snapshot", "restore", file, "--json", ...settings);
    const restored = JSON.parse(printed) as { readonly revision: number; readonly totalKey: number };
    run.require(
      restored.revision === revision + BUMP && restored.totalKey === KEYS / 2,
      `${name} has ${restored.totalKey} keys at revision ${restored.revision}, where ${revision} was saved`,
    );
    if (name !== members[0]!.name) continue;
    const again = await dEngine("snapshot", "restore", file, ...settings);
    run.require(
      again.exitCode === 2 && again.stderr.includes("is not empty"),
      `what is in ${name}'s place is not overwritten`,
    );
  }
  await Promise.all(members.map((server) => server.start()));
  const leader = await leaderOf(members, 60);
  await put(leader, "new");
  const seen = await status(leader);
  run.require(
    seen?.revision === revision + BUMP + 1,
    `the first write since is of revision ${seen?.revision}`,
  );
  const past = await call(leader, "kv/range", { key: encode("k1"), revision: String(revision) });
  run.require(past.status !== "ok", "the old cluster's revisions are compacted");
  const last = members[2]!;
  await last.signal("SIGKILL");
  await last.start();
  const hashes = await settledHashes(members, 60);
  run.require(
    new Set(hashes).size === 1,
    `${last.name} was killed and is back, and all have the state ${hashes[0]}`,
  );
});
