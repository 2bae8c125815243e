// Three server processes and etcd's JSON gateway.

import { httpLoad, postRequest } from "./http-load.ts";
import type { Report } from "./report.ts";
import { compareServers } from "./rounds.ts";
import type { Program } from "./servers.ts";
import { keyOf, KEYS, type Operation, OPERATIONS, type Pace, VALUE } from "./workload.ts";

/** The first program is compared with the others. */
export async function benchHttp(report: Report, pace: Pace, programs: readonly Program[]): Promise<void> {
  await compareServers(report, pace, programs, {
    section: "http",
    title: "HTTP, three processes, JSON gateway: load on the leader, on a follower, or spread over all three",
    callersAre: "connections",
    operations: OPERATIONS,
    load: (operation, { callers, ...load }) => {
      const expect = operation === "put" ? '"revision"' : '"value"';
      return httpLoad({ ...load, connections: callers, requests: REQUESTS.get(operation)!, expect });
    },
  });
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
