import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { AppOptions } from "../../../src/runtimes/http/index.ts";
import { fakeEngine, HEADER } from "./fake-engine.ts";
import { testApp } from "./test-app.ts";

const TOKEN = "correct-horse";

function appWith(options: Partial<AppOptions>) {
  const engine = fakeEngine({
    put: () => Promise.resolve({ header: HEADER, prevKv: null }),
    range: () => Promise.resolve({ header: HEADER, kvs: [], more: false, count: 0 }),
    memberList: () => Promise.resolve({ header: HEADER, members: [] }),
  });
  const { app } = testApp(engine, {
    metrics: () => Promise.resolve({ contentType: "text/plain", body: "up 1\n" }),
    peer: () => Promise.resolve({ status: 204, body: null }),
    ...options,
  });
  return { app, engine };
}

/** Every route that is for clients. */
const CLIENT_ROUTES: readonly (readonly [string, string])[] = [
  ["POST", "/v3/kv/put"],
  ["POST", "/v3beta/kv/range"],
  ["POST", "/v3/maintenance/status"],
  ["POST", "/v3/watch"],
  ["GET", "/v3/kv/put"],
  ["GET", "/kv/a"],
  ["PUT", "/kv/a"],
  ["DELETE", "/kv/a"],
  ["GET", "/kv"],
  ["GET", "/kv/?prefix=a"],
  ["GET", "/members"],
  ["GET", "/leader"],
  ["GET", "/status"],
  ["GET", "/version"],
  ["GET", "/metrics"],
  ["HEAD", "/kv/a"],
  ["GET", "/nowhere"],
];
const OPEN_ROUTES: readonly (readonly [string, string])[] = [
  ["GET", "/health"],
  ["GET", "/livez"],
  ["GET", "/readyz"],
];

describe("with a client token", () => {
  it.each(CLIENT_ROUTES)("%s %s wants it", async (method, path) => {
    const { app, engine } = appWith({ auth: { clientToken: TOKEN, allowInsecure: true } });
    const refused = await app.request(path, { method });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("WWW-Authenticate")).toBe("Bearer");
    expect(engine.calls).toEqual([]);
    const taken = await app.request(path, { method, headers: { Authorization: `Bearer ${TOKEN}` } });
    expect(taken.status).not.toBe(401);
  });

  it.each([
    { Authorization: `Bearer ${TOKEN}` },
    { Authorization: `bearer  ${TOKEN}` },
    { Authorization: TOKEN },
    { Token: TOKEN },
  ])("takes %j", async (headers) => {
    const { app } = appWith({ auth: { clientToken: TOKEN, allowInsecure: false } });
    expect((await app.request("/version", { headers })).status).toBe(200);
  });

  it.each([
    {},
    { Authorization: "" },
    { Authorization: "Bearer" },
    { Authorization: `Bearer ${TOKEN}x` },
    { Authorization: `Bearer ${TOKEN.slice(0, -1)}` },
    { Authorization: `Bearer ${TOKEN}${TOKEN}` },
    { Authorization: `Bearer ${TOKEN.toUpperCase()}` },
    { Authorization: `Basic ${TOKEN}` },
    { Authorization: "Bearer wrong", Token: TOKEN },
    { Token: `Bearer ${TOKEN}` },
  ])("does not take %j", async (headers) => {
    const { app } = appWith({ auth: { clientToken: TOKEN, allowInsecure: false } });
    const response = await app.request("/version", { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({
      error: "etcdserver: invalid auth token",
      code: 16,
      reason: "unauthenticated",
    });
  });

  it.each(["", "two words", "tab\t", "ümlaut", "line\n"])(
    "refuses to be configured with %j",
    (clientToken) => {
      expect(() => appWith({ auth: { clientToken, allowInsecure: true } })).toThrow(EngineError);
    },
  );
});

describe("without a token", () => {
  it.each(CLIENT_ROUTES)("%s %s is refused and says what to do", async (method, path) => {
    const { app, engine } = appWith({ auth: { allowInsecure: false, howToSetToken: "use --client-token" } });
    const response = await app.request(path, { method, headers: { Authorization: "Bearer undefined" } });
    expect(response.status).toBe(401);
    expect(await response.text()).toContain(method === "HEAD" ? "" : "use --client-token");
    expect(engine.calls).toEqual([]);
  });

  it.each(OPEN_ROUTES)("%s %s stays open", async (method, path) => {
    const { app } = appWith({ auth: { allowInsecure: false } });
    expect((await app.request(path, { method })).status).toBe(200);
  });

  it("leaves members to prove who they are on their own route", async () => {
    const { app } = appWith({ auth: { allowInsecure: false } });
    expect((await app.request("/raft", { method: "POST", body: "x" })).status).toBe(204);
  });
});

describe("without a token, open on purpose", () => {
  it("takes no request under a name that somebody else may own", async () => {
    const { app, engine } = appWith({ auth: { allowInsecure: true, hosts: ["Db.example"] } });
    const send = (host: string) => app.request("/kv/a", { headers: { Host: host } });
    for (const host of [
      "evil.example:2379",
      "localhost.evil.example",
      "1.2.3.4.evil.example",
      "[evil.example]",
      "@",
    ])
      expect((await send(host)).status).toBe(403);
    expect(engine.calls).toEqual([]);
    for (const host of ["localhost:2379", "127.0.0.1:2379", "[::1]:2379", "LOCALHOST", "db.example:1"])
      expect((await send(host)).status).toBe(404);
    expect((await app.request("/kv/a")).status).toBe(404);
    const anyName = appWith({ auth: { allowInsecure: true } });
    expect((await anyName.app.request("/kv/a", { headers: { Host: "evil.example" } })).status).toBe(404);
  });

  it("serves everyone but web pages, which could otherwise write to their reader's own machine", async () => {
    const { app, engine } = appWith({ auth: { allowInsecure: true } });
    expect((await app.request("/kv/a", { method: "PUT", body: "x" })).status).toBe(200);
    const calls = engine.calls.length;
    for (const origin of ["https://evil.example", "null", "http://localhost"]) {
      const response = await app.request("/kv/a", { method: "PUT", body: "x", headers: { Origin: origin } });
      expect(response.status).toBe(403);
    }
    expect(engine.calls.length).toBe(calls);
  });

  it("serves the pages of origins that were named", async () => {
    const { app } = appWith({
      auth: { allowInsecure: true },
      cors: { origins: ["https://console.example"] },
    });
    const send = (origin: string) => app.request("/version", { headers: { Origin: origin } });
    const named = await send("https://console.example");
    expect(named.status).toBe(200);
    expect(named.headers.get("Access-Control-Allow-Origin")).toBe("https://console.example");
    const other = await send("https://evil.example");
    expect(other.status).toBe(403);
    expect(other.headers.get("Access-Control-Allow-Origin")).toBeNull();
  });
});

describe("cross-origin requests", () => {
  it("are told nothing unless switched on", async () => {
    const { app } = appWith({ auth: { clientToken: TOKEN, allowInsecure: false } });
    const response = await app.request("/version", {
      headers: { Origin: "https://a.example", Authorization: TOKEN },
    });
    expect(response.headers.get("Access-Control-Allow-Origin")).toBeNull();
  });

  it("may ask beforehand without a token", async () => {
    const { app } = appWith({
      auth: { clientToken: TOKEN, allowInsecure: false },
      cors: { origins: ["https://a.example"] },
    });
    const response = await app.request("/v3/kv/put", {
      method: "OPTIONS",
      headers: {
        Origin: "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("https://a.example");
    expect(response.headers.get("Access-Control-Allow-Headers")).toContain("authorization");
  });
});
