// Three servers behind HAProxy, by the configuration in examples/deploy, under load while the leader is killed again and
// again. Clients know HAProxy alone. Afterwards: no acknowledged write is lost, none that was refused is there, and what
// was read fits one order of the writes; a watch has told every one of them, in order.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { Etcd3 } from "etcd3";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { call, encode, type Endpoint, status } from "./support/api.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program, type Run } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import type { Server } from "./support/server.ts";
import { sleep, until } from "./support/waiting.ts";

const CLIENTS = 8;
const KILLS = 3;

await program("behind-haproxy", 150, async (run) => {
  const servers = await cluster(run, await workDir(run), 3, { "log-level": "warn" });
  await Promise.all(servers.map((server) => server.start()));
  await leaderOf(servers);
  const front = await haproxy(run, servers);
  await until(20, "HAProxy to have found the servers", async () => (await status(front)) !== null);
  await requireLeader(run, front, servers);
  await openAccounts(front);
  await requireWatch(run, front);
  await requireGrpc(run, front);

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, [front], new Seeded(seeds.below(2 ** 31)), record),
  );
  let over = false;
  const working = Promise.all(clients.map((client) => client.run(() => over)));
  for (let kill = 0; kill < KILLS; kill++) {
    const leader = await leaderOf(servers);
    run.observe(`${leader.name} leads, and is killed`);
    await leader.signal("SIGKILL");
    const left = servers.filter((server) => server !== leader);
    await leaderOf(left, 30);
    await sleep(3000);
    await requireLeader(run, front, left);
    await leader.start();
    await sleep(2000);
  }
  over = true;
  await working;

  const { ok, failed, unknown } = record.counts;
  run.require(ok > 500, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, servers);
  await checkRegisters(run, record, clients[0]!, servers);
  checkSums(run, record);
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});

async function haproxy(run: Run, servers: readonly Server[]): Promise<Endpoint> {
  const [port] = await freePorts(1);
  const hosts = servers.map(({ url }, i) => [`N${i + 1}`, new URL(url).host]);
  const file = "examples/deploy/haproxy.cfg";
  const child = spawn("haproxy", ["-db", "-f", file], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...Object.fromEntries(hosts), LISTEN: `127.0.0.1:${port}` },
  });
  run.cleanUp(async () => {
    if (child.exitCode !== null || !child.kill()) return;
    await once(child, "exit");
  });
  return { name: "HAProxy", url: `http://127.0.0.1:${port}` };
}

/** Those who do not ask for a stream are sent to the leader itself. */
async function requireLeader(run: Run, front: Endpoint, servers: readonly Server[]): Promise<void> {
  const leader = await leaderOf(servers);
  await until(10, "HAProxy to know the leader", async () => {
    const asked = await Promise.all(Array.from({ length: 6 }, () => status(front)));
    return asked.every((each) => each?.role === "leader");
  });
  run.require(true, `HAProxy sends requests to ${leader.name}, who leads`);
}

async function requireGrpc(run: Run, { url }: Endpoint): Promise<void> {
  const client = new Etcd3({ hosts: url });
  run.cleanUp(() => client.close());
  const watcher = await client.watch().key("by-grpc").create();
  const told = once(watcher, "put");
  await client.put("by-grpc").value("1");
  await told;
  run.require((await client.get("by-grpc").string()) === "1", "gRPC passes, streams too");
  await watcher.cancel();
}

/** A watch passes, is told at once, and outlives its silence. */
async function requireWatch(run: Run, front: Endpoint): Promise<void> {
  const response = await fetch(`${front.url}/v3/watch`, {
    method: "POST",
    body: JSON.stringify({ create_request: { key: encode("watched") } }),
    signal: AbortSignal.timeout(60_000),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let told = "";
  const wait = async (text: string): Promise<void> => {
    while (!told.includes(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the watch ended after ${told}`);
      told += value;
    }
  };
  await wait('"created":true');
  await sleep(35_000);
  const put = await call(front, "kv/put", { key: encode("watched"), value: encode("x") });
  if (put.status !== "ok") throw new Error(put.problem);
  await wait('"events"');
  await reader.cancel();
  run.require(true, "a watch that was silent for longer than the time-out of requests is told of a put");
}
