import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { fakeEngine, HEADER, STATUS } from "./fake-engine.ts";
import { type RequestHeaders, testApp } from "./test-app.ts";

const MEMBER = {
  id: HEADER.memberId,
  name: "n1",
  peerUrls: ["http://127.0.0.1:1"],
  clientUrls: ["http://127.0.0.1:2"],
  isLearner: false,
};
const engine = () => fakeEngine({ memberList: () => Promise.resolve({ header: HEADER, members: [MEMBER] }) });

describe("about the server", () => {
  it.each<[string, unknown]>([
    ["/version", { etcdserver: "3.5.21", etcdcluster: "3.5.0", "d-engine": "0.1.0" }],
    [
      "/members",
      {
        members: [
          {
            id: "10276657743932975437",
            name: "n1",
            peerURLs: ["http://127.0.0.1:1"],
            clientURLs: ["http://127.0.0.1:2"],
            isLearner: false,
          },
        ],
      },
    ],
    ["/leader", { id: "10276657743932975437", name: "n1", term: 3, clientURLs: ["http://127.0.0.1:2"] }],
    [
      "/status",
      { nodeId: "10276657743932975437", leaderId: "10276657743932975437", role: "leader", commitIndex: 20 },
    ],
    ["/status?hash=1", { stateHash: "cafe" }],
  ])("GET %s", async (path, expected) => {
    const response = await testApp(engine()).app.request(path);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject(expected as object);
  });

  it("hashes the state only when asked, and then not all at once", async () => {
    const stateHash = (): never => expect.fail("it is not hashed at once");
    const fake = fakeEngine({ status: () => ({ ...STATUS, stateHash }) });
    const { app } = testApp(fake);
    expect(await (await app.request("/status")).json()).not.toHaveProperty("stateHash");
    await app.request("/status?hash=1");
    expect(fake.calls.map(({ method }) => method)).toEqual(["status", "status", "hash"]);
  });

  it("shows the alarms that are active", async () => {
    const alarms = [{ type: "noSpace", memberId: 2n ** 64n - 1n }] as const;
    const { app } = testApp(fakeEngine({ status: () => ({ ...STATUS, alarms }) }));
    const shown = await (await app.request("/status")).json();
    expect(shown).toMatchObject({
      alarms: [{ type: "noSpace", memberId: "18446744073709551615" }],
      quotaBytes: 1048576,
    });
  });

  it("has no leader to show when it knows of none", async () => {
    const { app } = testApp(fakeEngine({ status: () => ({ ...STATUS, leaderId: null }) }));
    const response = await app.request("/leader");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ reason: "noLeader" });
  });

  it("reads members under the policy that is asked for", async () => {
    const fake = engine();
    await testApp(fake).app.request("/members?consistency=linearizable");
    expect(fake.calls[0]?.args).toEqual([{ consistency: "linearizable" }]);
  });

  it("hands out metrics as they are", async () => {
    const metrics = () => Promise.resolve({ contentType: "text/plain; version=0.0.4", body: "up 1\n" });
    const response = await testApp(engine(), { metrics }).app.request("/metrics");
    expect(response.headers.get("Content-Type")).toBe("text/plain; version=0.0.4");
    expect(await response.text()).toBe("up 1\n");
  });
});

describe("routing", () => {
  it("is simple enough for Hono's quickest router, which the benchmarks rely on", async () => {
    const peer = () => Promise.resolve({ status: 204, body: null });
    const metrics = () => Promise.resolve({ contentType: "text/plain", body: "" });
    const { app } = testApp(engine(), { peer, metrics });
    await app.request("/v3/kv/put", { method: "POST" });
    expect(app.router.name).toContain("RegExpRouter");
  });
});

describe("the peer route", () => {
  const send = (
    app: ReturnType<typeof testApp>["app"],
    body: string | Uint8Array<ArrayBuffer>,
    headers: RequestHeaders = {},
  ) => app.request("/raft", { method: "POST", body, headers });

  it("hands the raw body over and returns what comes back", async () => {
    let received: Uint8Array | null = null;
    const { app } = testApp(engine(), {
      peer: (body) => {
        received = body;
        return Promise.resolve({ status: 421, body: new Uint8Array([1, 2]) });
      },
    });
    const response = await send(app, new Uint8Array([0, 255, 7]));
    expect(received).toEqual(new Uint8Array([0, 255, 7]));
    expect(response.status).toBe(421);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(new Uint8Array([1, 2]));
  });

  it("may name the group in the path, for balancers", async () => {
    const { app } = testApp(engine(), { peer: () => Promise.resolve({ status: 204, body: null }) });
    expect((await app.request("/raft/orders", { method: "POST", body: "x" })).status).toBe(204);
  });

  it("answers without a body where there is none", async () => {
    const { app } = testApp(engine(), { peer: () => Promise.resolve({ status: 204, body: null }) });
    expect((await send(app, "x")).status).toBe(204);
  });

  it("reads no more than its limit", async () => {
    let called = false;
    const peer = () => {
      called = true;
      return Promise.resolve({ status: 204, body: null });
    };
    const { app } = testApp(engine(), { peer, limits: { maxPeerBytes: 10 } });
    for (const headers of [{}, { "Content-Length": "11" }]) {
      expect((await send(app, "x".repeat(11), headers)).status).toBe(400);
    }
    expect(called).toBe(false);
    expect((await send(app, "x".repeat(10))).status).toBe(204);
  });

  it("answers a handler that fails like any other failure", async () => {
    const { app } = testApp(engine(), { peer: () => Promise.reject(new EngineError("stopped")) });
    expect((await send(app, "x")).status).toBe(503);
  });
});
