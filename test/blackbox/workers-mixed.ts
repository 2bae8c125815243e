// One group of one Durable Object, which others reach by the Worker's URL, and of two `d-engine serve` processes: under
// load while its leader is lost on either side, and asleep. Afterwards: no acknowledged write is lost, none that was
// refused is there, what was read at any of the three fits one order of the writes, and all have the same state.

import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { CLIENT_TOKEN, PEER_SECRET } from "../runtimes/workers/local-cluster.ts";
import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { Server } from "./support/server.ts";
import { sleep } from "./support/waiting.ts";
import { front, object, SETTINGS } from "./workers/deployment.ts";
import { inMiniflare } from "./workers/in-miniflare.ts";
import { MixedNemesis } from "./workers/mixed-nemesis.ts";

const CLIENTS = 8;
const SLEEP_AFTER_MS = 2000;

await program("workers-mixed", 200, async (run) => {
  const dir = await workDir(run);
  const [objectPort, ...ports] = await freePorts(5);
  const urls = {
    n1: `http://127.0.0.1:${objectPort}`,
    n2: `http://127.0.0.1:${ports[0]}`,
    n3: `http://127.0.0.1:${ports[1]}`,
  };
  const servers = (["n2", "n3"] as const).map((name, i) => {
    const server = new Server(dir, name, `http://127.0.0.1:${ports[2 + i]}`, {
      "data-dir": join(dir, name),
      "listen-peer-urls": urls[name],
      "initial-cluster": Object.entries(urls)
        .map(([each, url]) => `${each}=${url}`)
        .join(","),
      "peer-secret": PEER_SECRET,
      "client-token": CLIENT_TOKEN,
      "heartbeat-interval": SETTINGS["ETCD_HEARTBEAT_INTERVAL"]!,
      "election-timeout": SETTINGS["ETCD_ELECTION_TIMEOUT"]!,
      "snapshot-count": "1000",
      "log-level": "warn",
    });
    run.cleanUp(() => server.signal("SIGKILL"));
    return server;
  });
  await Promise.all(servers.map((server) => server.start()));
  const deployment = await inMiniflare(run, dir, {
    port: objectPort!,
    vars: {
      D_ENGINE_NODES: `n1@weur=${urls.n1},n2=${urls.n2},n3=${urls.n3}`,
      D_ENGINE_SLEEP_AFTER: String(SLEEP_AFTER_MS),
    },
  });
  const worker = front(deployment);
  const members = [object(deployment, "n1"), ...servers];
  await openAccounts(worker);

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, [worker, ...servers], new Seeded(seeds.below(2 ** 31)), record),
  );
  const work = async (during: () => Promise<void>): Promise<void> => {
    let over = false;
    const working = Promise.all(clients.map((client) => client.run(() => over)));
    await during();
    await leaderOf(members, 60);
    await sleep(1000);
    over = true;
    await working;
  };
  const nemesis = new MixedNemesis(run, deployment, members, servers);
  await work(async () => {
    await nemesis.objectAborted();
    await nemesis.processKilled();
    await nemesis.runtimeRestarted();
    await nemesis.processKilled();
  });
  // Only an object that leads puts the group to sleep, and the processes with it.
  await nemesis.objectLeads();
  await sleep(SLEEP_AFTER_MS * 2);
  run.observe("the group has had nothing to do for a while");
  await work(() => sleep(1000));
  await nemesis.objectLeads();
  await sleep(SLEEP_AFTER_MS * 2);
  await work(() => nemesis.processKilled());

  const { ok, failed, unknown } = record.counts;
  run.require(ok > 100, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, members);
  await checkRegisters(run, record, clients[0]!, members);
  checkSums(run, record);
  const hashes = await settledHashes(members);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});
