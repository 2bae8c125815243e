import { describe, expect, it } from "vitest";
import {
  AssertionError,
  EngineError,
  type ErrorCode,
  type ErrorDetails,
} from "../../../src/core/errors/index.ts";
import type { KeyValue } from "../../../src/core/kv/index.ts";
import type { Engine, Member } from "../../../src/core/node/index.ts";
import { METHODS } from "../../../src/runtimes/http/etcd/methods.ts";
import { fakeEngine, HEADER, STATUS } from "./fake-engine.ts";
import { post, testApp } from "./test-app.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const KV: KeyValue = {
  key: bytes("a"),
  value: bytes("v"),
  createRevision: 2,
  modRevision: 5,
  version: 3,
  lease: 7587862094297123456n,
};
const KV_JSON =
  '{"key":"YQ==","create_revision":"2","mod_revision":"5","version":"3","value":"dg==","lease":"7587862094297123456"}';
const HEADER_JSON =
  '"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"7","raft_term":"3"}';
const CLUSTER_HEADER_JSON = HEADER_JSON.replace('"revision":"7",', "");
const MEMBER: Member = {
  id: 5n,
  name: "n5",
  peerUrls: ["http://127.0.0.1:1"],
  clientUrls: ["http://127.0.0.1:2", "http://127.0.0.1:3"],
  isLearner: true,
};
const MEMBER_JSON =
  '{"ID":"5","name":"n5","peerURLs":["http://127.0.0.1:1"],"clientURLs":["http://127.0.0.1:2","http://127.0.0.1:3"],"isLearner":true}';

interface Case {
  readonly path: string;
  readonly body: string;
  readonly engine: Partial<Engine>;
  /** What the engine must be called with. */
  readonly call: readonly unknown[];
  readonly reply: string;
}

const HASHED = { header: HEADER, hash: "00000000fedcba98", hashRevision: 6, compactRevision: 4 };

const range = (body: string, ...call: unknown[]): Case => ({
  path: "/kv/range",
  body,
  engine: { range: () => Promise.resolve({ header: HEADER, kvs: [KV], more: true, count: 9 }) },
  call: ["range", ...call],
  reply: `{${HEADER_JSON},"kvs":[${KV_JSON}],"more":true,"count":"9"}`,
});

const txn = (body: string, ...call: unknown[]): Case => ({
  path: "/kv/txn",
  body,
  engine: { txn: () => Promise.resolve({ header: HEADER, succeeded: false, responses: [], revision: 7 }) },
  call: ["txn", ...call],
  reply: `{${HEADER_JSON}}`,
});

const members = (path: string, body: string, call: readonly unknown[], engine: Partial<Engine>): Case => ({
  path: `/cluster/member/${path}`,
  body,
  engine,
  call,
  reply: `{${CLUSTER_HEADER_JSON},"members":[${MEMBER_JSON}]}`,
});

const memberReply = () => Promise.resolve({ header: HEADER, members: [MEMBER] });

const leases: readonly Case[] = [
  {
    path: "/lease/grant",
    body: '{"TTL":"60","ID":7}',
    engine: { leaseGrant: () => Promise.resolve({ header: HEADER, id: 7n, ttlMs: 60_000 }) },
    call: ["leaseGrant", { id: 7n, ttlSeconds: 60 }],
    reply: `{${HEADER_JSON},"ID":"7","TTL":"60"}`,
  },
  {
    path: "/lease/grant",
    body: '{"ttl_ms":250}',
    engine: { leaseGrant: () => Promise.resolve({ header: HEADER, id: 8n, ttlMs: 250 }) },
    call: ["leaseGrant", { id: 0n, ttlMs: 250 }],
    reply: `{${HEADER_JSON},"ID":"8","TTL":"1","ttl_ms":"250"}`,
  },
  {
    path: "/lease/revoke",
    body: '{"ID":"-9"}',
    engine: { leaseRevoke: () => Promise.resolve({ header: HEADER }) },
    call: ["leaseRevoke", { id: -9n }],
    reply: `{${HEADER_JSON}}`,
  },
  {
    path: "/lease/timetolive",
    body: '{"ID":"7","keys":true}',
    engine: {
      leaseTimeToLive: () =>
        Promise.resolve({ header: HEADER, id: 7n, remainingMs: 58_999, ttlMs: 60_000, keys: [KV.key] }),
    },
    call: ["leaseTimeToLive", { id: 7n, keys: true }],
    reply: `{${HEADER_JSON},"ID":"7","TTL":"58","grantedTTL":"60","keys":["YQ=="]}`,
  },
  {
    path: "/lease/timetolive",
    body: '{"ID":"7"}',
    engine: {
      leaseTimeToLive: () => Promise.resolve({ header: HEADER, id: 7n, remainingMs: -1, ttlMs: 0, keys: [] }),
    },
    call: ["leaseTimeToLive", { id: 7n, keys: false }],
    reply: `{${HEADER_JSON},"ID":"7","TTL":"-1"}`,
  },
  {
    path: "/lease/leases",
    body: "{}",
    engine: { leaseList: () => Promise.resolve({ header: HEADER, ids: [7n, -9n] }) },
    call: ["leaseList"],
    reply: `{${HEADER_JSON},"leases":[{"ID":"7"},{"ID":"-9"}]}`,
  },
];

const CASES: readonly Case[] = [
  range('{"key":"YQ=="}', { key: KV.key }, {}),
  range(
    '{"key":"YQ==","serializable":true}',
    { key: KV.key, serializable: true },
    { consistency: "eventual" },
  ),
  range(
    '{"key":"YQ==","consistency":"lease"}',
    { key: KV.key, consistency: "lease" },
    { consistency: "lease" },
  ),
  range(
    '{"key":"YQ==","serializable":true,"consistency":"linearizable"}',
    { key: KV.key, serializable: true, consistency: "linearizable" },
    { consistency: "linearizable" },
  ),
  {
    path: "/kv/put",
    body: '{"key":"YQ==","value":"dg==","prev_kv":true}',
    engine: { put: () => Promise.resolve({ header: HEADER, prevKv: KV }) },
    call: ["put", { key: KV.key, value: KV.value, prevKv: true }, {}],
    reply: `{${HEADER_JSON},"prev_kv":${KV_JSON}}`,
  },
  {
    path: "/kv/deleterange",
    body: '{"key":"YQ==","rangeEnd":"Yg=="}',
    engine: { deleteRange: () => Promise.resolve({ header: HEADER, deleted: 1, prevKvs: [KV] }) },
    call: ["deleteRange", { key: KV.key, rangeEnd: bytes("b") }, {}],
    reply: `{${HEADER_JSON},"deleted":"1","prev_kvs":[${KV_JSON}]}`,
  },
  txn(
    '{"success":[{"request_put":{"key":"YQ=="}}]}',
    { compare: [], success: [{ type: "put", request: { key: KV.key } }], failure: [] },
    {},
  ),
  txn(
    '{"success":[{"request_range":{"key":"YQ==","serializable":true}}]}',
    {
      compare: [],
      success: [{ type: "range", request: { key: KV.key, serializable: true } }],
      failure: [],
    },
    { consistency: "eventual" },
  ),
  txn(
    '{"success":[{"request_range":{"key":"YQ==","serializable":true}}],"failure":[{"request_range":{"key":"YQ=="}}]}',
    {
      compare: [],
      success: [{ type: "range", request: { key: KV.key, serializable: true } }],
      failure: [{ type: "range", request: { key: KV.key } }],
    },
    {},
  ),
  txn(
    '{"compare":[{"key":"YQ=="}]}',
    {
      compare: [{ key: KV.key, result: "equal", target: "version", version: 0 }],
      success: [],
      failure: [],
    },
    {},
  ),
  txn(
    '{"consistency":"lease"}',
    { compare: [], success: [], failure: [], consistency: "lease" },
    { consistency: "lease" },
  ),
  {
    path: "/kv/compaction",
    body: '{"revision":"4","physical":true}',
    engine: { compact: () => Promise.resolve({ header: HEADER }) },
    call: ["compact", { revision: 4 }],
    reply: `{${HEADER_JSON}}`,
  },
  ...leases,
  {
    path: "/cluster/member/add",
    body: '{"peerURLs":["http://127.0.0.1:1"],"isLearner":true}',
    engine: { memberAdd: () => Promise.resolve({ header: HEADER, member: MEMBER, members: [MEMBER] }) },
    call: ["memberAdd", { peerUrls: ["http://127.0.0.1:1"], isLearner: true }],
    reply: `{${CLUSTER_HEADER_JSON},"member":${MEMBER_JSON},"members":[${MEMBER_JSON}]}`,
  },
  members("remove", '{"ID":"5"}', ["memberRemove", 5n], { memberRemove: memberReply }),
  members(
    "update",
    '{"ID":5,"peerURLs":["https://a.example"]}',
    ["memberUpdate", 5n, ["https://a.example"]],
    {
      memberUpdate: memberReply,
    },
  ),
  members("promote", '{"ID":"18446744073709551615"}', ["memberPromote", 18446744073709551615n], {
    memberPromote: memberReply,
  }),
  members("list", "{}", ["memberList", { consistency: "eventual" }], { memberList: memberReply }),
  members("list", '{"linearizable":true}', ["memberList", { consistency: "linearizable" }], {
    memberList: memberReply,
  }),
  {
    path: "/maintenance/transfer-leadership",
    body: '{"targetID":"5"}',
    engine: { transferLeadership: () => Promise.resolve() },
    call: ["transferLeadership", 5n],
    reply: `{${HEADER_JSON}}`,
  },
  {
    path: "/maintenance/alarm",
    body: "",
    engine: { alarm: () => Promise.resolve({ header: HEADER, alarms: [] }) },
    call: ["alarm", { action: "get" }],
    reply: `{${HEADER_JSON}}`,
  },
  {
    path: "/maintenance/alarm",
    body: '{"action":"GET","alarm":"CORRUPT"}',
    engine: { alarm: () => Promise.resolve({ header: HEADER, alarms: [{ type: "corrupt", memberId: 5n }] }) },
    call: ["alarm", { action: "get", type: "corrupt" }],
    reply: `{${HEADER_JSON},"alarms":[{"memberID":"5","alarm":"CORRUPT"}]}`,
  },
  {
    path: "/maintenance/alarm",
    body: '{"action":1,"memberID":"18446744073709551615","alarm":1}',
    engine: { alarm: () => Promise.resolve({ header: HEADER, alarms: [] }) },
    call: ["alarm", { action: "activate", type: "noSpace", memberId: 2n ** 64n - 1n }],
    reply: `{${HEADER_JSON}}`,
  },
  {
    path: "/maintenance/alarm",
    body: '{"action":"DEACTIVATE","memberID":"5","alarm":"NOSPACE"}',
    engine: { alarm: () => Promise.resolve({ header: HEADER, alarms: [{ type: "noSpace", memberId: 5n }] }) },
    call: ["alarm", { action: "deactivate", type: "noSpace", memberId: 5n }],
    reply: `{${HEADER_JSON},"alarms":[{"memberID":"5","alarm":"NOSPACE"}]}`,
  },
  {
    // Of no type nothing is disarmed, as in etcd.
    path: "/maintenance/alarm",
    body: '{"action":"DEACTIVATE","memberID":"5"}',
    engine: {},
    call: ["header"],
    reply: `{${HEADER_JSON}}`,
  },
  {
    path: "/maintenance/hash",
    body: "",
    engine: { hash: () => Promise.resolve(HASHED) },
    call: ["hash", {}],
    reply: `{${HEADER_JSON},"hash":4275878552}`,
  },
  {
    path: "/maintenance/hashkv",
    body: '{"revision":"6"}',
    engine: { hash: () => Promise.resolve(HASHED) },
    call: ["hash", { revision: 6 }],
    reply: `{${HEADER_JSON},"hash":4275878552,"compact_revision":"4","hash_revision":"6"}`,
  },
  {
    path: "/maintenance/defragment",
    body: "{}",
    engine: {},
    call: ["header"],
    reply: `{${HEADER_JSON},"note":"nothing to do: what compaction frees is used again, and memory moved together, while the member runs"}`,
  },
  {
    path: "/maintenance/status",
    body: "{}",
    engine: {},
    call: ["status"],
    reply: `{${HEADER_JSON},"version":"3.5.21","dbSize":"4096","leader":"10276657743932975437","raftIndex":"20","raftTerm":"3","raftAppliedIndex":"19","dbSizeInUse":"4096"}`,
  },
  {
    path: "/maintenance/status",
    body: "",
    engine: {
      status: () => ({
        ...STATUS,
        leaderId: null,
        isLearner: true,
        dbSize: 0,
        alarms: [{ type: "noSpace", memberId: 5n }],
      }),
    },
    call: ["status"],
    reply: `{${HEADER_JSON},"version":"3.5.21","raftIndex":"20","raftTerm":"3","raftAppliedIndex":"19","errors":["etcdserver: no leader","memberID:5 alarm:NOSPACE "],"isLearner":true}`,
  },
];

describe("the gateway's methods", () => {
  it.each(CASES)("$path $body", async ({ path, body, engine, call, reply }) => {
    for (const prefix of ["/v3", "/v3beta"]) {
      const fake = fakeEngine(engine);
      const response = await post(testApp(fake).app, prefix + path, body);
      expect(await response.text()).toBe(reply);
      expect(response.status).toBe(200);
      expect(response.headers.get("Content-Type")).toBe("application/json");
      const [first] = fake.calls;
      expect([first?.method, ...(first?.args ?? [])]).toEqual(call);
    }
  });

  it("answers on the paths of old clients as well", async () => {
    for (const { path, body, engine, reply } of leases) {
      if (path === "/lease/grant") continue;
      const response = await post(testApp(fakeEngine(engine)).app, `/v3/kv${path}`, body);
      expect(await response.text()).toBe(reply);
    }
  });

  it("covers the whole table, but for locks and elections (locks.test.ts), users and roles (auth)", () => {
    const paths = METHODS.filter(
      ({ service }) => service.startsWith("etcdserverpb.") && service !== "etcdserverpb.Auth",
    ).map(({ path }) => path);
    // It has no reply but an error.
    const answered = paths.filter((path) => path !== "/maintenance/downgrade");
    expect(new Set(CASES.map(({ path }) => path))).toEqual(new Set(answered));
  });

  it("says what a downgrade is here", async () => {
    const response = await post(
      testApp(fakeEngine()).app,
      "/v3/maintenance/downgrade",
      '{"action":"VALIDATE"}',
    );
    expect(response.status).toBe(501);
    expect(await response.json()).toMatchObject({
      code: 12,
      message: expect.stringContaining("there is no cluster version to lower") as string,
    });
  });

  it("refuses at once whoever will have a leader, when there is none", async () => {
    const fake = fakeEngine({
      status: () => ({ ...STATUS, leaderId: null }),
      range: () => Promise.resolve({ header: HEADER, kvs: [], more: false, count: 0 }),
    });
    const { app } = testApp(fake);
    const get = (path: string, headers: Record<string, string>): Promise<Response> =>
      post(app, path, '{"key":"YQ=="}', headers);
    expect((await get("/v3/kv/range", {})).status).toBe(200);
    expect((await get("/v3/kv/range", { hasleader: "false" })).status).toBe(200);
    for (const name of ["hasleader", "Grpc-Metadata-hasleader"]) {
      for (const path of ["/v3/kv/range", "/v3/lease/keepalive", "/v3/maintenance/snapshot"]) {
        const response = await get(path, { [name]: "true" });
        expect([response.status, await response.json()]).toMatchObject([
          503,
          { code: 14, message: "etcdserver: no leader" },
        ]);
      }
    }
    expect(fake.calls.filter(({ method }) => method === "range")).toHaveLength(2);
    const led = testApp(
      fakeEngine({ range: () => Promise.resolve({ header: HEADER, kvs: [], more: false, count: 0 }) }),
    );
    expect((await post(led.app, "/v3/kv/range", '{"key":"YQ=="}', { hasleader: "true" })).status).toBe(200);
  });
});

describe("the gateway's errors", () => {
  const failing = async (code: ErrorCode, details: ErrorDetails = {}): Promise<Response> => {
    const engine = fakeEngine({ put: () => Promise.reject(new EngineError(code, details)) });
    return post(testApp(engine).app, "/v3/kv/put", '{"key":"YQ=="}');
  };

  it.each<[ErrorCode, number, number]>([
    ["emptyKey", 400, 3],
    ["compacted", 400, 11],
    ["badLeaderTransferee", 400, 9],
    ["leaseNotFound", 404, 5],
    ["tooManyRequests", 429, 8],
    ["noLeader", 503, 14],
    ["timeout", 503, 14],
    ["canceled", 499, 1],
    ["permissionDenied", 403, 7],
    ["unauthenticated", 401, 16],
    ["unimplemented", 501, 12],
    ["storageFailed", 500, 13],
    ["corrupt", 500, 15],
  ])("%s is HTTP %i and code %i", async (reason, status, code) => {
    const response = await failing(reason);
    expect(response.status).toBe(status);
    const { message } = new EngineError(reason);
    expect(await response.json()).toEqual({ error: message, message, code, reason });
  });

  it("keeps etcd's message whole and says the detail apart", async () => {
    expect(await (await failing("emptyKey", { detail: "which one" })).text()).toBe(
      '{"error":"etcdserver: key is not provided","message":"etcdserver: key is not provided","code":3,"reason":"emptyKey","detail":"which one"}',
    );
  });

  it("says when to come back, in whole seconds and never too early", async () => {
    expect((await failing("tooManyRequests", { retryAfterMs: 1200 })).headers.get("Retry-After")).toBe("2");
    expect((await failing("tooManyRequests", { retryAfterMs: 1 })).headers.get("Retry-After")).toBe("1");
    expect((await failing("tooManyRequests")).headers.has("Retry-After")).toBe(false);
  });

  it("says who leads, and lets no URL break out of the header", async () => {
    const leaderUrls = ["http://a.example:1", "http://b\r\nX-Evil: 1", "http://c.example:2"];
    const { headers } = await failing("notLeader", { leaderId: 77n, leaderUrls });
    expect(headers.get("X-D-Engine-Leader")).toBe("77");
    expect(headers.get("X-D-Engine-Leader-Urls")).toBe("http://a.example:1,http://c.example:2");
    expect(headers.has("X-Evil")).toBe(false);
  });

  it.each([new Error("secret path"), new AssertionError("secret state"), new TypeError("secret type")])(
    "tells nobody but the log about %s",
    async (error) => {
      const { app, log } = testApp(fakeEngine({ put: () => Promise.reject(error) }));
      const response = await post(app, "/v3/kv/put", '{"key":"YQ=="}');
      expect(response.status).toBe(500);
      expect(await response.text()).not.toContain("secret");
      expect(log).toEqual([{ level: "error", message: "a request failed unexpectedly" }]);
    },
  );

  it.each(["/v3/auth/user", "/v3/lock/trylock", "/v3beta/x", "/v3/"])(
    "%s is not implemented",
    async (path) => {
      const response = await post(testApp(fakeEngine()).app, path, "{}");
      expect(response.status).toBe(501);
      expect(await response.json()).toEqual({
        error: `d-engine: not implemented: POST ${path}`,
        message: `d-engine: not implemented: POST ${path}`,
        code: 12,
        reason: "unimplemented",
      });
    },
  );

  it("answers another verb with the one to use", async () => {
    const response = await testApp(fakeEngine()).app.request("/v3/kv/put");
    expect(response.status).toBe(405);
    expect(response.headers.get("Allow")).toBe("POST");
  });

  it.each(["/", "/v4/kv/put", "/v3", "/V3/kv/put", "//v3/kv/put", "/metrics", "/raft", "/raft/x"])(
    "%s is not there",
    async (path) => {
      const response = await post(testApp(fakeEngine()).app, path, "{}");
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: 5, reason: "notFound" });
    },
  );

  it.each([
    '["nothing"]',
    '["ftp://a:1"]',
    '["http://a:1/path"]',
    '["http://u:p@a:1"]',
    '["http://u@a:1"]',
    '["http://a:1?x"]',
    "[]",
    '[""]',
  ])("refuses to add a member at %s", async (urls) => {
    const engine = fakeEngine();
    const response = await post(testApp(engine).app, "/v3/cluster/member/add", `{"peerURLs":${urls}}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: "etcdserver: given member URLs are invalid",
      reason: "badMemberUrls",
    });
    expect(engine.calls).toEqual([]);
  });
});

describe("the size of a request", () => {
  const engine = () => fakeEngine({ put: () => Promise.resolve({ header: HEADER, prevKv: null }) });
  const limits = { maxRequestBytes: 100 };
  const body = (length: number): string => `{"key":"YQ=="}`.padEnd(length, " ");
  const tooLarge = { error: "etcdserver: request is too large", code: 3, reason: "requestTooLarge" };

  it("may be the limit and not a byte more, declared or not", async () => {
    for (const declared of [true, false]) {
      const send = (length: number) =>
        post(
          testApp(engine(), { limits }).app,
          "/v3/kv/put",
          body(length),
          declared ? { "Content-Length": String(length) } : {},
        );
      expect((await send(100)).status).toBe(200);
      const refused = await send(101);
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject(tooLarge);
    }
  });

  it("is refused by what is declared before anything is read", async () => {
    const { app } = testApp(engine(), { limits });
    let read = false;
    const stream = new ReadableStream(
      {
        pull() {
          read = true;
        },
      },
      { highWaterMark: 0 },
    );
    const request = new Request("http://localhost/v3/kv/put", {
      method: "POST",
      body: stream,
      duplex: "half",
      headers: { "Content-Length": "101" },
    } as RequestInit);
    expect((await app.fetch(request)).status).toBe(400);
    expect(read).toBe(false);
  });

  it("is counted while an endless body arrives, which is then let go of", async () => {
    const { app } = testApp(engine(), { limits });
    let chunks = 0;
    let canceled = false;
    const stream = new ReadableStream({
      pull(controller) {
        chunks++;
        controller.enqueue(new Uint8Array(30).fill(32));
      },
      cancel() {
        canceled = true;
      },
    });
    const request = new Request("http://localhost/v3/kv/put", {
      method: "POST",
      body: stream,
      duplex: "half",
    } as RequestInit);
    const response = await app.fetch(request);
    expect(await response.json()).toMatchObject(tooLarge);
    expect(canceled).toBe(true);
    expect(chunks).toBeLessThan(10);
  });

  it.each(["/v3/kv/put", "/kv/a"])(
    "does not matter to %s when the client hangs up in the middle",
    async (path) => {
      for (const headers of [{}, { "Content-Length": "90" }]) {
        const { app, log } = testApp(engine(), { limits });
        const stream = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
        const request = new Request(`http://localhost${path}`, {
          method: path.startsWith("/v3") ? "POST" : "PUT",
          body: stream,
          duplex: "half",
          headers,
        } as RequestInit);
        expect((await app.fetch(request)).status).toBe(499);
        expect(log).toEqual([]);
      }
    },
  );

  it("is not believed when it is not a number", async () => {
    const { app } = testApp(engine(), { limits });
    const response = await post(app, "/v3/kv/put", body(20), { "Content-Length": "many" });
    expect(response.status).toBe(400);
  });
});
