// Three servers with a thousand watches, a hundred leases and twenty contenders for a few locks, while their leader is
// killed again and again. Afterwards, from the recorded history: no change was missed or told twice, no lease ended
// early, and nobody wrote under a lock that was somebody else's.

import { type Change, type Client, createClient } from "../../src/runtimes/client/index.ts";
import { Contenders, type Written } from "./coordination-kill/contenders.ts";
import { Leases } from "./coordination-kill/leases.ts";
import { LAST, Watchers } from "./coordination-kill/watchers.ts";
import { cluster, leaderOf, settledHashes, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { sleep } from "./support/waiting.ts";

const WATCHES = 1000;
/** Of these, so many see every topic. */
const WIDE_WATCHES = 50;
const TOPICS = 50;
const LEASES = 100;
const CONTENDERS = 20;
const LOCKS = 4;
const WRITERS = 4;
const KILLS = 4;

await program("coordination-kill", 240, async (run) => {
  const servers = await cluster(run, await workDir(run), 3, { "log-level": "warn", "snapshot-count": "500" });
  await Promise.all(servers.map((server) => server.start()));
  await leaderOf(servers);
  const urls = servers.map(({ url }) => url);
  const seeds = new Seeded(run.seed);
  const clients = urls.map((_, i) => createClient({ endpoints: [...urls.slice(i), ...urls.slice(0, i)] }));
  run.cleanUp(() => clients.forEach((client) => client.close()));
  const clientOf = (i: number): Client => clients[i % clients.length]!;

  const watchers = new Watchers();
  while (watchers.count < WATCHES) {
    const some = Array.from({ length: 20 }, (_, i) => watchers.count + i);
    await Promise.all(
      some.map((i) => watchers.watch(clientOf(i), i < WIDE_WATCHES ? "topic/" : `topic/${i % TOPICS}/`)),
    );
  }
  run.observe(`${watchers.count} watches have begun`);

  let over = false;
  const isOver = (): boolean => over;
  const leases = new Leases(servers, new Seeded(seeds.below(2 ** 31)));
  for (const client of clients) await leases.observe(client);
  for (let i = 0; i < LEASES; i++) leases.work(i, isOver);
  const contenders = new Contenders(new Seeded(seeds.below(2 ** 31)));
  for (let i = 0; i < CONTENDERS; i++) contenders.work(clientOf(i), `c${i}`, String(i % LOCKS), isOver);
  const random = new Seeded(seeds.below(2 ** 31));
  const writing = Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      for (let i = 0; !over; i++) {
        const put = clientOf(writer).put(`topic/${random.below(TOPICS)}/${writer}`, String(i));
        await put.catch(() => undefined);
        await sleep(30 + random.below(60));
      }
    }),
  );

  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(4000 + random.below(2000));
    const leader = await leaderOf(servers, 30);
    run.observe(`${leader.name} leads, and is killed`);
    await leader.signal("SIGKILL");
    await sleep(1000 + random.below(2000));
    await leader.start();
  }
  await sleep(3000);
  over = true;
  await Promise.all([writing, contenders.ended()]);
  await leases.check(run, clients[0]!);

  for (let topic = 0; topic < TOPICS; topic++) await clients[0]!.put(`topic/${topic}/${LAST}`, "");
  await clients[0]!.put(`topic/${LAST}`, "");
  const history = await historyUntil(clients[1]!, `topic/${LAST}`);
  contenders.check(run, history);
  await watchers.check(run, history);
  const hashes = await settledHashes(servers);
  run.require(new Set(hashes).size === 1, `all members have the same state: ${hashes.join(", ")}`);
});

/** Every change there has been, until this key was put. */
async function historyUntil(client: Client, last: string): Promise<readonly Written[]> {
  const history: Written[] = [];
  for await (const change of client.watchPrefix("", {
    startRevision: 1,
    signal: AbortSignal.timeout(60_000),
  })) {
    history.push(written(change));
    if (change.key === last) break;
  }
  return history;
}

function written({ key, type, revision, value, kv }: Change): Written {
  return { key, type, revision, value, createRevision: kv.createRevision };
}
