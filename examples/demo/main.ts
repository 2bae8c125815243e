// Three processes on this machine form a cluster, take writes, serve reads, lose their leader to SIGKILL and get it
// back. Every line printed is an observation; the first one that contradicts a promise ends the demo with an error.

import { DemoCluster, type DemoNode, until } from "./cluster.ts";
import { type Consistency, get, GatewayError, put, putAllIfUnchanged, status } from "./gateway.ts";
import { chapter, latencies, note, observe, require } from "./report.ts";

const SAMPLES = 200;
const WRITERS = 8;
const ACCOUNTS = ["alice", "bob", "carol", "dave"];
const TOTAL = 400;

async function main(): Promise<void> {
  const cluster = await DemoCluster.create();
  try {
    const leader = await elect(cluster);
    await measure(leader);
    await transferMoney(cluster);
    const acknowledged = await killLeaderUnderLoad(cluster, leader);
    await readBack(cluster, acknowledged);
    await rejoin(cluster, leader);
  } finally {
    await cluster.destroy();
  }
  console.log("\nAll of it was as promised.");
}

async function elect(cluster: DemoCluster): Promise<DemoNode> {
  chapter("Three processes, one cluster");
  const startedMs = performance.now();
  await Promise.all(cluster.nodes.map((node) => cluster.start(node)));
  for (const node of cluster.nodes) note(`${node.name}  process ${node.process?.pid}  ${node.url}`);
  const leader = await awaitLeader(cluster);
  observe(`${leader.name} was elected ${elapsed(startedMs)} after the start`);
  return leader;
}

/** The member that every running member takes for the leader. */
async function awaitLeader(cluster: DemoCluster): Promise<DemoNode> {
  let leader: DemoNode | undefined;
  await until(20_000, "a leader", async () => {
    const running = cluster.nodes.filter((node) => node.process !== null);
    const seen = await Promise.all(running.map(({ url }) => status(url)));
    const leaderId = seen[0]?.leaderId ?? null;
    if (leaderId === null || seen.some((each) => each?.leaderId !== leaderId)) return false;
    leader = running[seen.findIndex((each) => each?.nodeId === leaderId)];
    return leader !== undefined;
  });
  return leader!;
}

async function measure({ name, url }: DemoNode): Promise<void> {
  chapter(`Writes and reads, one after the other, at ${name}`);
  const write = await sample((i) => put(url, `demo/${i % 10}`, `value ${i}`));
  observe(`${SAMPLES} writes, each on the disks of a majority: ${latencies(write)}`);
  for (const consistency of ["linearizable", "lease", "eventual"] satisfies Consistency[]) {
    let found = 0;
    const read = await sample(async (i) => {
      if ((await get(url, `demo/${i % 10}`, consistency)) !== null) found++;
    });
    require(found === SAMPLES, `${SAMPLES} ${consistency} reads: ${latencies(read)}`);
  }
}

async function sample(operation: (i: number) => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    const startedMs = performance.now();
    await operation(i);
    samples.push(performance.now() - startedMs);
  }
  return samples;
}

async function transferMoney(cluster: DemoCluster): Promise<void> {
  chapter("A bank: transfers between four accounts, from all three members at once");
  const url = cluster.nodes[0]!.url;
  for (const account of ACCOUNTS) await put(url, account, String(TOTAL / ACCOUNTS.length));
  let transfers = 0;
  let conflicts = 0;
  await Promise.all(
    cluster.nodes.map(async (node, n) => {
      for (let i = 0; i < 40; i++) {
        const [from, to] = [ACCOUNTS[(i + n) % 4]!, ACCOUNTS[(i * 3 + n + 1) % 4]!];
        if (from === to) continue;
        if (await transfer(node.url, from, to, 1 + (i % 7))) transfers++;
        else conflicts++;
      }
    }),
  );
  const balances = await Promise.all(ACCOUNTS.map((account) => get(url, account, "linearizable")));
  const sum = balances.reduce((total, balance) => total + Number(balance?.value), 0);
  observe(`${transfers} transfers went through, ${conflicts} met a conflict and changed nothing`);
  require(sum === TOTAL, `the accounts still hold ${TOTAL} together`);
}

async function transfer(url: string, from: string, to: string, amount: number): Promise<boolean> {
  const [source, target] = await Promise.all([get(url, from, "linearizable"), get(url, to, "linearizable")]);
  if (source === null || target === null || Number(source.value) < amount) return false;
  return await putAllIfUnchanged(url, [
    { key: from, readAt: source.modRevision, value: String(Number(source.value) - amount) },
    { key: to, readAt: target.modRevision, value: String(Number(target.value) + amount) },
  ]);
}

/** Keys whose write was acknowledged, with their values. */
type Acknowledged = Map<string, string>;

async function killLeaderUnderLoad(cluster: DemoCluster, leader: DemoNode): Promise<Acknowledged> {
  chapter(`SIGKILL of the leader, ${leader.name}, under load`);
  const survivors = cluster.nodes.filter((node) => node !== leader);
  const acknowledged: Acknowledged = new Map();
  let unknown = 0;
  let killedMs: number | null = null;
  let nextWriteMs: number | null = null;
  let done = false;
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; !done; i++) {
      const [key, value] = [`load/${writer}/${i}`, `${writer}:${i}`];
      // Writers are spread over all members, and the dead one's go on with the others.
      const targets = killedMs === null ? cluster.nodes : survivors;
      const sentMs = performance.now();
      try {
        await put(targets[writer % targets.length]!.url, key, value);
        acknowledged.set(key, value);
        if (killedMs !== null && sentMs > killedMs) nextWriteMs ??= performance.now();
      } catch (error) {
        if (!(error instanceof GatewayError) || error.code === 14) unknown++;
      }
    }
  };
  const writers = Array.from({ length: WRITERS }, (_, writer) => write(writer));
  await sleep(1500);
  const before = acknowledged.size;
  killedMs = performance.now();
  await cluster.kill(leader);
  await until(20_000, "a write after the kill", async () => nextWriteMs !== null);
  observe(`${before} writes acknowledged before the kill`);
  observe(`${Math.round(nextWriteMs! - killedMs)} ms from the kill to the first write that began after it`);
  await sleep(1000);
  done = true;
  await Promise.all(writers);
  observe(
    `${acknowledged.size - before} writes acknowledged by the other two since, ${unknown} left unknown`,
  );
  return acknowledged;
}

async function readBack(cluster: DemoCluster, acknowledged: Acknowledged): Promise<void> {
  chapter("Every acknowledged write, read back");
  const { name } = await awaitLeader(cluster);
  const urls = cluster.nodes.filter((node) => node.process !== null).map((node) => node.url);
  let lost = 0;
  const entries = [...acknowledged];
  await Promise.all(
    urls.map(async (url, n) => {
      for (let i = n; i < entries.length; i += urls.length) {
        const [key, value] = entries[i]!;
        if ((await get(url, key, "linearizable"))?.value !== value) lost++;
      }
    }),
  );
  observe(`${name} leads now`);
  require(lost === 0, `${entries.length} of ${entries.length} are there`);
}

async function rejoin(cluster: DemoCluster, killed: DemoNode): Promise<void> {
  chapter(`${killed.name} comes back`);
  const startedMs = performance.now();
  await cluster.start(killed);
  let hashes: string[] = [];
  await until(20_000, `${killed.name} to catch up`, async () => {
    const all = await Promise.all(cluster.nodes.map(({ url }) => status(url, true)));
    if (all.some((each) => each === null || each.revision !== all[0]?.revision)) return false;
    hashes = all.map((each) => each!.stateHash!);
    return true;
  });
  observe(`it caught up ${elapsed(startedMs)} after its start`);
  require(new Set(hashes).size === 1, `all three have the same state, with hash ${hashes[0]}`);
}

function elapsed(sinceMs: number): string {
  return `${Math.round(performance.now() - sinceMs)} ms`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await main();
