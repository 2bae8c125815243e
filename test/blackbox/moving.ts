// A group of three Durable Objects moves to three `d-engine serve` processes, and back to three other objects, one member
// at a time, while it is written to. Afterwards: no acknowledged write is lost, and none that was refused is there.

import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { Operator, SHARED_FLAGS } from "./moving/operator.ts";
import { type Endpoint, status } from "./support/api.ts";
import { leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program, type Run } from "./support/program.ts";
import { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";
import { Writer } from "./support/writer.ts";
import { type Deployment, front, object, SETTINGS } from "./workers/deployment.ts";
import { inMiniflare } from "./workers/in-miniflare.ts";

await program("moving", 280, async (run) => {
  const dir = await workDir(run);
  const [workerPort, objectPort, ...ports] = await freePorts(8);
  // Each object has a host name of its own, by which the Worker knows whom a process means.
  const hosts = [1, 2, 3].map((n) => ({ host: `127.0.0.${n}`, port: objectPort! }));
  const nodes = (from: number): string[] =>
    hosts.map(({ host, port }, i) => `n${from + i}@weur=http://${host}:${port}`);
  const deployment = await inMiniflare(run, dir, {
    port: workerPort!,
    sockets: hosts,
    vars: { D_ENGINE_NODES: nodes(1).join(","), D_ENGINE_SLEEP_AFTER: "0" },
  });
  const worker = front(deployment);
  const objects = ["n1", "n2", "n3"].map((name) => object(deployment, name));
  const operator = new Operator(run, worker);
  let writtenAt: readonly Endpoint[] = [worker];
  const writer = new Writer(() => writtenAt);
  run.cleanUp(() => writer.stop().catch(() => undefined));
  await writer.more(50);
  await operator.expectVoters(objects);

  const servers: Server[] = [];
  for (const [i, name] of ["n4", "n5", "n6"].entries()) {
    const peerUrl = `http://127.0.0.1:${ports[2 * i]}`;
    await operator.add(name, peerUrl, async (settings) => {
      const server = new Server(dir, name, `http://127.0.0.1:${ports[2 * i + 1]}`, {
        ...settings,
        ...SHARED_FLAGS,
        "data-dir": join(dir, name),
        "listen-peer-urls": peerUrl,
        "heartbeat-interval": SETTINGS["ETCD_HEARTBEAT_INTERVAL"]!,
        "election-timeout": SETTINGS["ETCD_ELECTION_TIMEOUT"]!,
      });
      run.cleanUp(() => server.signal("SIGKILL"));
      servers.push(server);
      await server.start();
    });
    await writer.more(10);
  }
  await operator.expectVoters([...objects, ...servers]);

  run.observe("clients go to the processes, and the objects leave");
  writtenAt = servers;
  operator.at = servers[0]!;
  const idsOfObjects = await idsOf(objects);
  // Whichever object leads must not bring back what the operator removes.
  await redeploy(run, deployment, { D_ENGINE_REMOVED_NODES: "n1,n2,n3" });
  for (const [name, id] of idsOfObjects) await operator.remove(name, id);
  await writer.more(50);
  await leaderOf(servers, 30);
  await operator.expectVoters(servers);

  run.observe("and back, to objects of other names");
  const processes = servers.map(({ name, flags }) => `${name}=${flags["listen-peer-urls"]}`);
  await redeploy(run, deployment, {
    D_ENGINE_NODES: [...nodes(7), ...processes].join(","),
    D_ENGINE_REMOVED_NODES: "",
  });
  const newcomers = ["n7", "n8", "n9"].map((name) => object(deployment, name));
  for (const [i, newcomer] of newcomers.entries()) {
    const { host, port } = hosts[i]!;
    // What the leader sends to its URL awakens it.
    await operator.add(newcomer.name, `http://${host}:${port}`);
    await writer.more(10);
  }
  writtenAt = [worker];
  operator.at = worker;
  const idsOfServers = await idsOf(servers);
  await redeploy(run, deployment, {
    D_ENGINE_NODES: nodes(7).join(","),
    D_ENGINE_REMOVED_NODES: "n4,n5,n6",
  });
  for (const [name, id] of idsOfServers) await operator.remove(name, id);
  for (const server of servers) await server.signal("SIGTERM");
  await writer.more(50, 60);
  await operator.expectVoters(newcomers);

  await writer.stop();
  const hashes = await settledHashes(newcomers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
  for (const newcomer of newcomers) {
    const wrong = await writer.wrongAt(newcomer);
    run.require(
      wrong.length === 0,
      `${newcomer.name} has all ${writer.acknowledged.size} acknowledged writes, and none of ${writer.refused.size} refused ones ${wrong.slice(0, 5).join(" ")}`,
    );
  }
});

async function idsOf(members: readonly Endpoint[]): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const member of members) {
    const { nodeId } = await until(30, `${member.name} to say who it is`, () => status(member));
    ids.set(member.name, BigInt(nodeId).toString(16));
  }
  return ids;
}

async function redeploy(run: Run, deployment: Deployment, vars: Record<string, string>): Promise<void> {
  await deployment.deploy(vars);
  run.observe(
    `deployed with ${Object.entries(vars)
      .map(([name, value]) => `${name}="${value}"`)
      .join(" ")}`,
  );
}
