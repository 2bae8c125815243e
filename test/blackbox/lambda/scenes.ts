import { call, decode, encode, type Endpoint } from "../support/api.ts";
import type { Run } from "../support/program.ts";
import { until } from "../support/waiting.ts";
import type { Environment } from "./environment.ts";
import type { Fleet } from "./fleet.ts";

const KEY = encode("counter");
const PATIENCE_MS = 20_000;

/**
 * An environment that owned the log is thawed after another one took it over and wrote: it must read what the other
 * wrote, and what it acknowledges must be on top of that.
 */
export async function staleAfterThaw(run: Run, fleet: Fleet, endpoint: Endpoint): Promise<void> {
  const event = (path: string, body: object): object => urlEvent(endpoint, path, body);
  const first = await fleet.start();
  await requireOk(first, event("kv/put", { key: KEY, value: encode("1") }));
  await until(10, "the first environment to be frozen", async () => first.isFrozen);
  const second = await fleet.start();
  await requireOk(second, event("kv/put", { key: KEY, value: encode("2") }));
  for (const consistency of ["linearizable", "lease"]) {
    const read = await requireOk(first, event("kv/range", { key: KEY, consistency }));
    const value = decode(read.kvs?.[0]?.value);
    run.require(value === "2", `thawed, and asked for a ${consistency} read, it knows what another wrote`);
    await requireOk(second, event("kv/put", { key: KEY, value: encode("2") }));
  }
  const put = await requireOk(first, event("kv/put", { key: KEY, value: encode("3"), prev_kv: true }));
  run.require(decode(put.prev_kv?.value) === "2", "thawed, and asked to write, it writes on top of that");
  const seen = await requireOk(second, event("kv/range", { key: KEY }));
  run.require(decode(seen.kvs?.[0]?.value) === "3", "and the other sees it");
  await fleet.killAll();
}

/** So many invocations at once raise one counter by compare-and-set, each again until it has. */
export async function compareAndSetAtOnce(run: Run, endpoint: Endpoint, count: number): Promise<void> {
  await requireCall(endpoint, "kv/put", { key: KEY, value: encode("0") });
  let attempts = 0;
  let uncertain = 0;
  const raise = async (): Promise<void> => {
    for (;;) {
      attempts++;
      const read = await call(endpoint, "kv/range", { key: KEY }, PATIENCE_MS);
      if (read.status !== "ok") continue;
      const { value, mod_revision } = read.reply.kvs![0]!;
      const success = [{ request_put: { key: KEY, value: encode(String(Number(decode(value)) + 1)) } }];
      const compare = [{ key: KEY, target: "MOD", result: "EQUAL", mod_revision }];
      const swap = await call(endpoint, "kv/txn", { compare, success }, PATIENCE_MS);
      if (swap.status === "ok" && swap.reply.succeeded === true) return;
      if (swap.status === "unknown") {
        uncertain++;
        return;
      }
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: count }, raise));
  const seconds = (performance.now() - startedMs) / 1000;
  const { kvs } = await requireCall(endpoint, "kv/range", { key: KEY });
  const value = Number(decode(kvs?.[0]?.value));
  run.require(
    value >= count - uncertain && value <= count,
    `${count} at once raised a counter to ${value} in ${attempts} attempts and ${seconds.toFixed(1)} s; ${uncertain} did not learn whether they had`,
  );
}

interface Reply {
  readonly kvs?: readonly { readonly value?: string }[];
  readonly prev_kv?: { readonly value?: string };
}

async function requireOk(environment: Environment, event: object): Promise<Reply> {
  const { statusCode, body } = (await environment.invoke(event)) as { statusCode: number; body: string };
  if (statusCode !== 200) throw new Error(`${statusCode} ${body}`);
  return JSON.parse(body) as Reply;
}

async function requireCall(endpoint: Endpoint, path: string, body: object): Promise<Reply> {
  const outcome = await call(endpoint, path, body, PATIENCE_MS);
  if (outcome.status !== "ok") throw new Error(`${path}: ${outcome.problem}`);
  return outcome.reply;
}

/** What a function URL makes of a request, as far as the function looks. */
function urlEvent({ headers = {} }: Endpoint, path: string, body: object): object {
  const lowered = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: `/v3/${path}`,
    rawQueryString: "",
    headers: { host: "localhost", "content-type": "application/json", ...Object.fromEntries(lowered) },
    requestContext: {
      domainName: "localhost",
      http: {
        method: "POST",
        path: `/v3/${path}`,
        protocol: "HTTP/1.1",
        sourceIp: "127.0.0.1",
        userAgent: "",
      },
      requestId: "1",
      stage: "$default",
    },
    body: JSON.stringify(body),
    isBase64Encoded: false,
  };
}
