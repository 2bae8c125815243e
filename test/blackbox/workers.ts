// Three Durable Objects and the Worker in front, in workerd, under load while objects are aborted in mid-write, made
// slow and of another version, restarted all at once by a deployment, lost for good and replaced, and while the runtime
// with all of them is ended. Afterwards: no acknowledged write is lost, none that was refused is there, what was read
// fits one order of the writes, and all objects have the same state.
//
// --under=wrangler: `wrangler dev` and not Miniflare.

import { checkRegisters, checkSums, checkUniques, openAccounts } from "./cluster-kill/checks.ts";
import { Client, Record } from "./cluster-kill/workload.ts";
import { call, decode, encode } from "./support/api.ts";
import { settledHashes, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { sleep, until } from "./support/waiting.ts";
import { front } from "./workers/deployment.ts";
import { inMiniflare } from "./workers/in-miniflare.ts";
import { ObjectNemesis } from "./workers/nemesis.ts";
import { underWrangler } from "./workers/under-wrangler.ts";

const CLIENTS = 8;

await program("workers", 240, async (run) => {
  const dir = await workDir(run);
  const wrangler = run.option("under") === "wrangler";
  const deployment = wrangler ? await underWrangler(run, dir) : await inMiniflare(run, dir);
  const worker = front(deployment);
  await openAccounts(worker);
  for (const consistency of ["linearizable", "lease", "eventual"]) {
    await until(20, `a read that is ${consistency}`, async () => {
      const outcome = await call(worker, "kv/range", { key: encode("bank/ann"), consistency });
      return outcome.status === "ok" && decode(outcome.reply.kvs?.[0]?.value) === "100";
    });
    run.observe(`what was written is read under the policy "${consistency}"`);
  }

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, [worker], new Seeded(seeds.below(2 ** 31)), record),
  );
  let over = false;
  const working = Promise.all(clients.map((client) => client.run(() => over)));
  const nemesis = new ObjectNemesis(run, deployment);
  await nemesis.leaderAborted("written");
  await nemesis.leaderAborted("durable");
  await nemesis.allAborted();
  await nemesis.slowed(1500);
  await nemesis.estranged();
  await nemesis.restarted();
  await nemesis.deployed({ D_ENGINE_LINGER: "5" });
  await nemesis.replaced("n3", "n4");
  await sleep(2000);
  over = true;
  await working;

  const { ok, failed, unknown } = record.counts;
  run.require(ok > 100, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, nemesis.objects);
  await checkRegisters(run, record, clients[0]!, nemesis.objects);
  checkSums(run, record);
  const hashes = await settledHashes(nemesis.objects);
  run.require(new Set(hashes).size === 1, `all objects have the same state: ${hashes.join(", ")}`);
});
