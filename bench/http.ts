// Three server processes and etcd's JSON gateway, under the same load for every system, in turn.

import { httpLoad, postRequest } from "./http-load.ts";
import type { Report } from "./report.ts";
import { compare } from "./rounds.ts";
import { type Program, ServerCluster } from "./servers.ts";
import { CALLERS, keyOf, KEYS, type Operation, OPERATIONS, type Pace, VALUE } from "./workload.ts";

/** The first program is compared with the others. */
export async function benchHttp(report: Report, pace: Pace, programs: readonly Program[]): Promise<void> {
  const clusters: ServerCluster[] = [];
  try {
    for (const program of programs) clusters.push(await ServerCluster.start(program));
    for (const cluster of clusters) {
      await fill(cluster);
      await warmUp(cluster);
    }
    report.title(
      "HTTP, three processes, JSON gateway: load on the leader, on a follower, or spread over all three",
      "connections",
    );
    for (const operation of OPERATIONS) {
      for (const callers of CALLERS) {
        // One connection cannot be spread.
        for (const target of ["leader", callers === 1 ? "follower" : "all three"] as const) {
          const row = { section: "http", operation, callers, target };
          if (!pace.selects(row)) continue;
          const requests = REQUESTS.get(operation)!;
          const expect = operation === "put" ? '"revision"' : '"value"';
          const { warmupMs, durationMs } = pace;
          await compare(report, pace, clusters, row, (urls, serverPids) =>
            httpLoad({ urls, connections: callers, requests, expect, warmupMs, durationMs, serverPids }),
          );
        }
      }
    }
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
  }
}

const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString("base64");
const keys = Array.from({ length: KEYS }, (_, i) => base64(keyOf(i)));
const value = base64(VALUE);

/** Every system gets the very same bytes. */
const REQUESTS: ReadonlyMap<Operation, readonly Buffer[]> = new Map<Operation, readonly Buffer[]>([
  ["put", keys.map((key) => postRequest("/v3/kv/put", { key, value }))],
  ["linearizable", keys.map((key) => postRequest("/v3/kv/range", { key }))],
  ["lease", keys.map((key) => postRequest("/v3/kv/range", { key, consistency: "lease" }))],
  ["eventual", keys.map((key) => postRequest("/v3/kv/range", { key, serializable: true }))],
]);

export async function fill(cluster: ServerCluster): Promise<void> {
  const url = await cluster.leader();
  for (let from = 0; from < KEYS; from += 100) {
    const success = keys.slice(from, from + 100).map((key) => ({ request_put: { key, value } }));
    const response = await fetch(`${url}/v3/kv/txn`, { method: "POST", body: JSON.stringify({ success }) });
    if (!response.ok) throw new Error(`${cluster.name}: ${await response.text()}`);
    await response.text();
  }
}

/** What is measured first must not pay for what is compiled when it is first used. */
async function warmUp(cluster: ServerCluster): Promise<void> {
  const { urls, pids: serverPids } = cluster;
  for (const operation of ["put", "linearizable"] as const) {
    const requests = REQUESTS.get(operation)!;
    const load = { urls, connections: 48, requests, expect: "", warmupMs: 0, durationMs: 1500 };
    await httpLoad({ ...load, serverPids });
  }
}
