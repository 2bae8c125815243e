// One row of a comparison of clusters: every system under the same load, in turn.

import { type Measured, medianOf } from "./measure.ts";
import type { Report } from "./report.ts";
import type { ServerCluster } from "./servers.ts";
import type { Operation, Pace } from "./workload.ts";

export type Target = "leader" | "follower" | "all three";

export interface Case {
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
export async function compare(
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
