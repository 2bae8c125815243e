// Clusters of server processes side by side: every system holds the same and is under the same load, in turn.

import { type Measured, medianOf } from "./measure.ts";
import type { Report } from "./report.ts";
import { type Program, ServerCluster } from "./servers.ts";
import { CALLERS, keyOf, KEYS, type Operation, type Pace, VALUE } from "./workload.ts";

type Target = "leader" | "follower" | "all three";

/** A way to speak to servers. */
export interface Protocol<O extends Operation> {
  readonly section: string;
  readonly title: string;
  /** For the report. */
  readonly callersAre: string;
  readonly operations: readonly O[];
  readonly load: (operation: O, load: ServerLoad) => Promise<Measured>;
}

export interface ServerLoad {
  readonly urls: readonly string[];
  readonly callers: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Whose CPU time is counted. */
  readonly serverPids: readonly number[];
}

/** The first program is compared with the others. */
export async function compareServers<O extends Operation>(
  report: Report,
  pace: Pace,
  programs: readonly Program[],
  protocol: Protocol<O>,
): Promise<void> {
  const clusters: ServerCluster[] = [];
  try {
    for (const program of programs) clusters.push(await ServerCluster.start(program));
    for (const cluster of clusters) {
      await fill(cluster);
      await warmUp(cluster, protocol);
    }
    const { section, title, callersAre, operations, load } = protocol;
    report.title(title, callersAre);
    for (const operation of operations) {
      for (const callers of CALLERS) {
        // A caller that is alone cannot be spread.
        for (const target of ["leader", callers === 1 ? "follower" : "all three"] as const) {
          const row = { section, operation, callers, target };
          if (!pace.selects(row)) continue;
          const { warmupMs, durationMs } = pace;
          await compare(report, pace, clusters, row, (urls, serverPids) =>
            load(operation, { urls, callers, warmupMs, durationMs, serverPids }),
          );
        }
      }
    }
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
  }
}

async function fill(cluster: ServerCluster): Promise<void> {
  const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString("base64");
  const url = await cluster.leader();
  const value = base64(VALUE);
  for (let from = 0; from < KEYS; from += 100) {
    const keys = Array.from({ length: Math.min(100, KEYS - from) }, (_, i) => base64(keyOf(from + i)));
    const success = keys.map((key) => ({ request_put: { key, value } }));
    const response = await fetch(`${url}/v3/kv/txn`, { method: "POST", body: JSON.stringify({ success }) });
    if (!response.ok) throw new Error(`${cluster.name}: ${await response.text()}`);
    await response.text();
  }
}

/** What is measured first must not pay for what is compiled when it is first used. */
async function warmUp<O extends Operation>(
  { urls, pids: serverPids }: ServerCluster,
  { operations, load }: Protocol<O>,
): Promise<void> {
  // Every system has the first two.
  for (const operation of operations.slice(0, 2)) {
    await load(operation, { urls, callers: 48, warmupMs: 0, durationMs: 1500, serverPids });
  }
}

interface Case {
  readonly section: string;
  readonly operation: Operation;
  readonly callers: number;
  readonly target: Target;
}

/**
 * Rounds take turns, so that whatever else the machine does meets everyone alike. The first cluster is compared with
 * the second.
 *
 * @param send loads the servers at these URLs.
 */
async function compare(
  report: Report,
  pace: Pace,
  clusters: readonly ServerCluster[],
  { section, operation, callers, target }: Case,
  send: (urls: readonly string[], serverPids: readonly number[]) => Promise<Measured>,
): Promise<void> {
  const able = clusters.filter(({ name }) => operation !== "lease" || name !== "etcd");
  const results = new Map<ServerCluster, Measured[]>(able.map((cluster) => [cluster, []]));
  for (let round = 0; round < pace.rounds; round++) {
    for (const cluster of able) {
      const leader = await cluster.leader();
      const followers = cluster.urls.filter((url) => url !== leader);
      const urls = { leader: [leader], follower: followers.slice(0, 1), "all three": cluster.urls }[target];
      results.get(cluster)!.push(await send(urls, cluster.pids));
    }
  }
  const medians = able.map((cluster) => ({ name: cluster.name, measured: medianOf(results.get(cluster)!) }));
  const first = medians[0]!.measured;
  const other = medians[1];
  medians.forEach(({ name, measured }, i) => {
    const row = { section, system: name, target, operation, callers, measured };
    if (i > 0 || other === undefined) return report.row(row);
    const throughput = first.perSecond / other.measured.perSecond;
    report.row({ ...row, ratio: { to: other.name, throughput } });
  });
}
