import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../../../src/core/errors/index.ts";
import { createClient } from "../../../../src/runtimes/client/index.ts";
import { createSockets } from "../../../../src/runtimes/http/index.ts";
import { AuthSite, b64, passwordOf } from "./auth-site.ts";

const CLIENT_TOKEN = "door";

let site: AuthSite;
let alice: string;
let root: string;

beforeAll(async () => {
  site = await AuthSite.start();
  await site.switchOn();
  alice = await site.logIn("alice");
  root = await site.logIn("root");
});
afterAll(() => site.engine.stop());

async function sugar(
  path: string,
  token: string | null,
  init: RequestInit = {},
): Promise<readonly unknown[]> {
  const headers = token === null ? {} : { Authorization: token };
  const response = await site.app.request(path, { ...init, headers });
  const text = init.signal === undefined ? await response.text() : "";
  return [
    response.status,
    response.status === 200 ? "" : (JSON.parse(text || "{}") as { message?: string }).message,
  ];
}

describe("the sugar", () => {
  const DENIED = [403, "etcdserver: permission denied"];
  const NOBODY = [400, "etcdserver: user name is empty"];

  test.each([
    ["a value", "/kv/a/k", "/kv/b", {}],
    ["a put", "/kv/a/k", "/kv/b", { method: "PUT", body: "v" }],
    ["a deletion", "/kv/a/x", "/kv/b", { method: "DELETE" }],
    ["a conditional put", "/kv/a/new", "/kv/b", { method: "PUT", body: "v" }],
    ["a listing", "/kv/?prefix=a/", "/kv/?prefix=", {}],
  ])("%s", async (_what, own, others, init) => {
    await sugar("/kv/a/k", alice, { method: "PUT", body: "v" });
    expect(await sugar(own, alice, init)).toEqual([200, ""]);
    expect(await sugar(others, alice, init)).toEqual(DENIED);
    expect(await sugar(own, null, init)).toEqual(NOBODY);
    expect(await sugar(own, "de1.A.A", init)).toEqual([401, "etcdserver: invalid auth token"]);
  });

  test("a poll, and a stream of events", async () => {
    expect(await sugar("/watch?prefix=b&wait=1ms", alice)).toEqual(DENIED);
    expect(await sugar("/watch?prefix=b&wait=1ms", null)).toEqual(NOBODY);
    expect(await sugar("/watch?prefix=a/&wait=1ms", alice)).toEqual([200, ""]);
    const response = await site.app.request("/watch?prefix=b", { headers: { Authorization: alice } });
    const { value } = await response.body!.getReader().read();
    expect(new TextDecoder().decode(value)).toContain("permission denied");
  });

  test("what a member says of itself is for everyone, but not the hash of its state", async () => {
    expect(await sugar("/status", null)).toEqual([200, ""]);
    expect(await sugar("/status?hash=1", null)).toEqual(NOBODY);
    expect(await sugar("/status?hash=1", alice)).toEqual(DENIED);
    expect(await sugar("/status?hash=1", root)).toEqual([200, ""]);
    expect(await sugar("/members", null)).toEqual(NOBODY);
    expect(await sugar("/members", alice)).toEqual([200, ""]);
  });

  test("whether a member is well is nobody's secret", async () => {
    for (const path of ["/health", "/readyz", "/livez"]) expect(await sugar(path, null)).toEqual([200, ""]);
  });
});

describe("a watch, as a stream of JSON", () => {
  test("is refused as etcd does it, and told where it is permitted", async () => {
    const create = (key: string): object => ({ create_request: { key: b64(key), range_end: b64("a0") } });
    expect(await firstLine("/v3/watch", create("a/"), alice)).toMatchObject({ result: { created: true } });
    const refused = await firstLine("/v3/watch", create("a"), alice);
    expect(refused).toMatchObject({
      result: {
        created: true,
        canceled: true,
        watch_id: "-1",
        cancel_reason: "etcdserver: permission denied",
      },
    });
    expect(await firstLine("/v3/watch", create("a/"), null)).toMatchObject({
      result: { canceled: true, cancel_reason: "etcdserver: user name is empty" },
    });
  });

  test("over a WebSocket, by the token that a browser can send", async () => {
    const sockets = createSockets({
      engine: site.engine,
      auth: { allowInsecure: false, clientToken: CLIENT_TOKEN },
      version: "0",
      logger: { log: () => undefined },
    });
    const first = async (protocols: string): Promise<unknown> => {
      const request = new Request("http://x/v3/watch", { headers: { "Sec-WebSocket-Protocol": protocols } });
      const served = sockets(request);
      if (served instanceof Response) return served.status;
      let said: unknown = null;
      await served({
        incoming: (async function* () {
          yield JSON.stringify({ create_request: { key: b64("a/") } });
          await new Promise(() => undefined);
        })(),
        send: (text) => {
          said ??= JSON.parse(text);
          return Promise.resolve(false);
        },
        close: () => undefined,
      });
      return said;
    };
    expect(await first(`bearer, ${CLIENT_TOKEN}, user, ${alice}`)).toMatchObject({
      result: { created: true },
    });
    expect(await first(`bearer, ${CLIENT_TOKEN}`)).toMatchObject({
      result: { cancel_reason: "etcdserver: user name is empty" },
    });
    expect(await first(`bearer, ${alice}`)).toBe(401);
    expect(await first(`bearer, ${CLIENT_TOKEN}, user, de1.A.A`)).toMatchObject({ error: { grpc_code: 16 } });
  });
});

describe("the client token", () => {
  test("opens the door as ever, and makes nobody anybody", async () => {
    const { engine } = site;
    const guarded = await AuthSite.start({ auth: { allowInsecure: false, clientToken: CLIENT_TOKEN } });
    const door = `Bearer ${CLIENT_TOKEN}`;
    const ask = async (headers: Record<string, string>): Promise<number> => {
      const body = JSON.stringify({ key: b64("a/k") });
      return (await guarded.app.request("/v3/kv/range", { method: "POST", body, headers })).status;
    };
    expect(await ask({ Authorization: door })).toBe(200);
    const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
      const headers = { Authorization: door };
      const response = await guarded.app.request(`/v3${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers,
      });
      return (await response.json()) as Record<string, unknown>;
    };
    await post("/auth/user/add", { name: "root", password: "x" });
    await post("/auth/user/grant", { user: "root", role: "root" });
    await post("/auth/enable", {});
    const { token } = (await post("/auth/authenticate", { name: "root", password: "x" })) as {
      token: string;
    };
    expect(await ask({ Authorization: door })).toBe(400);
    expect(await ask({ Authorization: door, Token: token })).toBe(200);
    expect(await ask({ Authorization: token })).toBe(401);
    expect(await ask({ Token: token })).toBe(401);
    expect(await ask({})).toBe(401);
    await guarded.engine.stop();
    expect(engine.isStopped).toBe(false);
  });
});

describe("the client", () => {
  const connect = (options: { user?: string; password?: string; token?: string } = {}) =>
    createClient({
      endpoints: "http://app.test",
      fetch: async (url, init) => await site.app.request(url, init),
      ...options,
    });

  test("logs in when it needs to, and again when its token is not good any more", async () => {
    const client = connect({ user: "alice", password: passwordOf("alice") });
    await client.put("a/client", "1");
    expect(await client.getText("a/client")).toBe("1");
    await site.done("/auth/user/changepw", { name: "alice", password: passwordOf("alice") }, root);
    await client.put("a/client", "2");
    expect(await client.getText("a/client")).toBe("2");
    await expect(client.put("b", "1")).rejects.toMatchObject({ code: "permissionDenied" });
    const watch = client.watchPrefix("a/");
    await watch.ready();
    await client.put("a/client", "3");
    for await (const { key, value } of watch) {
      expect([key, value]).toEqual(["a/client", "3"]);
      break;
    }
  });

  test("says what is wrong with who it is", async () => {
    await expect(connect().put("a/k", "v")).rejects.toMatchObject({ code: "userEmpty", maybeApplied: false });
    await expect(connect({ user: "alice", password: "wrong" }).put("a/k", "v")).rejects.toMatchObject({
      code: "authFailed",
      maybeApplied: false,
    });
    expect(() => connect({ user: "alice" })).toThrow(EngineError);
    expect(() => connect({ password: "x" })).toThrow(EngineError);
  });

  test("needs no login where nobody is asked for one, until somebody is", async () => {
    await site.done("/auth/disable", {}, root);
    const client = connect({ user: "alice", password: passwordOf("alice") });
    await client.put("b", "1");
    await site.done("/auth/enable");
    await client.put("a/k", "2");
    await expect(client.put("b", "2")).rejects.toMatchObject({ code: "permissionDenied" });
    root = await site.logIn("root");
  });
});

async function firstLine(path: string, body: object, token: string | null): Promise<unknown> {
  const headers = token === null ? {} : { Authorization: token };
  const response = await site.app.request(path, { method: "POST", body: JSON.stringify(body), headers });
  const { value } = await response.body!.getReader().read();
  return JSON.parse(new TextDecoder().decode(value));
}
