// One random stream of requests, to a real etcd, to a single member and to the members of a group of three in turn:
// status, body, revisions and errors must be the same, except for ids and terms. Watches that are open all the while,
// and others that are opened at the end on what is left of history, must be told the same events in the same order.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { replyLine } from "../runtimes/http/recording.ts";
import { lastSeen, type Mark, Watched, type WatchSpec } from "./etcd-differential/watches.ts";
import { type Horizon, type Request, Requests } from "./etcd-differential/requests.ts";
import { cluster, leaderOf, workDir } from "./support/cluster.ts";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { program, type Run } from "./support/program.ts";
import { Seeded } from "./support/random.ts";
import { until } from "./support/waiting.ts";

const SECONDS = 75;
const MAX_REQUESTS = 6000;
/** Fewer would be no comparison. */
const MIN_REQUESTS = 1000;
const LIVE_WATCHES = 12;
const LATE_WATCHES = 40;

await program("etcd-differential", 170, async (run) => {
  const dir = await workDir(run);
  const etcdUrl = await startEtcd(run, join(dir, "etcd"));
  const [alone] = await cluster(run, await workDir(run), 1);
  const three = await cluster(run, dir, 3);
  await Promise.all([alone!, ...three].map((server) => server.start()));
  await leaderOf(three);
  await until(20, "the single member to lead", async () => (await alone!.get("/health")).ok);

  const seeds = new Seeded(run.seed);
  const requests = new Requests(new Seeded(seeds.below(2 ** 31)));
  const kinds = new Map<string, number>();
  const everywhere = (spec: WatchSpec): Triple => ({
    spec,
    watches: [etcdUrl, alone!.url, seeds.pick(three).url].map((url) => new Watched(url, spec)),
  });
  const live = Array.from({ length: LIVE_WATCHES }, () => everywhere(requests.watch(null)));
  await Promise.all(live.flatMap(({ watches }) => watches).map((watch) => watch.created()));
  let horizon: Horizon = { revision: 1, compacted: 0 };
  const endMs = performance.now() + SECONDS * 1000;
  let sent = 0;
  for (; sent < MAX_REQUESTS && performance.now() < endMs; sent++) {
    const request = requests.next(horizon);
    const [expected, single, replicated] = await Promise.all([
      ask(etcdUrl, request),
      ask(alone!.url, request),
      ask(seeds.pick(three).url, request),
    ]);
    for (const [who, reply] of [
      ["one member", single],
      ["three members", replicated],
    ] as const) {
      if (reply === expected) continue;
      run.require(
        false,
        `${who} reply to request ${sent}, ${request.path} ${JSON.stringify(request.body)},\n${reply}\nas etcd does:\n${expected}`,
      );
    }
    const kind = `${request.path.slice(4)} ${expected.slice(0, 3)}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    horizon = after(horizon, request, expected);
  }
  const marks: Mark[] = [];
  for (const { request, key, type } of requests.marks()) {
    const replies = await Promise.all([etcdUrl, alone!.url, three[0]!.url].map((url) => ask(url, request)));
    if (new Set(replies).size > 1) run.require(false, `the last changes are the same: ${replies.join("; ")}`);
    horizon = after(horizon, request, replies[0]!);
    marks.push({ key, type, revision: horizon.revision });
  }
  const late = Array.from({ length: LATE_WATCHES }, () => everywhere(requests.watch(horizon)));
  let events = 0;
  for (const triple of [...live, ...late]) events += await compare(run, triple, marks);
  run.require(events > 100, `${live.length + late.length} watches were told the same: ${events} events`);
  for (const [kind, count] of [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)))
    run.observe(`${kind}: ${count}`);
  run.require(
    sent >= MIN_REQUESTS,
    `${sent} requests were answered alike, up to revision ${horizon.revision}`,
  );
});

/** The same watch on all three. */
interface Triple {
  readonly spec: WatchSpec;
  readonly watches: readonly Watched[];
}

/** How many events they were told, all alike. */
async function compare(run: Run, { spec, watches }: Triple, marks: readonly Mark[]): Promise<number> {
  const last = lastSeen(spec, marks);
  await Promise.all(watches.map((watch) => (last === null ? watch.created() : watch.toldOf(last))));
  for (const watch of watches) watch.close();
  const [expected, ...others] = watches.map(({ transcript }) => transcript.join("\n"));
  for (const told of others) {
    if (told === expected) continue;
    run.require(false, `a watch ${JSON.stringify(spec)} is told\n${told}\nas etcd tells it\n${expected}`);
  }
  return watches[0]!.transcript.length;
}

/** What a server replies, without ids, terms, and the fields of an error that are ours alone. */
async function ask(url: string, { path, body }: Request): Promise<string> {
  const response = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status === 200) return replyLine(200, comparable(path, text));
  const { error, message, code } = JSON.parse(text) as Record<string, unknown>;
  // The gateway of etcd 3.4 gave FAILED_PRECONDITION another status than its successors and we do.
  const status = response.status === 412 && code === 9 ? 400 : response.status;
  return replyLine(status, JSON.stringify({ error, message, code }));
}

/** Without what is left of a lease, which is another in each server, and with leases in one order. */
function comparable(path: string, text: string): string {
  if (path.endsWith("/timetolive")) return text.replace(/"TTL":"\d+"/, '"TTL":"some"');
  if (!path.endsWith("/leases")) return text;
  const reply = JSON.parse(text) as { readonly leases?: readonly { readonly ID: string }[] };
  const { leases = [] } = reply;
  return JSON.stringify({ ...reply, leases: leases.map(({ ID }) => ID).toSorted() });
}

function after({ revision, compacted }: Horizon, { path, body }: Request, reply: string): Horizon {
  const seen = /^200 \{"header":\{[^}]*"revision":"(\d+)"/.exec(reply)?.[1];
  const isCompaction = path.endsWith("/compaction") && reply.startsWith("200");
  return {
    revision: Math.max(revision, Number(seen ?? 0)),
    compacted: isCompaction ? Number((body as { revision: string }).revision) : compacted,
  };
}

async function startEtcd(run: Run, dir: string): Promise<string> {
  const [port, peerPort] = await freePorts(2);
  const url = `http://127.0.0.1:${port}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const flags = {
    name: "etcd",
    "data-dir": dir,
    "listen-client-urls": url,
    "advertise-client-urls": url,
    "listen-peer-urls": peerUrl,
    "initial-advertise-peer-urls": peerUrl,
    "initial-cluster": `etcd=${peerUrl}`,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const etcd = spawn("etcd", args, { stdio: "ignore" });
  run.cleanUp(() => etcd.kill("SIGKILL"));
  await until(30, "etcd to be healthy", async () => {
    const health = await fetch(`${url}/health`).catch(() => null);
    return health?.ok === true;
  });
  return url;
}
