import type { Hono } from "hono";
import { TRUSTED } from "../../core/kv/index.ts";
import { actAs, type Engine } from "../../core/node/index.ts";
import { alarmName } from "./etcd/alarm-messages.ts";

export interface HealthOptions {
  readonly engine: Engine;
  readonly timeoutMs: number;
}

/** What etcd's own health check reads. */
const PROBE_KEY = new TextEncoder().encode("health");

/**
 * Mounts what load balancers and orchestrators ask, open to everyone:
 *
 * - `GET /health`: whether this member can serve a linearizable read, and no alarm is active. `?serializable=true`
 *   leaves the quorum out of it, `?exclude=NOSPACE` that alarm, as in etcd; `?leader=1` is true on the leader alone,
 *   for balancers that send writes there.
 * - `GET /livez`: whether the process answers and its engine can be read at all.
 * - `GET /readyz`: whether it can serve a linearizable read and nothing is corrupt, in plain text.
 */
export function mountHealth(app: Hono, { engine: given, timeoutMs }: HealthOptions): void {
  // Whether it is healthy is asked without logging in, and says nothing of any key.
  const engine = actAs(given, TRUSTED);
  const quorum = sharedProbe(engine, timeoutMs);

  app.get("/health", async (c) => {
    let problem: string | null;
    if (isTrue(c.req.query("leader"))) {
      // Whatever the alarm: who is to delete, compact and disarm must find the leader.
      problem = engine.status().role === "leader" ? await quorum() : "not the leader";
    } else {
      const excluded = c.req.queries("exclude") ?? [];
      problem =
        alarmProblem(engine, excluded) ??
        (await (isTrue(c.req.query("serializable")) ? localProblem(engine, timeoutMs) : quorum()));
    }
    return problem === null
      ? jsonReply({ health: "true" }, 200)
      : jsonReply({ health: "false", reason: problem }, 503);
  });

  app.get("/livez", async () => textReply(await localProblem(engine, timeoutMs)));
  app.get("/readyz", async () => textReply(alarmProblem(engine, ["NOSPACE"]) ?? (await quorum())));
}

/** As in etcd's health check (etcdhttp/health.go), the first alarm that is not left out. */
function alarmProblem(engine: Engine, excluded: readonly string[]): string | null {
  const names = engine.status().alarms.map(({ type }) => alarmName(type));
  const name = names.find((each) => !excluded.includes(each));
  return name === undefined ? null : `ALARM ${name}`;
}

/** One read for all who ask at the same time: this route is open, and must not become a way to load the quorum. */
function sharedProbe(engine: Engine, timeoutMs: number): () => Promise<string | null> {
  let running: Promise<string | null> | null = null;
  return () => {
    running ??= problemOf(
      engine.range({ key: PROBE_KEY, countOnly: true }, { consistency: "linearizable", timeoutMs }),
    ).finally(() => {
      running = null;
    });
    return running;
  };
}

function localProblem(engine: Engine, timeoutMs: number): Promise<string | null> {
  return problemOf(engine.range({ key: PROBE_KEY, countOnly: true }, { consistency: "eventual", timeoutMs }));
}

async function problemOf(read: Promise<unknown>): Promise<string | null> {
  try {
    await read;
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : "unknown";
  }
}

function isTrue(parameter: string | undefined): boolean {
  return parameter === "true" || parameter === "1";
}

function jsonReply(body: object, status: number): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

function textReply(problem: string | null): Response {
  return new Response(problem === null ? "ok\n" : `${problem}\n`, { status: problem === null ? 200 : 503 });
}
