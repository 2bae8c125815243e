// Three servers under load while they are killed and paused. Afterwards: no acknowledged write is lost, none that was
// refused is there, what was read fits one order of the writes, money is neither made nor lost, and all members have
// the same state.

import { setTimeout as sleep } from "node:timers/promises";
import { checkLinearizability } from "../sim/checkers/linearizability.ts";
import { registerModel } from "../sim/checkers/models.ts";
import {
  ACCOUNTS,
  Client,
  Record,
  type RegisterOperation,
  TOTAL,
  UNIQUE_PREFIX,
} from "./cluster-kill/workload.ts";
import { Nemesis } from "./cluster-kill/nemesis.ts";
import { call, decode, encode, prefixEnd } from "./support/api.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program, type Run } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import type { Server } from "./support/server.ts";
import { until } from "./support/waiting.ts";

const LOAD_SECONDS = 90;
const CLIENTS = 12;

await program("cluster-kill", 170, async (run) => {
  const servers = await cluster(run, await workDir(run), 3, {
    "snapshot-count": "2000",
    "log-level": "warn",
  });
  await Promise.all(servers.map((server) => server.start()));
  const leader = await leaderOf(servers);
  for (const account of ACCOUNTS) await mustPut(leader, account, String(TOTAL / ACCOUNTS.length));

  const record = new Record();
  const seeds = new Seeded(run.seed);
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new Client(id, servers, new Seeded(seeds.below(2 ** 31)), record),
  );
  const nemesis = new Nemesis(servers, new Seeded(seeds.below(2 ** 31)), run);
  const overAt = performance.now() + LOAD_SECONDS * 1000;
  let healed = false;
  const working = Promise.all(clients.map((client) => client.run(() => healed)));
  const faults = await nemesis.rage(() => performance.now() > overAt);
  await leaderOf(servers, 30);
  await sleep(1000);
  healed = true;
  await working;

  const { ok, failed, unknown } = record.counts;
  run.require(faults >= 8, `${faults} faults in ${LOAD_SECONDS} s`);
  run.require(ok > 1000, `requests: ${ok} done, ${failed} refused, ${unknown} without a certain end`);
  await checkUniques(run, record, servers);
  await checkRegisters(run, record, clients[0]!, servers);
  run.require(
    record.brokenSums.length === 0 && record.transfers > 0,
    `${record.transfers} transfers; ${record.sums} times the accounts held ${TOTAL} together ${record.brokenSums[0] ?? ""}`,
  );
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});

async function mustPut({ url }: Server, key: string, value: string): Promise<void> {
  await until(20, "a first write", async () => {
    const outcome = await call(url, "kv/put", { key: encode(key), value: encode(value) });
    return outcome.status === "ok";
  });
}

/** Every member shows every write that was acknowledged and none that was refused. */
async function checkUniques(run: Run, { uniques }: Record, servers: readonly Server[]): Promise<void> {
  const range = { key: encode(UNIQUE_PREFIX), range_end: encode(prefixEnd(UNIQUE_PREFIX)) };
  for (const { name, url } of servers) {
    const reply = await until(20, `a read at ${name}`, async () => {
      const outcome = await call(url, "kv/range", range);
      return outcome.status === "ok" ? outcome.reply : null;
    });
    const present = new Map((reply.kvs ?? []).map(({ key, value }) => [decode(key), decode(value)]));
    const keysThatEnded = (status: string): string[] =>
      [...uniques].filter(([, ended]) => ended === status).map(([key]) => key);
    const acknowledged = keysThatEnded("ok");
    const lost = acknowledged.filter((key) => present.get(key) !== key);
    run.require(
      lost.length === 0 && acknowledged.length > 0,
      `${name} has all ${acknowledged.length} acknowledged writes ${lost.slice(0, 5).join(" ")}`,
    );
    const refused = keysThatEnded("failed");
    const undead = refused.filter((key) => present.has(key));
    run.require(
      undead.length === 0,
      `and none of the ${refused.length} refused ones ${undead.slice(0, 5).join(" ")}`,
    );
    const unknown = keysThatEnded("unknown");
    const happened = unknown.filter((key) => present.has(key)).length;
    run.observe(`  of ${unknown.length} writes without a certain end ${happened} happened`);
  }
}

/** What was read, and what every register holds in the end at every member, fits one order of the writes. */
async function checkRegisters(
  run: Run,
  record: Record,
  reader: Client,
  servers: readonly Server[],
): Promise<void> {
  const keys = [...new Set(record.registers.map(({ input }) => input.key))];
  for (const { url } of servers) for (const key of keys) await reader.read(key, "linearizable", url);
  const history: readonly RegisterOperation[] = record.registers;
  const result = checkLinearizability(registerModel(), history, { maxSteps: 20_000_000 });
  const explanation = "explanation" in result ? `\n${result.explanation}` : "";
  run.require(
    result.verdict === "ok",
    `${history.length} reads, writes and swaps of ${keys.length} registers are linearizable (${result.steps} steps)${explanation}`,
  );
}
