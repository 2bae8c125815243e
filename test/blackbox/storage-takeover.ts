// One member whose log is in a store that others reach too, under load, taken over again and again: after a SIGKILL,
// while it is only paused, and while it is well. Afterwards: no acknowledged write is lost, what was read fits one order
// of the writes, and whoever was taken over has ended by itself and said nothing more.
//
// --storage=URL: a store that is there. --server=NAME: versitygw, minio, fake-gcs-server or r2 (Cloudflare's local
// runtime), started here. --rounds=N: how often each of these happens.

import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { Succession } from "./storage-takeover/succession.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";

const CLIENTS = 8;

await program("storage-takeover", 200, async (run) => {
  const succession = new Succession(run, await workDir(run), await storageUrl(run));
  const first = await succession.begin();
  await openAccounts(first);

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, succession.reachable, new Seeded(seeds.below(2 ** 31)), record),
  );
  const rounds = Number(run.option("rounds") ?? 2);
  let over = false;
  const working = Promise.all(clients.map((client) => client.run(() => over)));
  for (let round = 0; round < rounds; round++) {
    await succession.afterKill();
    await succession.whilePaused();
    await succession.whileWell();
    await succession.twoAtOnce();
  }
  await succession.someWork();
  over = true;
  await working;

  const { ok, failed, unknown } = record.counts;
  run.require(ok > 300, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  const owner = succession.owner;
  await checkUniques(run, record, [owner]);
  await checkRegisters(run, record, clients[0]!, [owner]);
  checkSums(run, record);
});
