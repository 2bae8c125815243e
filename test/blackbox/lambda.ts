// A function that is the node, in real processes: the bundle that is deployed, AWS's runtime and emulator, and every
// process stopped (SIGSTOP) between its invocations. Many of them at once change the same keys; afterwards no acknowledged
// write is lost, and everything that was read fits one order of the writes.
//
// --storage=URL: a store that is there. --server=NAME: one that is started here. --ric=DIR, --emulator=FILE: AWS's
// aws-lambda-ric and Runtime Interface Emulator; without them small ones of ours. --seconds=N: for how long. --at-once=N:
// how many invocations raise the counter together, 20 by default. --clients=N: how many there are after that, 4.

import type { AddressInfo } from "node:net";
import { functionUrl } from "../../lambda/function-url.ts";
import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { deploy } from "./lambda/deploy.ts";
import { Fleet } from "./lambda/fleet.ts";
import { compareAndSetAtOnce, staleAfterThaw } from "./lambda/scenes.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { call, encode } from "./support/api.ts";
import { workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { sleep, until } from "./support/waiting.ts";

const TOKEN = "a-token-for-the-black-box";
const ENV = { ETCD_NAME: "n1", D_ENGINE_CLIENT_TOKEN: TOKEN, AWS_REGION: "us-east-1" };
const MAX_ENVIRONMENTS = 24;
const ENOUGH = 20;
const DONE_BETWEEN_KILLS = 6;
const MAX_LOAD_MS = 90_000;
/** Longer than what most clients wait: on a small machine twenty cold starts at once take their time. */
const TIMEOUT_MS = 15_000;

await program("lambda", 240, async (run) => {
  const dir = await workDir(run);
  const env = { ...ENV, D_ENGINE_STORAGE: await storageUrl(run) };
  const options = await deploy(run, dir, { handler: "index.node", env, timeoutMs: TIMEOUT_MS });
  const fleet = new Fleet(options, MAX_ENVIRONMENTS);
  run.cleanUp(() => fleet.killAll());
  const server = functionUrl((event) => fleet.invoke(event));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  run.cleanUp(() => server.closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoint = { name: "the function", url, headers: { Authorization: `Bearer ${TOKEN}` } };
  // On a machine that is busy the first cold start takes longer than what comes after it.
  await until(90, "the function to take a first write", async () => {
    const { status } = await call(endpoint, "kv/put", { key: encode("first"), value: "" }, TIMEOUT_MS);
    return status === "ok";
  });
  await openAccounts(endpoint);

  await staleAfterThaw(run, fleet, endpoint);
  await compareAndSetAtOnce(run, endpoint, Number(run.option("at-once") ?? 20));
  run.observe(`${fleet.coldStarts} environments were started`);
  // Fewer of them go on: what twenty do is slow on a small machine, and has been seen.
  await fleet.killAll();

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: Number(run.option("clients") ?? 4) },
    (_, id) => new Client(id, [endpoint], new Seeded(seeds.below(2 ** 31)), record),
  );
  const ms = Number(run.option("seconds") ?? 20) * 1000;
  const startedMs = performance.now();
  // A machine that is busy with other things takes longer for as much.
  const isOver = (): boolean => {
    const passedMs = performance.now() - startedMs;
    return passedMs > MAX_LOAD_MS || (passedMs > ms && record.counts.ok > ENOUGH);
  };
  const killing = killNowAndThen(fleet, record, isOver);
  await Promise.all(clients.map((client) => client.run(isOver)));
  await killing;
  // What clients gave up goes on no longer, and an environment that starts cold must find what was acknowledged.
  await fleet.killAll();
  const { ok, failed, unknown } = record.counts;
  run.require(ok > ENOUGH, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, [endpoint]);
  await checkRegisters(run, record, clients[0]!, [endpoint]);
  checkSums(run, record);
});

/** Lambda ends environments whenever it likes; here only as often as something is done in between. */
async function killNowAndThen(fleet: Fleet, { counts }: Record, isOver: () => boolean): Promise<void> {
  for (let done = 0; !isOver(); await sleep(500)) {
    if (counts.ok < done + DONE_BETWEEN_KILLS) continue;
    done = counts.ok;
    await fleet.environments.at(-1)?.kill();
  }
}
