// Whom the Worker asks, and what it makes of the answers. The objects are doubles, to answer as no real one can be
// made to; cluster.test.ts has the real ones.

import { describe, expect, it } from "vitest";
import { routeRequest } from "../../../src/runtimes/workers/index.ts";

const TOKEN = "a-token-of-clients";

type Answer = (request: { readonly url: string; readonly init: RequestInit }) => Response | Promise<Response>;

let groups = 0;

/** A group of its own for each test, since the Worker remembers who led. */
function worker(answers: Readonly<Record<string, Answer>>, vars: object = {}) {
  const group = `g${groups++}`;
  const asked: string[] = [];
  const hints: (string | undefined)[] = [];
  const env = {
    D_ENGINE_NODES: "n1@weur,n2@enam,n3@apac",
    D_ENGINE_PEER_SECRET: "a-secret-of-peers",
    D_ENGINE_CLIENT_TOKEN: TOKEN,
    D_ENGINE_GROUPS: "*",
    D_ENGINE_REQUEST_TIMEOUT: "400",
    ETCD_LOG_LEVEL: "error",
    ...vars,
    RAFT: {
      idFromName: (name: string) => name,
      get: (name: string, options?: { locationHint?: string }) => ({
        fetch: async (url: string, init: RequestInit) => {
          const node = name.split("/")[1]!;
          expect(name).toBe(`${group}/${node}`);
          expect(new Headers(init.headers).get("X-D-Engine-Object")).toBe(name);
          asked.push(node);
          hints.push(options?.locationHint);
          return await answers[node]!({ url, init });
        },
      }),
    },
  };
  const call = (path: string, init: RequestInit = {}) => {
    const request = new Request(`https://front.example/g/${group}${path}`, init);
    request.headers.set("Authorization", `Bearer ${TOKEN}`);
    return routeRequest(request, env);
  };
  return { asked, hints, call };
}

const ok: Answer = () => new Response("fine", { headers: { "X-D-Engine-Leader-Node": "n3" } });
const broken: Answer = () => {
  throw Object.assign(new Error("the object was reset"), { retryable: true });
};
const notServed: Answer = () =>
  Response.json(
    { message: "etcdserver: unhealthy cluster", detail: "starting", code: 14 },
    { status: 503, headers: { "X-D-Engine-Not-Served": "1" } },
  );
const silent: Answer = ({ init }) =>
  new Promise((_resolve, reject) => {
    init.signal!.addEventListener("abort", () => reject(init.signal!.reason as Error));
  });

/** Lives, and answers when something happens. */
const waiting =
  (ms: number): Answer =>
  async ({ url, init }) => {
    if (new URL(url).pathname === "/livez") return new Response("ok\n");
    await new Promise((resolve, reject) => {
      setTimeout(resolve, ms);
      init.signal!.addEventListener("abort", () => reject(init.signal!.reason as Error));
    });
    return new Response("at last");
  };

const write = { method: "PUT", body: "value" };

// At the same time: each has a group of its own, and most of them wait.
describe.concurrent("the Worker", () => {
  it("asks the nearest voter first, and then the one that leads, with the place of each", async () => {
    const { asked, hints, call } = worker({ n1: ok, n2: ok, n3: ok });
    expect((await call("/kv/a")).status).toBe(200);
    expect((await call("/kv/a", write)).status).toBe(200);
    expect(asked).toEqual(["n1", "n3"]);
    expect(hints).toEqual(["weur", "apac"]);
    // Any replica will do for this one.
    await call("/kv/a?consistency=eventual");
    expect(asked[2]).toBe("n1");
  });

  it("shows the objects the path without the group, and the query as it is", async () => {
    const seen: string[] = [];
    const record: Answer = ({ url }) => {
      seen.push(url);
      return new Response("fine");
    };
    await worker({ n1: record }).call("/kv/a%2Fb?consistency=lease");
    expect(seen).toEqual(["https://front.example/kv/a%2Fb?consistency=lease"]);
  });

  it("asks another voter for a read when one breaks off or says nothing", async () => {
    for (const bad of [broken, silent]) {
      const { asked, call } = worker({ n1: bad, n2: ok, n3: ok });
      expect((await call("/kv/a")).status).toBe(200);
      expect(asked).toEqual(["n1", "n2"]);
    }
  });

  it("waits for a long poll as long as it was asked to, while the voter lives", async () => {
    const { asked, call } = worker({ n1: waiting(1000), n2: ok, n3: ok });
    expect(await (await call("/watch?key=a&wait=2s")).text()).toBe("at last");
    expect(asked).toEqual(["n1", "n1"]);
    // Nothing waits for ever.
    const forever = worker({ n1: waiting(60_000), n2: ok, n3: ok }, { D_ENGINE_REQUEST_TIMEOUT: "100" });
    const startMs = performance.now();
    expect((await forever.call("/watch?key=a&wait=1ms")).status).toBe(200);
    expect(performance.now() - startMs).toBeGreaterThan(2000);
    expect(forever.asked).toEqual(["n1", "n1", "n2"]);
  });

  it("waits for a lock as long as it takes, and asks no second voter for it", async () => {
    const paths = ["/v3/lock/lock", "/v3/election/campaign", "/v3/election/observe"];
    const waits = paths.map(async (path) => {
      // Longer than what is given a write.
      const { asked, call } = worker({ n1: waiting(2600), n2: ok, n3: ok });
      const response = await call(path, { method: "POST", body: "{}" });
      expect(await response.text()).toBe("at last");
      expect(asked).toEqual(["n1", "n1"]);
    });
    await Promise.all(waits);
  });

  it("leaves a voter that has died while a call waits there", async () => {
    for (const dead of [silent, broken, notServed]) {
      const { asked, call } = worker({
        n1: (request) =>
          new URL(request.url).pathname === "/livez" ? dead(request) : waiting(60_000)(request),
        n2: ok,
        n3: ok,
      });
      expect(await (await call("/watch?key=a&wait=30s")).text()).toBe("fine");
      expect(asked).toEqual(["n1", "n1", "n2"]);
      const response = await call("/v3/lock/lock", { method: "POST", body: "{}" });
      expect([response.status, await response.text()]).toEqual([200, "fine"]);
    }
    const { call } = worker({ n1: silent, n2: ok, n3: ok });
    const response = await call("/v3/lock/lock", { method: "POST", body: "{}" });
    expect([response.status, await response.json()]).toMatchObject([503, { reason: "unhealthy" }]);
  });

  it("waits no longer than its client", async () => {
    const { asked, call } = worker({ n1: waiting(60_000), n2: ok, n3: ok });
    const client = new AbortController();
    const response = call("/v3/lock/lock", { method: "POST", body: "{}", signal: client.signal });
    setTimeout(() => client.abort(), 50);
    expect((await response).status).toBe(503);
    expect(asked).toEqual(["n1"]);
  });

  it("repeats a write that has a name, at another voter", async () => {
    const named = { ...write, headers: { "Idempotency-Key": "once" } };
    for (const bad of [broken, silent]) {
      const { asked, call } = worker({ n1: bad, n2: ok, n3: ok });
      expect((await call("/kv/a", named)).status).toBe(200);
      expect(asked).toEqual(["n1", "n2"]);
    }
    // It may have happened where it broke off, whatever the others say.
    const response = await worker({ n1: broken, n2: notServed, n3: notServed }).call("/kv/a", named);
    expect([response.status, await response.json()]).toMatchObject([503, { reason: "unhealthy" }]);
  });

  it("does not repeat a write that may have happened, and says so", async () => {
    const { asked, call } = worker({ n1: broken, n2: ok, n3: ok });
    const response = await call("/kv/a", write);
    expect(asked).toEqual(["n1"]);
    expect([response.status, await response.json()]).toMatchObject([503, { code: 14, reason: "unhealthy" }]);
  });

  it("repeats a write that an object has not touched", async () => {
    const bodies: unknown[] = [];
    const take: Answer = async ({ init }) => {
      bodies.push(new TextDecoder().decode(init.body as Uint8Array<ArrayBuffer>));
      return new Response("fine");
    };
    const { asked, call } = worker({ n1: notServed, n2: take, n3: ok });
    expect((await call("/kv/a", write)).status).toBe(200);
    expect(asked).toEqual(["n1", "n2"]);
    expect(bodies).toEqual(["value"]);
  });

  it("says that a write did not happen when nobody took it, and that a read could not be answered", async () => {
    const nobody = { n1: notServed, n2: notServed, n3: notServed };
    const response = await worker(nobody).call("/kv/a", write);
    expect(await response.json()).toMatchObject({ code: 9, reason: "proposalDropped", detail: "starting" });
    expect(await (await worker(nobody).call("/kv/a")).json()).toMatchObject({ code: 14, detail: "starting" });
    const down = await worker({ n1: broken, n2: broken, n3: broken }).call("/kv/a");
    expect([down.status, await down.json()]).toMatchObject([
      503,
      { reason: "unhealthy", detail: "no voter answers" },
    ]);
  });

  it("hands errors of the engine on as they are", async () => {
    const refuse: Answer = () => Response.json({ code: 3 }, { status: 400 });
    const { asked, call } = worker({ n1: refuse, n2: ok, n3: ok });
    expect((await call("/kv/a", write)).status).toBe(400);
    expect(asked).toEqual(["n1"]);
  });

  it("takes no body that is larger than a request may be", async () => {
    const { asked, call } = worker({ n1: ok }, { ETCD_MAX_REQUEST_BYTES: "2000" });
    const response = await call("/kv/a", { method: "PUT", body: "x".repeat(100_000) });
    expect(await response.json()).toMatchObject({ reason: "requestTooLarge" });
    expect(asked).toEqual([]);
  });

  it("has no door for members from elsewhere where no object has a URL", async () => {
    const { asked } = worker({ n1: ok });
    const request = new Request("https://front.example/raft", { method: "POST", body: "anything" });
    const env = {
      D_ENGINE_PEER_SECRET: "a-secret-of-peers",
      D_ENGINE_CLIENT_TOKEN: TOKEN,
      ETCD_LOG_LEVEL: "error",
    };
    const response = await routeRequest(request, env);
    expect(await response.json()).toMatchObject({ reason: "unimplemented" });
    expect(asked).toEqual([]);
  });

  it("refuses every request until its secrets are set, and says how", async () => {
    for (const missing of ["D_ENGINE_CLIENT_TOKEN", "D_ENGINE_PEER_SECRET"]) {
      const { asked, call } = worker({ n1: ok }, { [missing]: "" });
      for (const path of ["/kv/a", "/health", "/"]) {
        const response = await call(path);
        expect([response.status, await response.text()]).toEqual([
          401,
          expect.stringContaining(`npx wrangler secret put ${missing}`),
        ]);
      }
      expect(asked).toEqual([]);
    }
  });

  it("says what is wrong with its variables", async () => {
    const response = await worker({ n1: ok }, { D_ENGINE_NODES: "n1@mars" }).call("/kv/a");
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { reason: "invalidConfig", detail: expect.stringContaining('D_ENGINE_NODES: "mars" is no place') },
    ]);
  });

  it("lets web pages of other origins in no more than anybody else", async () => {
    const { call } = worker({ n1: ok });
    const response = await call("/kv/a", { method: "OPTIONS" });
    expect(response.headers.has("Access-Control-Allow-Origin")).toBe(false);
  });

  it("says what is missing when its binding is", async () => {
    const request = new Request("https://front.example/kv/a", {
      headers: { Authorization: `Bearer ${TOKEN}` },
    });
    const env = {
      D_ENGINE_PEER_SECRET: "a-secret-of-peers",
      D_ENGINE_CLIENT_TOKEN: TOKEN,
      ETCD_LOG_LEVEL: "error",
    };
    const response = await routeRequest(request, env);
    expect(await response.json()).toMatchObject({
      reason: "invalidConfig",
      detail: expect.stringContaining("binding named RAFT"),
    });
  });
});
