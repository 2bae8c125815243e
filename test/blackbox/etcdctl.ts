// etcdctl 3.4, as it is, against three servers: every command that the specification names, by gRPC.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Etcdctl } from "./etcdctl/tool.ts";
import { dEngineOk } from "./support/command.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { type Run, program } from "./support/program.ts";
import { status } from "./support/api.ts";
import type { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";

await program("etcdctl", 280, async (run) => {
  const dir = await workDir(run);
  const servers = await cluster(run, dir, 3, { "log-level": "warn" });
  await Promise.all(servers.map((server) => server.start()));
  await leaderOf(servers);
  const etcdctl = new Etcdctl(
    run,
    servers.map(({ url }) => url),
  );
  await keys(etcdctl);
  await transactions(etcdctl);
  await watches(run, etcdctl);
  await leases(run, etcdctl);
  await locksAndElections(run, etcdctl);
  await clusterAndMaintenance(run, etcdctl, servers, dir);
  await mirrors(run, etcdctl, dir);
  await checks(run, etcdctl);
  await users(run, etcdctl);
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});

async function keys(etcdctl: Etcdctl): Promise<void> {
  await etcdctl.prints("OK\n", "put", "k1", "v1");
  await etcdctl.prints("OK\nk1\nv1\n", "put", "--prev-kv", "k1", "v2");
  for (const key of ["k2", "k3", "other"]) await etcdctl.ok("put", key, `v-${key}`);
  await etcdctl.prints("k1\nv2\n", "get", "k1");
  await etcdctl.prints("v2\n", "get", "--print-value-only", "k1");
  await etcdctl.prints("k1\n\nk2\n\nk3\n\n", "get", "--prefix", "--keys-only", "k");
  await etcdctl.prints("k3\nv-k3\nk2\nv-k2\n", "get", "--prefix", "--limit=2", "--order=DESCEND", "k");
  await etcdctl.prints("k1\nv2\nk2\nv-k2\n", "get", "k1", "k3");
  await etcdctl.prints("k2\nv-k2\nk3\nv-k3\nother\nv-other\n", "get", "--from-key", "k2");
  await etcdctl.prints("k1\nv1\n", "get", "--rev=2", "k1");
  await etcdctl.prints("k1\nv2\n", "get", "--consistency=s", "k1");
  await etcdctl.prints(/"Count" : 3/, "get", "--prefix", "--write-out=fields", "k");
  await etcdctl.prints(
    /^\{"header":\{"cluster_id":\d+,"member_id":\d+,"revision":6,"raft_term":\d+\},"kvs":\[/,
    "get",
    "--write-out=json",
    "k1",
  );
  await etcdctl.refuses("mvcc: required revision is a future revision", "get", "--rev=999", "k1");
  await etcdctl.refuses("etcdserver: key is not provided", "put", "", "v");
  await etcdctl.refuses("etcdserver: requested lease not found", "put", "--lease=77", "k", "v");
  await etcdctl.prints("1\n", "del", "other");
  await etcdctl.prints("0\n", "del", "other");
  await etcdctl.prints("1\nk3\nv-k3\n", "del", "--prev-kv", "k3");
  await etcdctl.prints("2\n", "del", "--prefix", "k");
}

async function transactions(etcdctl: Etcdctl): Promise<void> {
  await etcdctl.ok("put", "t", "1");
  const swap = 'value("t") = "1"\nmod("t") > "0"\n\nput t 2\nget t\n\nput t failed\n\n';
  await etcdctl.reads(swap, /SUCCESS\n\nOK\n\nt\n2\n/, "txn", "--interactive");
  await etcdctl.reads(swap, /FAILURE\n\nOK\n/, "txn", "--interactive");
  await etcdctl.reads(
    'version("none") = "0"\n\nput a 1\nput a 2\n\n\n',
    /duplicate key given in txn request/,
    "txn",
  );
}

async function watches(run: Run, etcdctl: Etcdctl): Promise<void> {
  const watch = etcdctl.start("watch", "--prefix", "--prev-kv", "w/");
  const interactive = etcdctl.start("watch", "--interactive");
  interactive.write("watch w/1\nwatch --prefix w/ \n");
  // There is no word of its beginning.
  await until(20, "the watches to have begun", async () => {
    await etcdctl.ok("put", "w/0", "begin");
    return watch.hasPrinted("w/0") && interactive.hasPrinted("w/0");
  });
  await etcdctl.ok("put", "w/1", "one");
  await etcdctl.ok("put", "w/1", "two");
  await etcdctl.ok("del", "w/1");
  await watch.prints("PUT\nw/1\none\nw/1\ntwo\nDELETE\nw/1\ntwo\nw/1\n");
  await interactive.prints("PUT\nw/1\none\n");
  await interactive.prints("DELETE\nw/1\n");
  await watch.interrupt();
  await interactive.interrupt();
  run.require(true, "etcdctl watch, also interactive, tells every change with what was before");
  const history = etcdctl.start("watch", "--rev=1", "t");
  await history.prints("PUT\nt\n1\nPUT\nt\n2\nPUT\nt\nfailed\n");
  await history.interrupt();
  const command = etcdctl.start("watch", "w/x", "--", "sh", "-c", 'echo "ran for $ETCD_WATCH_KEY"');
  await until(20, "the command to be run", async () => {
    await etcdctl.ok("put", "w/x", "1");
    return command.hasPrinted('ran for "w/x"');
  });
  await command.interrupt();
  run.require(true, "etcdctl watch --rev, and with a command");
}

async function leases(run: Run, etcdctl: Etcdctl): Promise<void> {
  const granted = await etcdctl.ok("lease", "grant", "60");
  const id = /^lease ([0-9a-f]{16}) granted with TTL\(60s\)$/m.exec(granted)?.[1];
  if (id === undefined) throw new Error(`lease grant printed ${granted}`);
  await etcdctl.prints("OK\n", "put", `--lease=${id}`, "leased", "1");
  await etcdctl.prints(
    new RegExp(
      `^lease ${id} granted with TTL\\(60s\\), remaining\\((?:5\\d|60)s\\), attached keys\\(\\[leased\\]\\)\\n$`,
    ),
    "lease",
    "timetolive",
    "--keys",
    id,
  );
  await etcdctl.prints(new RegExp(`^found 1 leases\\n${id}\\n$`), "lease", "list");
  await etcdctl.prints(
    new RegExp(`^lease ${id} keepalived with TTL\\(60\\)\\n$`),
    "lease",
    "keep-alive",
    "--once",
    id,
  );
  const keptAlive = etcdctl.start("lease", "keep-alive", id);
  await keptAlive.prints("keepalived with TTL(60)");
  await keptAlive.interrupt();
  await etcdctl.prints(`lease ${id} revoked\n`, "lease", "revoke", id);
  await etcdctl.prints("", "get", "leased");
  await etcdctl.prints(/already expired\n$/, "lease", "timetolive", id);
  await etcdctl.refuses("requested lease not found", "lease", "revoke", id);
  run.observe("a lease was granted, kept alive and revoked");
}

async function locksAndElections(run: Run, etcdctl: Etcdctl): Promise<void> {
  const holder = etcdctl.start("lock", "mutex");
  await holder.prints("mutex/");
  const waiter = etcdctl.start("lock", "mutex");
  await until(
    10,
    "another to wait",
    async () =>
      (await etcdctl.ok("get", "--prefix", "--keys-only", "mutex/")).trim().split("\n\n").length === 2,
  );
  run.require(!waiter.hasPrinted("mutex/"), "etcdctl lock keeps another waiting");
  await holder.interrupt();
  await waiter.prints("mutex/");
  await waiter.interrupt();
  await etcdctl.prints("ran\n", "lock", "mutex", "echo", "ran");
  const leader = etcdctl.start("elect", "office", "first");
  await leader.prints("first");
  const observer = etcdctl.start("elect", "--listen", "office");
  await observer.prints("first");
  const next = etcdctl.start("elect", "office", "second");
  await leader.interrupt();
  await next.prints("second");
  await observer.prints("second");
  await next.interrupt();
  await observer.interrupt();
  run.require(true, "etcdctl lock and elect hand over to the next");
}

async function clusterAndMaintenance(
  run: Run,
  etcdctl: Etcdctl,
  servers: readonly Server[],
  dir: string,
): Promise<void> {
  await etcdctl.prints(/(?:.*, started, n[123], http:.*, http:.*, false\n){3}/, "member", "list");
  await etcdctl.prints(
    /(?:.*is healthy: successfully committed proposal: took = .*\n){3}/,
    "endpoint",
    "health",
  );
  await etcdctl.prints(/(?:.*, 3\.5\.\d+, .*\n){3}/, "endpoint", "status");
  await etcdctl.prints(/"isLearner"|"version":"3\.5/, "endpoint", "status", "--write-out=json");
  const added = await etcdctl.ok("member", "add", "n4", "--learner", "--peer-urls=http://127.0.0.1:1");
  const id = /^Member +([0-9a-f]+) added to cluster/.exec(added)?.[1];
  if (id === undefined) throw new Error(`member add printed ${added}`);
  await etcdctl.prints(/, unstarted, , http:\/\/127\.0\.0\.1:1, , true\n/, "member", "list");
  await etcdctl.refuses(
    "can only promote a learner member which is in sync with leader",
    "member",
    "promote",
    id,
  );
  await etcdctl.prints(
    new RegExp(`^Member +${id} updated in cluster`),
    "member",
    "update",
    id,
    "--peer-urls=http://127.0.0.1:2",
  );
  await etcdctl.prints(new RegExp(`^Member +${id} removed from cluster`), "member", "remove", id);
  await etcdctl.refuses("member not found", "member", "remove", id);

  const leader = await leaderOf(servers);
  const target = servers.find((server) => server !== leader)!;
  const targetId = BigInt((await status(target))!.nodeId).toString(16);
  await etcdctl.prints(/Leadership transferred from/, "move-leader", targetId);
  run.require((await leaderOf(servers)) === target, `${target.name} leads now`);

  const revision = /"revision":(\d+)/.exec(await etcdctl.ok("get", "x", "-w", "json"))![1]!;
  const hashes = await etcdctl.ok("endpoint", "hashkv", `--rev=${revision}`);
  const distinct = new Set(
    hashes
      .trim()
      .split("\n")
      .map((line) => line.split(", ")[1]),
  );
  run.require(
    distinct.size === 1 && hashes.trim().split("\n").length === 3,
    `etcdctl endpoint hashkv: ${[...distinct].join()}`,
  );
  await etcdctl.prints(`compacted revision ${revision}\n`, "compaction", "--physical", revision);
  await etcdctl.refuses("mvcc: required revision has been compacted", "get", "--rev=2", "k1");
  await etcdctl.refuses("mvcc: required revision has been compacted", "compaction", "2");
  await etcdctl.prints(/(?:Finished defragmenting.*\n){3}/, "defrag");
  await etcdctl.prints("", "alarm", "list");
  await etcdctl.prints("", "alarm", "disarm");

  const file = join(dir, "saved.db");
  const one = new Etcdctl(run, [servers[0]!.url]);
  await etcdctl.ok("put", "saved", "yes");
  await one.prints(/Snapshot saved at/, "snapshot", "save", file);
  run.require((await readFile(file)).length > 64, "the snapshot has content");
  run.require(
    /revision/i.test(await dEngineOk("snapshot", "status", file)),
    "d-engine snapshot status reads it",
  );
}

async function mirrors(run: Run, etcdctl: Etcdctl, dir: string): Promise<void> {
  const [mirror] = await cluster(run, join(dir), 1, { "data-dir": join(dir, "mirror"), "log-level": "warn" });
  await mirror!.start();
  for (let i = 0; i < 20; i++) await etcdctl.ok("put", `m/${i}`, String(i));
  const making = etcdctl.start("make-mirror", "--prefix=m/", new URL(mirror!.url).host);
  const there = new Etcdctl(run, [mirror!.url]);
  await until(30, "the keys to be mirrored", async () => (await there.ok("get", "m/19")) === "m/19\n19\n");
  await etcdctl.ok("put", "m/20", "20");
  await until(30, "a change to be mirrored", async () => (await there.ok("get", "m/20")) === "m/20\n20\n");
  await making.interrupt();
  run.require(true, "etcdctl make-mirror copies, and goes on");
  await mirror!.signal("SIGTERM");
}

async function checks(run: Run, etcdctl: Etcdctl): Promise<void> {
  // How fast it found us is the machine's affair; that every write was answered is ours.
  const { stdout } = await etcdctl.result("check", "perf", "--load=s");
  const answered = /Throughput .*\d+ writes\/s/.test(stdout) && !stdout.includes("ERROR");
  run.require(answered, `etcdctl check perf --load=s${answered ? "" : `: ${stdout}`}`);
  await etcdctl.prints(/PASS: Approximate system memory used/, "check", "datascale", "--load=s");
}

async function users(run: Run, etcdctl: Etcdctl): Promise<void> {
  await etcdctl.prints("User root created\n", "user", "add", "root:secret");
  await etcdctl.prints("Role reader created\n", "role", "add", "reader");
  await etcdctl.prints(
    "Role reader updated\n",
    "role",
    "grant-permission",
    "reader",
    "read",
    "--prefix=true",
    "pub/",
  );
  await etcdctl.prints("User ann created\n", "user", "add", "ann:pw");
  await etcdctl.refuses("user name already exists", "user", "add", "ann:pw");
  await etcdctl.prints("Role reader is granted to user ann\n", "user", "grant-role", "ann", "reader");
  await etcdctl.ok("put", "pub/1", "open");
  await etcdctl.ok("put", "secret", "hidden");
  // It makes the role root and grants it, if need be.
  await etcdctl.prints("Authentication Enabled\n", "auth", "enable");

  const root = etcdctl.with("--user=root:secret");
  const ann = etcdctl.with("--user=ann:pw");
  await etcdctl.refuses("user name is empty", "get", "pub/1");
  await ann.prints("pub/1\nopen\n", "get", "pub/1");
  await ann.refuses("permission denied", "get", "secret");
  await ann.refuses("permission denied", "put", "pub/1", "changed");
  await ann.refuses("permission denied", "get", "--prefix", "p");
  await ann.refuses("permission denied", "user", "list");
  await etcdctl
    .with("--user=ann:wrong")
    .refuses("authentication failed, invalid user ID or password", "get", "pub/1");
  const watch = ann.start("watch", "secret");
  await root.ok("put", "secret", "still hidden");
  const told = await watch.ended;
  run.require(!told.includes("hidden"), "a watch without permission is told nothing");
  await root.prints(/^User: ann\nRoles: reader\n$/, "user", "get", "ann");
  await root.prints(
    /^Role reader\nKV Read:\n\t\[pub\/, pub0\) \(prefix pub\/\)\nKV Write:\n$/,
    "role",
    "get",
    "reader",
  );
  await root.prints("Role reader is revoked from user ann\n", "user", "revoke-role", "ann", "reader");
  await ann.refuses("permission denied", "get", "pub/1");
  await root.prints("ann\nroot\n", "user", "list");
  await root.prints("reader\nroot\n", "role", "list");
  await root.prints(
    /^Permission of .* is revoked from role reader\n$/,
    "role",
    "revoke-permission",
    "reader",
    "--prefix=true",
    "pub/",
  );
  await root.prints("User ann deleted\n", "user", "delete", "ann");
  await root.prints("Role reader deleted\n", "role", "delete", "reader");
  await root.prints("Authentication Disabled\n", "auth", "disable");
  await etcdctl.prints("secret\nstill hidden\n", "get", "secret");
}
