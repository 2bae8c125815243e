// Three servers under load while they are killed and paused. Afterwards: no acknowledged write is lost, none that was
// refused is there, what was read fits one order of the writes, money is neither made nor lost, and all members have
// the same state.
//
// --storage=URL, or --server=NAME as for storage-takeover.ts: not on disks. --seconds=N: how long the faults go on.

import { setTimeout as sleep } from "node:timers/promises";
import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { Nemesis } from "./cluster-kill/nemesis.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";

const CLIENTS = 12;

await program("cluster-kill", 170, async (run) => {
  const seconds = Number(run.option("seconds") ?? 90);
  const onDisks = run.option("storage") === undefined && run.option("server") === undefined;
  const storage = onDisks ? undefined : await storageUrl(run);
  const servers = await cluster(run, await workDir(run), 3, {
    "snapshot-count": "2000",
    "log-level": "warn",
    ...(storage === undefined ? {} : { storage }),
  });
  await Promise.all(servers.map((server) => server.start()));
  const leader = await leaderOf(servers);
  await openAccounts(leader);

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, servers, new Seeded(seeds.below(2 ** 31)), record),
  );
  const nemesis = new Nemesis(servers, new Seeded(seeds.below(2 ** 31)), run);
  const overAt = performance.now() + seconds * 1000;
  let healed = false;
  const working = Promise.all(clients.map((client) => client.run(() => healed)));
  const faults = await nemesis.rage(() => performance.now() > overAt);
  await leaderOf(servers, 30);
  await sleep(1000);
  healed = true;
  await working;

  const { ok, failed, unknown } = record.counts;
  // Where others keep the log, everything takes longer.
  const [perSecond, faultEverySeconds] = onDisks ? [10, 12] : [4, 24];
  run.require(faults >= seconds / faultEverySeconds, `${faults} faults in ${seconds} s`);
  const requests = `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`;
  run.require(ok > seconds * perSecond, requests);
  await checkUniques(run, record, servers);
  await checkRegisters(run, record, clients[0]!, servers);
  checkSums(run, record);
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});
