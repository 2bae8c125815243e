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

const NOT_LEADER = { ...STATUS, role: "follower" as const };

describe("health", () => {
  it.each<[string, Partial<Engine>, number, string]>([
    ["/health", { range: healthy }, 200, '{"health":"true"}'],
    ["/health", { range: noQuorum }, 503, '{"health":"false","reason":"etcdserver: no leader"}'],
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
    expect(engine.calls[0]?.args[1]).toEqual({
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
    const replies = Promise.all(Array.from({ length: 50 }, async () => app.request("/readyz")));
    answer();
    expect((await replies).map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(engine.calls.length).toBe(1);
    const next = app.request("/readyz");
    answer();
    expect((await next).status).toBe(200);
    expect(engine.calls.length).toBe(2);
  });
});
