import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { ERRORS, type ErrorCode } from "../../../src/core/errors/index.ts";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";
import { sameOverGrpc } from "./grpc/same-over-grpc.ts";
import { removeTempDirs } from "./temp-dirs.ts";

/*
 * Every error that calls to KV, Lease, Watch, Lock, Election and Maintenance can end with, provoked over HTTP, and over
 * gRPC where that can say the same: its code, its words, the HTTP status, and that nothing has changed, the state's hash
 * and the log's end included.
 */

interface Refusal {
  readonly name: string;
  readonly path: string;
  readonly body: object | string;
  readonly code: ErrorCode;
  /** What is sent before, and must succeed. */
  readonly before?: readonly (readonly [path: string, body: object])[];
  readonly headers?: Readonly<Record<string, string>>;
  /** It is found where it is applied: the log has an entry more, the state is the same. */
  readonly applied?: true;
}

const b = (text: string): string => Buffer.from(text).toString("base64");
const key = b("a");
const put = { requestPut: { key } };
const times = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);

const HTTP_STATUS: Readonly<Record<number, number>> = {
  2: 500,
  3: 400,
  5: 404,
  8: 429,
  9: 400,
  11: 400,
  12: 501,
  14: 503,
  15: 500,
};

/** Of a store whose keys "a" and "b" are at revisions 2 to 5, compacted at 4, with a lease 7. */
const KV: readonly Refusal[] = [
  ...["/v3/kv/range", "/v3/kv/put", "/v3/kv/deleterange"].map((path): Refusal => ({
    name: `no key: ${path}`,
    path,
    body: {},
    code: "emptyKey",
  })),
  ...[
    { compare: [{ target: "VALUE" }] },
    { success: [{ requestPut: { value: b("1") } }] },
    { success: [{ requestRange: {} }] },
    { failure: [{ requestDeleteRange: {} }] },
    { success: [{ requestTxn: { failure: [{ requestPut: {} }] } }] },
  ].map((body): Refusal => ({
    name: `no key: ${JSON.stringify(body)}`,
    path: "/v3/kv/txn",
    body,
    code: "emptyKey",
  })),
  {
    name: "the value of a key that is not there",
    path: "/v3/kv/put",
    body: { key: b("x"), ignoreValue: true },
    code: "keyNotFound",
    applied: true,
  },
  {
    name: "the lease of a key that is not there",
    path: "/v3/kv/put",
    body: { key: b("x"), ignoreLease: true },
    code: "keyNotFound",
    applied: true,
  },
  {
    name: "a transaction that keeps the value of a key that is not there, after a put",
    path: "/v3/kv/txn",
    body: { success: [put, { requestPut: { key: b("x"), ignoreValue: true } }] },
    code: "keyNotFound",
    applied: true,
  },
  {
    name: "a value that is given and ignored",
    path: "/v3/kv/put",
    body: { key, value: b("1"), ignoreValue: true },
    code: "valueProvided",
  },
  {
    name: "a lease that is given and ignored",
    path: "/v3/kv/put",
    body: { key, lease: "7", ignoreLease: true },
    code: "leaseProvided",
  },
  {
    name: "a TTL beside an ignored lease",
    path: "/v3/kv/put",
    body: { key, ttlMs: "500", ignoreLease: true },
    code: "leaseProvided",
  },
  {
    name: "a TTL beside a lease",
    path: "/v3/kv/put",
    body: { key, ttlMs: "500", lease: "7" },
    code: "invalidArgument",
  },
  {
    name: "129 comparisons",
    path: "/v3/kv/txn",
    body: { compare: times(129, { key, target: "MOD" }), success: [put] },
    code: "tooManyOps",
  },
  {
    name: "129 operations",
    path: "/v3/kv/txn",
    body: { success: [put, ...times(128, { requestRange: { key } })] },
    code: "tooManyOps",
  },
  {
    name: "more nested operations than the list around them leaves",
    path: "/v3/kv/txn",
    body: { failure: [{ requestTxn: { success: [put, ...times(127, { requestRange: { key } })] } }] },
    code: "tooManyOps",
  },
  { name: "a key put twice", path: "/v3/kv/txn", body: { success: [put, put] }, code: "duplicateKey" },
  {
    name: "a key put and deleted",
    path: "/v3/kv/txn",
    body: { failure: [put, { requestDeleteRange: { key } }] },
    code: "duplicateKey",
  },
  {
    name: "an order that is none",
    path: "/v3/kv/range",
    body: { key, sortOrder: 3 },
    code: "invalidSortOption",
  },
  {
    name: "an order by what is nothing",
    path: "/v3/kv/range",
    body: { key, sortTarget: 5 },
    code: "invalidSortOption",
  },
  {
    name: "a value of 1.5 MiB",
    path: "/v3/kv/put",
    body: { key, value: b("x".repeat(1.5 * 2 ** 20)) },
    code: "requestTooLarge",
  },
  { name: "a compacted revision", path: "/v3/kv/range", body: { key, revision: "3" }, code: "compacted" },
  {
    name: "a transaction that puts, and reads a compacted revision",
    path: "/v3/kv/txn",
    body: { success: [put, { requestRange: { key, revision: "3" } }] },
    code: "compacted",
    applied: true,
  },
  {
    name: "compaction of what is compacted",
    path: "/v3/kv/compaction",
    body: { revision: "4" },
    code: "compacted",
    applied: true,
  },
  { name: "a future revision", path: "/v3/kv/range", body: { key, revision: "99" }, code: "futureRevision" },
  {
    name: "a transaction that puts, and reads a future revision",
    path: "/v3/kv/txn",
    body: { success: [put, { requestRange: { key, revision: "99" } }] },
    code: "futureRevision",
    applied: true,
  },
  {
    name: "compaction of the future",
    path: "/v3/kv/compaction",
    body: { revision: "99" },
    code: "futureRevision",
    applied: true,
  },
  {
    name: "a hash of the future",
    path: "/v3/maintenance/hashkv",
    body: { revision: "99" },
    code: "futureRevision",
  },
  {
    name: "a hash of what is compacted",
    path: "/v3/maintenance/hashkv",
    body: { revision: "3" },
    code: "compacted",
  },
  {
    name: "a put under a lease that is none",
    path: "/v3/kv/put",
    body: { key, lease: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  { name: "what is no JSON", path: "/v3/kv/put", body: "{", code: "invalidArgument" },
  { name: "what is no base64", path: "/v3/kv/put", body: { key: "?" }, code: "invalidArgument" },
  {
    name: "a name that is none",
    path: "/v3/kv/put",
    body: { key },
    headers: { "Idempotency-Key": "a b" },
    code: "invalidArgument",
  },
  {
    name: "another request under the same name",
    path: "/v3/kv/put",
    body: { key: b("other") },
    headers: { "Idempotency-Key": "taken" },
    code: "idempotencyKeyReused",
    applied: true,
  },
];

const LEASE: readonly Refusal[] = [
  {
    name: "a lease that is there",
    path: "/v3/lease/grant",
    body: { ID: "7", TTL: "60" },
    code: "leaseExists",
    applied: true,
  },
  {
    name: "a TTL of more than 9,000,000,000 s",
    path: "/v3/lease/grant",
    body: { TTL: "9000000001" },
    code: "leaseTtlTooLarge",
  },
  {
    name: "the end of a lease that is none",
    path: "/v3/lease/revoke",
    body: { ID: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  { name: "the end of lease 0", path: "/v3/lease/revoke", body: {}, code: "leaseNotFound" },
];

const LOCKS: readonly Refusal[] = [
  {
    name: "a lock under a lease that is none",
    path: "/v3/lock/lock",
    body: { name: b("l"), lease: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  {
    name: "a campaign under a lease that is none",
    path: "/v3/election/campaign",
    body: { name: b("e"), lease: "8" },
    code: "leaseNotFound",
    applied: true,
  },
  {
    name: "the leader where nobody is elected",
    path: "/v3/election/leader",
    body: { name: b("e") },
    code: "noElectedLeader",
  },
  {
    name: "a word of nobody",
    path: "/v3/election/proclaim",
    body: { value: b("1") },
    code: "leaderNotGiven",
  },
  { name: "nobody who resigns", path: "/v3/election/resign", body: {}, code: "leaderNotGiven" },
  {
    name: "the word of one who does not lead",
    path: "/v3/election/proclaim",
    body: { leader: { name: b("e"), key: b("e/8"), rev: "3", lease: "8" }, value: b("1") },
    code: "notElected",
    applied: true,
  },
];

const MAINTENANCE: readonly Refusal[] = [
  {
    name: "an action that is none",
    path: "/v3/maintenance/alarm",
    body: { action: "PANIC" },
    code: "invalidArgument",
  },
  {
    name: "an alarm of no known type",
    path: "/v3/maintenance/alarm",
    body: { action: 1, alarm: 9 },
    code: "invalidArgument",
  },
  { name: "a downgrade", path: "/v3/maintenance/downgrade", body: {}, code: "unimplemented" },
  {
    name: "another leader who is none",
    path: "/v3/maintenance/transfer-leadership",
    body: { targetID: "5" },
    code: "badLeaderTransferee",
  },
];

const raised = (alarm: string): NonNullable<Refusal["before"]> => [
  ["/v3/maintenance/alarm", { action: "ACTIVATE", memberID: "1", alarm }],
];

const ALARMS: readonly Refusal[] = (
  [
    ["a put", "/v3/kv/put", { key }],
    ["a put with a TTL", "/v3/kv/put", { key, ttlMs: "500" }],
    ["a transaction that may put", "/v3/kv/txn", { failure: [put] }],
    ["a lease", "/v3/lease/grant", { TTL: "60" }],
    ["a lock", "/v3/lock/lock", { name: b("l"), lease: "7" }],
    ["a campaign", "/v3/election/campaign", { name: b("e"), lease: "7" }],
  ] as const
).flatMap(([what, path, body]): Refusal[] => [
  { name: `${what} without space`, path, body, before: raised("NOSPACE"), code: "noSpace", applied: true },
  {
    name: `${what} where something is corrupt`,
    path,
    body,
    before: raised("CORRUPT"),
    code: "corrupt",
    applied: true,
  },
]);

const CORRUPT: readonly Refusal[] = (
  [
    ["a deletion", "/v3/kv/deleterange", { key }],
    ["compaction", "/v3/kv/compaction", { revision: "5" }],
    ["the end of a lease", "/v3/lease/revoke", { ID: "7" }],
  ] as const
).map(([what, path, body]): Refusal => ({
  name: `${what} where something is corrupt`,
  path,
  body,
  before: raised("CORRUPT"),
  code: "corrupt",
  applied: true,
}));

interface Member {
  readonly engine: EmbeddedEngine;
  readonly url: string;
}

interface Answer {
  readonly status: number;
  readonly json: { readonly error?: string; readonly message?: string; readonly code?: number };
}

async function post(
  { url }: Member,
  path: string,
  body: object | string,
  headers: object = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { ...headers },
  });
  return { status: response.status, json: (await response.json()) as Answer["json"] };
}

async function start(more: object = {}): Promise<Member> {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const engine = await EmbeddedEngine.start("./unused", {
    storage: new MemoryStorage(),
    listenClientUrls: url,
    logLevel: "error",
    ...more,
  });
  return { engine, url };
}

function expectRefusal({ status, json }: Answer, code: ErrorCode): void {
  const [grpcCode, message] = ERRORS[code];
  expect(json).toMatchObject({
    code: grpcCode,
    message: expect.stringContaining(message),
    error: json.message,
  });
  // etcd's words are compared whole; ours may say more.
  expect(message.startsWith("d-engine:") ? message : json.message).toBe(message);
  expect(status).toBe(HTTP_STATUS[grpcCode]);
}

afterAll(removeTempDirs);

describe("a refused request over HTTP", () => {
  let member: Member;

  async function send(path: string, body: object, headers?: object): Promise<void> {
    const { status, json } = await post(member, path, body, headers);
    expect([status, json.message]).toEqual([200, undefined]);
  }

  const sentOverGrpc = new Set<ErrorCode>();

  beforeAll(async () => {
    member = await start();
    await member.engine.waitReady(5000);
    for (const name of ["a", "b", "a", "b"]) await send("/v3/kv/put", { key: b(name), value: b("1") });
    await send("/v3/kv/compaction", { revision: "4" });
    await send("/v3/lease/grant", { ID: "7", TTL: "3600" });
    await send("/v3/kv/put", { key: b("named") }, { "Idempotency-Key": "taken" });
  });
  afterAll(async () => member.engine.stop());

  it.each([...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT])(
    "$name: $code, and nothing has changed",
    async ({ path, body, headers, code, before = [], applied }) => {
      for (const [setting, request] of before) await send(setting, request);
      const was = member.engine.engine.status();
      const state = [was.revision, was.compactRevision, was.leases, was.dbSize, was.stateHash()];
      try {
        expectRefusal(await post(member, path, body, headers), code);
        const overGrpc = await sameOverGrpc(new URL(member.url).host, path, body, headers);
        if (overGrpc !== null) sentOverGrpc.add(code);
        const [grpcCode, message] = ERRORS[code];
        const expected = { code: grpcCode, message: expect.stringContaining(message) };
        expect(overGrpc ?? { code: grpcCode, message }).toEqual(expected);
        const is = member.engine.engine.status();
        expect([is.revision, is.compactRevision, is.leases, is.dbSize, is.stateHash()]).toEqual(state);
        // Where it need not be applied to be known, nothing was proposed.
        expect([applied === true ? was.lastIndex : is.lastIndex]).toEqual([was.lastIndex]);
      } finally {
        for (const { type, memberId } of member.engine.engine.status().alarms) {
          await member.engine.engine.alarm({ action: "deactivate", type, memberId });
        }
      }
    },
  );

  it("are refused by the same codes and words over gRPC, all but what only JSON can say", () => {
    const codes = new Set(
      [...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT].map(({ code }) => code),
    );
    // A number that stands for no order: our encoder has none (grpc/messages.test.ts).
    expect([...codes].filter((code) => !sentOverGrpc.has(code))).toEqual(["invalidSortOption"]);
  });

  it("too many alarms: tooManyAlarms, and nothing has changed", async () => {
    const memberIds = Array.from({ length: 256 }, (_, i) => BigInt(i));
    const { engine } = member.engine;
    for (const memberId of memberIds) await engine.alarm({ action: "activate", type: "noSpace", memberId });
    const before = engine.status().stateHash();
    const more = { action: "ACTIVATE", memberID: "256", alarm: "NOSPACE" };
    expectRefusal(await post(member, "/v3/maintenance/alarm", more), "tooManyAlarms");
    expect(engine.status().stateHash()).toBe(before);
    for (const memberId of memberIds) await engine.alarm({ action: "deactivate", type: "noSpace", memberId });
  });

  it("a watch from a compacted revision is canceled with it, one of nothing at all with why", async () => {
    const before = member.engine.engine.status().stateHash();
    const watch = async (request: object): Promise<string> => {
      const controller = new AbortController();
      const response = await fetch(`${member.url}/v3/watch`, {
        method: "POST",
        body: JSON.stringify({ createRequest: request }),
        signal: controller.signal,
      });
      let text = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.includes('"canceled":true')) break;
      }
      controller.abort();
      return text;
    };
    const [, message] = ERRORS.compacted;
    expect(await watch({ key, startRevision: "2" })).toMatch(/"canceled":true.*"compact_revision":"4"/);
    expect(message).toBe("etcdserver: mvcc: required revision has been compacted");
    expect(member.engine.engine.status().stateHash()).toBe(before);
  });

  it("what asks about a lease that is none is answered, as in etcd", async () => {
    const alive = await post(member, "/v3/lease/keepalive", { ID: "8" });
    expect(alive).toMatchObject({ status: 200, json: { result: { ID: "8" } } });
    const left = await post(member, "/v3/lease/timetolive", { ID: "8" });
    expect(left).toMatchObject({ status: 200, json: { ID: "8", TTL: "-1" } });
  });
});

describe("a member that is full", () => {
  it("refuses before the log: noSpace, and nothing but the alarm has changed", async () => {
    const member = await start({ quotaBackendBytes: 2000 });
    try {
      await member.engine.waitReady(5000);
      expect((await post(member, "/v3/kv/put", { key, value: b("x".repeat(1000)) })).status).toBe(200);
      const { revision, dbSize } = member.engine.engine.status();
      expectRefusal(await post(member, "/v3/kv/put", { key, value: b("x".repeat(1000)) }), "noSpace");
      const is = member.engine.engine.status();
      expect([is.revision, is.dbSize]).toEqual([revision, dbSize]);
      const health = await fetch(`${member.url}/health`);
      expect([health.status, await health.text()]).toEqual([
        503,
        '{"health":"false","reason":"ALARM NOSPACE"}',
      ]);
      const metrics = await (await fetch(`${member.url}/metrics`)).text();
      expect(metrics).toMatch(/^etcd_server_quota_backend_bytes 2000$/m);
      expect(metrics).toMatch(/^d_engine_alarms_nospace 1$/m);
      expect(metrics).toMatch(new RegExp(`^etcd_mvcc_db_total_size_in_bytes ${dbSize}$`, "m"));
    } finally {
      await member.engine.stop();
    }
  });
});

describe("a member without a leader", () => {
  let member: Member;

  beforeAll(async () => {
    const [own, other] = await freePorts(2);
    member = await start({
      name: "n1",
      initialCluster: `n1=http://127.0.0.1:${own},n2=http://127.0.0.1:${other}`,
      peerSecret: "0123456789abcdef",
      requestTimeout: 300,
      electionTimeout: 100,
      heartbeatInterval: 20,
    });
  });
  afterAll(async () => member.engine.stop());

  it.each<[string, string, object]>([
    ["a range", "/v3/kv/range", { key }],
    ["a put", "/v3/kv/put", { key }],
    ["a lease", "/v3/lease/grant", { TTL: "60" }],
    ["a renewal", "/v3/lease/timetolive", { ID: "7" }],
    ["an alarm", "/v3/maintenance/alarm", { action: "ACTIVATE", memberID: "1", alarm: "NOSPACE" }],
    ["the alarms", "/v3/maintenance/alarm", {}],
    ["a lock", "/v3/lock/lock", { name: b("l"), lease: "7" }],
  ])("%s is refused, and nothing has changed", async (_name, path, body) => {
    const before = member.engine.engine.status();
    const { status, json } = await post(member, path, body);
    // Whoever cannot say that it was done says that it was not, or that it is gone about in vain.
    const known = (["noLeader", "timeout", "timeoutLeaderFail", "proposalDropped"] as const).filter((code) =>
      json.message?.startsWith(ERRORS[code][1]),
    );
    expect([json.message, known.length]).toEqual([json.message, 1]);
    expectRefusal({ status, json }, known[0]!);
    expect(member.engine.engine.status().stateHash()).toBe(before.stateHash());
  });
});

describe("a table of errors", () => {
  it("has every one of the specification's that these calls can give", () => {
    const provoked = new Set(
      [...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT].map(({ code }) => code),
    );
    const expected: readonly ErrorCode[] = [
      "emptyKey",
      "keyNotFound",
      "valueProvided",
      "leaseProvided",
      "tooManyOps",
      "duplicateKey",
      "invalidSortOption",
      "requestTooLarge",
      "compacted",
      "futureRevision",
      "leaseTtlTooLarge",
      "noSpace",
      "leaseNotFound",
      "leaseExists",
      "badLeaderTransferee",
      "corrupt",
      "noElectedLeader",
      "leaderNotGiven",
      "notElected",
    ];
    expect(expected.filter((code) => !provoked.has(code))).toEqual([]);
  });
});
