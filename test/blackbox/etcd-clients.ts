// etcd's clients, unchanged and by gRPC, against three servers: npm's etcd3, whose node is killed while it works, and
// Go's clientv3, if `--clientv3=PROGRAM` names what test/blackbox/clientv3 was built to.

import { Etcd3, EtcdLockFailedError, type IOptions } from "etcd3";
import { execute } from "./support/command.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program, type Run } from "./support/program.ts";
import type { Server } from "./support/server.ts";
import { sleep, until } from "./support/waiting.ts";

await program("etcd-clients", 200, async (run) => {
  const servers = await cluster(run, await workDir(run), 3, { "log-level": "warn" });
  await Promise.all(servers.map((server) => server.start()));
  await leaderOf(servers);
  const goProgram = run.option("clientv3");
  if (goProgram !== undefined) await clientv3(run, goProgram, servers);
  const connect = (options: Partial<IOptions> = {}): Etcd3 => {
    const client = new Etcd3({ hosts: servers.map(({ url }) => url), ...options });
    run.cleanUp(() => client.close());
    return client;
  };
  const client = connect();
  await keys(run, client);
  await leases(run, client);
  await watches(run, client);
  await locksAndElections(run, client);
  await transactions(run, client);
  await survives(run, connect(), servers);
  await users(run, connect);
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});

async function clientv3(run: Run, file: string, servers: readonly Server[]): Promise<void> {
  const { exitCode, stdout, stderr } = await execute(
    file,
    servers.map(({ url }) => new URL(url).host),
    { timeoutMs: 110_000 },
  );
  process.stdout.write(stdout);
  run.require(exitCode === 0, `Go's clientv3: all of this ${stderr}`);
}

async function keys(run: Run, client: Etcd3): Promise<void> {
  await client.put("k/1").value("one");
  await client.put("k/2").value(Buffer.from([0, 255]));
  run.require((await client.get("k/1").string()) === "one", "etcd3 puts and gets text");
  const bytes = await client.get("k/2").buffer();
  run.require(bytes?.equals(Buffer.from([0, 255])) === true, "and bytes");
  const all = await client.getAll().prefix("k/").sort("Key", "Descend").keys();
  run.require(all.join() === "k/2,k/1", "a prefix, sorted");
  run.require((await client.getAll().prefix("k/").count()) === 2, "and counted");
  const swapped = await client.if("k/1", "Value", "==", "one").then(client.put("k/1").value("two")).commit();
  run.require(swapped.succeeded, "a transaction");
  await client.delete().prefix("k/");
  run.require((await client.get("k/1")) === null, "deleted keys are gone");
  const refused = await client
    .put("")
    .value("x")
    .then(() => null, String);
  run.require(refused?.includes("key is not provided") === true, "an error is told");
}

async function leases(run: Run, client: Etcd3): Promise<void> {
  const lease = client.lease(3);
  await lease.put("leased").value("1");
  await sleep(4500);
  run.require(
    (await client.get("leased").string()) === "1",
    "a lease is kept alive for longer than it would live",
  );
  await lease.revoke();
  run.require((await client.get("leased")) === null, "and takes its key with it");
}

async function watches(run: Run, client: Etcd3): Promise<void> {
  const watcher = await client.watch().prefix("watched/").withPreviousKV().create();
  const seen: string[] = [];
  watcher.on(
    "put",
    ({ value }, before) => void seen.push(`${before?.value.toString() ?? ""}>${value.toString()}`),
  );
  watcher.on("delete", ({ key }) => void seen.push(`-${key.toString()}`));
  for (let i = 0; i < 50; i++) await client.put("watched/a").value(i);
  await client.delete().key("watched/a");
  await until(20, "the changes", async () => seen.length === 51);
  const expected = Array.from({ length: 50 }, (_, i) => `${i === 0 ? "" : i - 1}>${i}`);
  run.require(
    seen.join() === [...expected, "-watched/a"].join(),
    "a watch tells every change, with what was before",
  );
  await watcher.cancel();
}

async function locksAndElections(run: Run, client: Etcd3): Promise<void> {
  let inside = 0;
  let most = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      try {
        await client.lock("mutex").do(async () => {
          most = Math.max(most, ++inside);
          await sleep(20);
          inside--;
          done++;
        });
        return;
      } catch (error) {
        if (!(error instanceof EtcdLockFailedError)) throw error;
        await sleep(10);
      }
    }
  };
  await Promise.all(Array.from({ length: 5 }, work));
  run.require(done === 5 && most === 1, "a lock has one holder at a time");
  const election = client.election("office", 3);
  const first = election.campaign("first");
  await new Promise((resolve, reject) => first.once("elected", () => resolve(null)).once("error", reject));
  const observer = await election.observe();
  await until(10, "the leader to be observed", async () => observer.leader() === "first");
  const second = client.election("office", 3).campaign("second");
  const elected = new Promise((resolve) => second.once("elected", resolve));
  await first.resign();
  await elected;
  await until(10, "the next leader to be observed", async () => observer.leader() === "second");
  run.require(true, "an election goes on to the next, and is observed");
  await observer.cancel();
  await second.resign();
}

async function transactions(run: Run, client: Etcd3): Promise<void> {
  await client.put("count").value(0);
  await Promise.all(
    Array.from({ length: 5 }, async () => {
      for (let i = 0; i < 5; i++) {
        await client.stm({ retries: 100 }).transact(async (tx) => {
          await tx.put("count").value(Number(await tx.get("count").string()) + 1);
        });
      }
    }),
  );
  run.require((await client.get("count").number()) === 25, "transactions in STM: none is lost");
}

/** Its node, whichever that is, and each after it. */
async function survives(run: Run, client: Etcd3, servers: readonly Server[]): Promise<void> {
  const lease = client.lease(10, { autoKeepAlive: true });
  await lease.put("survivor").value("1");
  const watcher = await client.watch().prefix("s/").create();
  const seen: string[] = [];
  watcher.on("put", ({ value }) => void seen.push(value.toString()));
  let written = 0;
  const write = async (): Promise<void> => {
    const value = String(written++);
    await until(30, "a write after a node was killed", () =>
      client
        .put("s/a")
        .value(value)
        .then(
          () => true,
          () => false,
        ),
    );
  };
  await write();
  for (const server of servers) {
    await server.signal("SIGKILL");
    for (let i = 0; i < 5; i++) await write();
    await server.start();
    await leaderOf(servers, 30);
    for (let i = 0; i < 5; i++) await write();
  }
  await until(30, "all that was written to be seen", async () => seen.includes(String(written - 1)));
  // A write whose answer was lost is repeated here, so a value may come twice; none may be missing or late.
  const order = seen.filter((value, i) => value !== seen[i - 1]);
  run.require(
    order.join() === Array.from({ length: written }, (_, i) => i).join(),
    `${written} writes and a watch go on while each node is killed in turn`,
  );
  run.require((await client.get("survivor").string()) === "1", "and so does a lease");
  await watcher.cancel();
  await lease.revoke();
}

async function users(run: Run, connect: (options?: Partial<IOptions>) => Etcd3): Promise<void> {
  const open = connect();
  await open
    .role("root")
    .create()
    .catch(() => undefined);
  const root = await open.user("root").create("secret");
  await root.addRole("root");
  const role = await open.role("reader").create();
  await role.grant({ permission: "Read", range: open.range({ prefix: "pub/" }) });
  const ann = await open.user("ann").create("pw");
  await ann.addRole(role);
  await open.put("pub/1").value("open");
  await open.auth.authEnable();
  const asRoot = connect({ auth: { username: "root", password: "secret" } });
  try {
    const asAnn = connect({ auth: { username: "ann", password: "pw" } });
    run.require((await asAnn.get("pub/1").string()) === "open", "a user reads what it may");
    const problem = await asAnn
      .put("pub/1")
      .value("x")
      .then(() => null, String);
    run.require(problem?.includes("permission denied") === true, "and writes nothing that it may not");
    const wrong = connect({ auth: { username: "ann", password: "wrong" } });
    const refused = await wrong.get("pub/1").then(() => null, String);
    run.require(refused?.includes("authentication failed") === true, "a wrong password is refused");
  } finally {
    await asRoot.auth.authDisable();
  }
}
