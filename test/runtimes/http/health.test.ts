import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Engine } from "../../../src/core/node/index.ts";
import { fakeEngine, HEADER, STATUS } from "./fake-engine.ts";
import { testApp } from "./test-app.ts";

const healthy: Engine["range"] = () => Promise.resolve({ header: HEADER, kvs: [], more: false, count: 0 });
/** Knows of no leader, and still has its own copy. */
const noQuorum: Engine["range"] = (request, options) =>
  options?.consistency === "eventual" ? healthy(request) : Promise.reject(new EngineError("noLeader"));
const stopped: Engine["range"] = () => Promise.reject(new EngineError("stopped"));

const FULL = { ...STATUS, alarms: [{ type: "noSpace", memberId: 5n }] as const };
const CORRUPT = { ...STATUS, alarms: [...FULL.alarms, { type: "corrupt", memberId: 5n }] as const };
const NOT_LEADER = { ...STATUS, role: "follower" as const };

describe("health", () => {
  it.each<[string, Partial<Engine>, number, string]>([
    ["/health", { range: healthy }, 200, '{"health":"true"}'],
    ["/health", { range: noQuorum }, 503, '{"health":"false","reason":"etcdserver: no leader"}'],
    ["/health", { range: healthy, status: () => FULL }, 503, '{"health":"false","reason":"ALARM NOSPACE"}'],
    ["/health?exclude=NOSPACE", { range: healthy, status: () => FULL }, 200, '{"health":"true"}'],
    [
      "/health?exclude=NOSPACE",
      { range: healthy, status: () => CORRUPT },
      503,
      '{"health":"false","reason":"ALARM CORRUPT"}',
    ],
    [
      "/health?exclude=NOSPACE&exclude=CORRUPT",
      { range: healthy, status: () => CORRUPT },
      200,
      '{"health":"true"}',
    ],
    ["/health?leader=1", { range: healthy, status: () => FULL }, 200, '{"health":"true"}'],
    ["/readyz", { range: healthy, status: () => FULL }, 200, "ok\n"],
    ["/readyz", { range: healthy, status: () => CORRUPT }, 503, "ALARM CORRUPT\n"],
    ["/livez", { range: healthy, status: () => CORRUPT }, 200, "ok\n"],
    ["/health?serializable=true", { range: noQuorum }, 200, '{"health":"true"}'],
    [
      "/health?serializable=true",
      { range: stopped },
      503,
      '{"health":"false","reason":"etcdserver: server stopped"}',
    ],
    [
      "/health?serializable=false",
      { range: noQuorum },
      503,
      '{"health":"false","reason":"etcdserver: no leader"}',
    ],
    ["/health?leader=1", { range: healthy }, 200, '{"health":"true"}'],
    [
      "/health?leader=1",
      { range: healthy, status: () => NOT_LEADER },
      503,
      '{"health":"false","reason":"not the leader"}',
    ],
    // A leader that was cut off still believes in itself for a while.
    ["/health?leader=1", { range: noQuorum }, 503, '{"health":"false","reason":"etcdserver: no leader"}'],
    ["/livez", { range: noQuorum }, 200, "ok\n"],
    ["/livez", { range: stopped }, 503, "etcdserver: server stopped\n"],
    ["/readyz", { range: healthy }, 200, "ok\n"],
    ["/readyz", { range: noQuorum }, 503, "etcdserver: no leader\n"],
  ])("%s", async (path, answers, status, body) => {
    const response = await testApp(fakeEngine(answers)).app.request(path);
    expect(await response.text()).toBe(body);
    expect(response.status).toBe(status);
  });

  it("gives the read a time limit", async () => {
    const engine = fakeEngine({ range: healthy });
    await testApp(engine, { limits: { healthTimeoutMs: 321 } }).app.request("/health");
    expect(engine.calls.find(({ method }) => method === "range")?.args[1]).toEqual({
      consistency: "linearizable",
      timeoutMs: 321,
      caller: { type: "trusted" },
    });
  });

  it("makes one read of many questions at the same time, since anyone may ask", async () => {
    let answer: () => void = () => undefined;
    const engine = fakeEngine({
      range: () =>
        new Promise((resolve) => {
          answer = () => resolve({ header: HEADER, kvs: [], more: false, count: 0 });
        }),
    });
    const { app } = testApp(engine);
    const reads = (): number => engine.calls.filter(({ method }) => method === "range").length;
    const replies = Promise.all(Array.from({ length: 50 }, async () => app.request("/readyz")));
    answer();
    expect((await replies).map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(reads()).toBe(1);
    const next = app.request("/readyz");
    answer();
    expect((await next).status).toBe(200);
    expect(reads()).toBe(2);
  });
});
