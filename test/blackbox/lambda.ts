// A function that is the node, in real processes: the bundle that is deployed, a runtime that asks the Runtime API for
// work, and every process stopped (SIGSTOP) between its invocations. Many of them at once change the same keys;
// afterwards no acknowledged write is lost, and everything that was read fits one order of the writes.
//
// --storage=URL: a store that is there. --server=NAME: one that is started here. --ric=DIR: where aws-lambda-ric is
// installed; without it a small runtime of ours. --seconds=N: for how long.

import type { AddressInfo } from "node:net";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFunction } from "../../lambda/build.ts";
import { functionUrl } from "../../lambda/function-url.ts";
import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { Fleet } from "./lambda/fleet.ts";
import { compareAndSetAtOnce, staleAfterThaw } from "./lambda/scenes.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { workDir } from "./support/cluster.ts";
import { type Run, program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { sleep } from "./support/waiting.ts";

const TOKEN = "a-token-for-the-black-box";
const CLIENTS = 4;
const MAX_ENVIRONMENTS = 24;
const ENOUGH = 40;
/** Longer than what most clients wait: on a small machine twenty cold starts at once take their time. */
const TIMEOUT_MS = 15_000;

await program("lambda", 240, async (run) => {
  const dir = await workDir(run);
  const fleet = await deploy(run, dir, await storageUrl(run));
  const server = functionUrl((event) => fleet.invoke(event));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  run.cleanUp(() => server.closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoint = { name: "the function", url, headers: { Authorization: `Bearer ${TOKEN}` } };
  await openAccounts(endpoint);

  await staleAfterThaw(run, fleet, endpoint);
  await compareAndSetAtOnce(run, endpoint, 20);
  run.observe(`${fleet.coldStarts} environments were started`);
  // Fewer of them go on: what twenty do is slow on a small machine, and has been seen.
  await fleet.killAll();

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, [endpoint], new Seeded(seeds.below(2 ** 31)), record),
  );
  const ms = Number(run.option("seconds") ?? 20) * 1000;
  const startedMs = performance.now();
  // A machine that is busy with other things takes longer for as much.
  const isOver = (): boolean => {
    const passedMs = performance.now() - startedMs;
    return passedMs > 6 * ms || (passedMs > ms && record.counts.ok > ENOUGH);
  };
  const killing = killNowAndThen(fleet, isOver);
  await Promise.all(clients.map((client) => client.run(isOver)));
  await killing;
  const { ok, failed, unknown } = record.counts;
  run.require(ok > ENOUGH, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, [endpoint]);
  await checkRegisters(run, record, clients[0]!, [endpoint]);
  checkSums(run, record);
});

/** The bundle, as it is deployed, with a runtime beside it. */
async function deploy(run: Run, dir: string, storage: string): Promise<Fleet> {
  const task = join(dir, "task");
  await mkdir(task);
  await buildFunction(task);
  // On Lambda the SDK is beside the runtime.
  await symlink(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(task, "node_modules"));
  const ric = run.option("ric");
  const own = fileURLToPath(new URL("lambda/small-runtime.ts", import.meta.url));
  const runtime = ric === undefined ? own : join(ric, "node_modules/aws-lambda-ric/index.mjs");
  run.observe(ric === undefined ? "a runtime of our own" : "AWS's aws-lambda-ric");
  const fleet = new Fleet(
    {
      runtime: [process.execPath, runtime],
      dir: task,
      handler: "index.node",
      env: {
        D_ENGINE_STORAGE: storage,
        ETCD_NAME: "n1",
        D_ENGINE_CLIENT_TOKEN: TOKEN,
        AWS_REGION: "us-east-1",
      },
      timeoutMs: TIMEOUT_MS,
      logFile: join(dir, "function.log"),
    },
    MAX_ENVIRONMENTS,
  );
  run.cleanUp(() => fleet.killAll());
  return fleet;
}

/** Lambda ends environments whenever it likes. */
async function killNowAndThen(fleet: Fleet, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await sleep(2000);
    await fleet.environments.at(-1)?.kill();
  }
}
