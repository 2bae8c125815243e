// Three server processes and gRPC, as etcd's own clients speak it.

import { ProtobufEncoders } from "../src/runtimes/http/codec/index.ts";
import { putRequest, rangeRequest } from "../src/runtimes/http/etcd/kv-messages.ts";
import { type GrpcLoad, grpcLoad } from "./grpc-load.ts";
import type { Report } from "./report.ts";
import { compareServers } from "./rounds.ts";
import type { Program } from "./servers.ts";
import { keyOf, KEYS, type Pace, VALUE } from "./workload.ts";

/** Clients of one process share a connection; so many of them do here. */
const CALLS_PER_CONNECTION = 8;

/** The first program is compared with the others. */
export async function benchGrpc(report: Report, pace: Pace, programs: readonly Program[]): Promise<void> {
  await compareServers(report, pace, programs, {
    section: "grpc",
    title: `gRPC, three processes, ${CALLS_PER_CONNECTION} calls at a time on a connection: load on the leader, or spread over all three`,
    callersAre: "calls",
    operations: ["put", "linearizable"] as const,
    load: (operation, { callers, ...load }) =>
      grpcLoad({
        ...CALLS[operation],
        ...load,
        connections: Math.ceil(callers / CALLS_PER_CONNECTION),
        callsPerConnection: Math.min(callers, CALLS_PER_CONNECTION),
      }),
  });
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
