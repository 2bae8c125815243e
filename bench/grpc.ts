// Three server processes and gRPC, as etcd's own clients speak it, under the same load for every system, in turn.

import { ProtobufEncoders } from "../src/runtimes/http/codec/index.ts";
import { putRequest, rangeRequest } from "../src/runtimes/http/etcd/kv-messages.ts";
import { type GrpcLoad, grpcLoad } from "./grpc-load.ts";
import { fill } from "./http.ts";
import type { Report } from "./report.ts";
import { compare } from "./rounds.ts";
import { type Program, ServerCluster } from "./servers.ts";
import { CALLERS, keyOf, KEYS, type Pace, VALUE } from "./workload.ts";

/** Clients of one process share a connection; so many of them do here. */
const CALLS_PER_CONNECTION = 8;

/** The first program is compared with the others. */
export async function benchGrpc(report: Report, pace: Pace, programs: readonly Program[]): Promise<void> {
  const clusters: ServerCluster[] = [];
  try {
    for (const program of programs) clusters.push(await ServerCluster.start(program));
    for (const cluster of clusters) {
      await fill(cluster);
      await warmUp(cluster);
    }
    report.title(
      `gRPC, three processes, ${CALLS_PER_CONNECTION} calls at a time on a connection: load on the leader, or spread over all three`,
      "calls",
    );
    for (const operation of ["put", "linearizable"] as const) {
      for (const callers of CALLERS) {
        for (const target of ["leader", callers === 1 ? "follower" : "all three"] as const) {
          const row = { section: "grpc", operation, callers, target };
          if (!pace.selects(row)) continue;
          await compare(report, pace, clusters, row, (urls, serverPids) =>
            grpcLoad({
              ...CALLS[operation],
              urls,
              connections: Math.ceil(callers / CALLS_PER_CONNECTION),
              callsPerConnection: Math.min(callers, CALLS_PER_CONNECTION),
              warmupMs: pace.warmupMs,
              durationMs: pace.durationMs,
              serverPids,
            }),
          );
        }
      }
    }
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
  }
}

const encoders = new ProtobufEncoders();
const put = encoders.of(putRequest);
const range = encoders.of(rangeRequest);
const keys = Array.from({ length: KEYS }, (_, i) => new TextEncoder().encode(keyOf(i)));

/** Every system gets the very same bytes. */
const CALLS: Readonly<Record<"put" | "linearizable", Pick<GrpcLoad, "path" | "messages" | "expectBytes">>> = {
  put: {
    path: "/etcdserverpb.KV/Put",
    messages: keys.map((key) => put({ key, value: VALUE }, 0)),
    expectBytes: 20,
  },
  linearizable: {
    path: "/etcdserverpb.KV/Range",
    messages: keys.map((key) => range({ key }, 0)),
    expectBytes: VALUE.length,
  },
};

/** What is measured first must not pay for what is compiled when it is first used. */
async function warmUp({ urls, pids: serverPids }: ServerCluster): Promise<void> {
  for (const operation of ["put", "linearizable"] as const) {
    const load = { urls, connections: 6, callsPerConnection: 8, warmupMs: 0, durationMs: 1500, serverPids };
    await grpcLoad({ ...CALLS[operation], ...load });
  }
}
