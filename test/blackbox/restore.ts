// A snapshot is saved from a cluster that takes writes, and another cluster begins with it. One member of the old one
// lives on, and finds the new ones where its peers were: it must not get in.

import { join } from "node:path";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { call, decode, encode, prefixEnd, type Reply, status } from "./support/api.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { dEngine, dEngineOk } from "./support/command.ts";
import { program } from "./support/program.ts";
import { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";
import { Writer } from "./support/writer.ts";

interface Saved {
  readonly revision: number;
  readonly snapshot_cluster_id: string;
}

interface Hashed {
  readonly hashkv: { readonly hash: number };
}

async function hashesAt(servers: readonly Server[], revision: number): Promise<readonly number[]> {
  const endpoints = servers.map(({ url }) => url).join(",");
  const printed = await dEngineOk("hashkv", `--rev=${revision}`, "--json", `--endpoints=${endpoints}`);
  return (JSON.parse(printed) as readonly Hashed[]).map(({ hashkv }) => hashkv.hash);
}

async function keysAt(server: Server, revision: number): Promise<ReadonlySet<string>> {
  const range = {
    key: encode("written/"),
    range_end: encode(prefixEnd("written/")),
    revision: String(revision),
  };
  const outcome = await call(server, "kv/range", range);
  if (outcome.status !== "ok") throw new Error(outcome.problem);
  return new Set((outcome.reply satisfies Reply).kvs?.map(({ key }) => decode(key)) ?? []);
}

await program("restore", 170, async (run) => {
  const dir = await workDir(run);
  const old = await cluster(run, dir, 3);
  await Promise.all(old.map((server) => server.start()));
  const leader = await leaderOf(old);
  let takers: readonly Server[] = old;
  const writer = new Writer(() => takers);
  run.cleanUp(() => writer.stop().catch(() => undefined));
  await writer.more(300);

  const file = join(dir, "backup.snap");
  const before = [...writer.acknowledged];
  const saved = JSON.parse(
    await dEngineOk("snapshot", "save", file, "--json", `--endpoints=${leader.url}`),
  ) as Saved;
  await writer.more(100);
  await writer.stop();
  run.require(
    writer.acknowledged.size >= before.length + 100,
    `saved at revision ${saved.revision}, and ${writer.acknowledged.size - before.length} writes went on meanwhile and since`,
  );
  const [hash, ...others] = await hashesAt(old, saved.revision);
  run.require(
    others.every((other) => other === hash),
    `all members have the hash ${hash} at that revision`,
  );
  const expected = await keysAt(leader, saved.revision);
  run.require(
    before.every((key) => expected.has(key)),
    `it has all ${before.length} writes that were acknowledged when it was begun, of ${expected.size}`,
  );

  const survivor = old.find((server) => server !== leader)!;
  const gone = old.filter((server) => server !== survivor);
  takers = [survivor];
  for (const server of gone) await server.signal("SIGKILL");
  run.observe(`${survivor.name} of the old cluster lives on`);

  const restored = await newCluster(gone, dir);
  for (const server of restored) run.cleanUp(() => server.signal("SIGKILL"));
  for (const server of restored) {
    const { name, flags } = server;
    const settings = [
      `--name=${name}`,
      `--data-dir=${flags["data-dir"]}`,
      `--initial-cluster=${flags["initial-cluster"]}`,
    ];
    await dEngineOk("snapshot", "restore", file, ...settings);
    const again = await dEngine("snapshot", "restore", file, ...settings);
    run.require(
      again.exitCode === 2 && again.stderr.includes("nothing in it will be overwritten"),
      `${name} is restored, and its directory not overwritten`,
    );
  }
  await Promise.all(restored.map((server) => server.start()));
  const first = await leaderOf(restored);
  run.observe(`${first.name} leads the new cluster`);
  const ids = await Promise.all([...restored, survivor].map((server) => status(server)));
  const clusters = new Set(ids.map((each) => (each as unknown as { readonly clusterId: string }).clusterId));
  run.require(
    clusters.size === 2 && clusters.has(saved.snapshot_cluster_id),
    "the new cluster has an id of its own",
  );
  const hashes = await hashesAt(restored, saved.revision);
  run.require(
    hashes.every((each) => each === hash),
    "each new member has the state that was saved",
  );
  for (const server of restored) {
    const present = await keysAt(server, saved.revision);
    run.require(
      present.size === expected.size && [...expected].every((key) => present.has(key)),
      `${server.name} has all ${expected.size} keys`,
    );
  }

  const next = new Writer(() => restored);
  run.cleanUp(() => next.stop().catch(() => undefined));
  await next.more(100);
  await until(20, "the survivor to be refused", async () =>
    restored.some((server) => server.log().includes("the sender belongs to another cluster")),
  );
  const alone = await status(survivor);
  run.require(
    alone !== null && alone.leaderId === null,
    `${survivor.name} finds the new members where its peers were, and no leader among them`,
  );
  const write = await call(survivor, "kv/put", { key: encode("written/old"), value: encode("x") }, 8000);
  run.require(write.status !== "ok", `${survivor.name} takes no write`);
  for (const server of restored) await server.signal("SIGKILL");
  await Promise.all(restored.map((server) => server.start()));
  await next.more(50);
  await next.stop();
  const settled = await settledHashes(restored);
  run.require(
    new Set(settled).size === 1,
    `all were killed, start again, and have the same state ${settled[0]}`,
  );
  const present = await keysAt(restored[0]!, 0);
  run.require(
    [...next.acknowledged].every((key) => present.has(key)) && !present.has("written/old"),
    `it has the ${next.acknowledged.size} writes that came since, and none of the old member's`,
  );
});

/** Two members where two of the old cluster were, and another one. */
async function newCluster(places: readonly Server[], dir: string): Promise<readonly Server[]> {
  const ports = await freePorts(4);
  const peerUrls = [...places.map(({ flags }) => flags["listen-peer-urls"]!), `http://127.0.0.1:${ports[3]}`];
  const initialCluster = peerUrls.map((url, i) => `m${i + 1}=${url}`).join(",");
  return peerUrls.map(
    (peerUrl, i) =>
      new Server(dir, `m${i + 1}`, `http://127.0.0.1:${ports[i]}`, {
        "data-dir": join(dir, "restored", `m${i + 1}`),
        "listen-peer-urls": peerUrl,
        "initial-advertise-peer-urls": peerUrl,
        "initial-cluster": initialCluster,
      }),
  );
}
