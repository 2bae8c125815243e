import { describe, expect, it } from "vitest";
import { ERRORS, type ErrorCode } from "../../../src/core/errors/index.ts";
import { encodeCommand, type KvCommand, KvStore } from "../../../src/core/kv/index.ts";
import { MAX_LEASES } from "../../../src/core/kv/limits.ts";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { bytes, FAST, kindOf, putNow } from "../../core/node/support.ts";
import { Cluster, type ClusterOptions } from "../../core/node/world/cluster.ts";
import { memoryEngine } from "./memory-engine.ts";
import { post, testApp } from "./test-app.ts";

/*
 * What requests are refused with because of how the group stands, over HTTP and in virtual time: members that are
 * overloaded, stop, learn, or lose their leader. What says that nothing was done is held to it. The refusals that a
 * request earns by itself are in test/runtimes/node/refusals.
 */

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Readonly<Record<string, unknown>>;
}

const b = (text: string): string => Buffer.from(text).toString("base64");
const key = b("k");
const LONG_MS = 60_000;

async function begin(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster({ raft: FAST, ...options });
  await cluster.startAndElect();
  await cluster.announced();
  return cluster;
}

/** Begins a request; the world must run for it to be answered. */
async function ask(engine: KvEngine, path: string, body: object, patienceMs?: number): Promise<Answer> {
  const patient =
    patienceMs === undefined
      ? engine
      : new Proxy(engine, {
          get: (target, property) =>
            property === "put"
              ? (request: never, call: object) => target.put(request, { ...call, timeoutMs: patienceMs })
              : Reflect.get(target, property, target),
        });
  const response = await post(testApp(patient).app, path, JSON.stringify(body));
  return {
    status: response.status,
    headers: response.headers,
    json: (await response.json()) as Answer["json"],
  };
}

function expectRefusal({ status, json }: Answer, code: ErrorCode, expectedStatus: number): void {
  const [grpcCode, message] = ERRORS[code];
  expect({ status, json }).toMatchObject({
    status: expectedStatus,
    json: { reason: code, code: grpcCode, message, error: message },
  });
}

async function answered(cluster: Cluster, engine: KvEngine, path: string, body: object): Promise<Answer> {
  return await cluster.world.complete(path, ask(engine, path, body));
}

describe("too many requests", () => {
  it.each<[string, string, object]>([
    ["writes", "/v3/kv/put", { key }],
    ["reads", "/v3/kv/range", { key }],
    ["questions to the leader", "/v3/lease/timetolive", { ID: "7" }],
  ])(
    "that wait: of %s, more are refused, with when to come back, and not done",
    async (_what, path, body) => {
      const cluster = await begin({ tuning: { maxPendingRequests: 2, requestTimeoutMs: 400 } });
      const asked = path.includes("lease") ? cluster.followers()[0]! : cluster.leader()!;
      await putNow(cluster, asked, "k", "before");
      await cluster.converged();
      cluster.network.partition([asked.nodeId], cluster.others(asked.nodeId));
      const waiting = Promise.all([ask(asked, path, body), ask(asked, path, body)]);
      const refused = await answered(cluster, asked, path, { ...body, key: b("refused") });
      expectRefusal(refused, "tooManyRequests", 429);
      expect([refused.json["retry_after_ms"], refused.headers.get("Retry-After")]).toEqual([100, "1"]);
      for (const { status } of await cluster.world.complete("the others", waiting)) expect(status).toBe(503);
      cluster.network.heal();
      await cluster.elected();
      const read = await answered(cluster, cluster.leader()!, "/v3/kv/range", { key: b("refused") });
      expect([read.status, read.json["count"]]).toEqual([200, undefined]);
    },
  );

  it("at once for what may be on its way: the rest is refused, and only that", async () => {
    const cluster = await begin({ raft: { ...FAST, maxUncommittedBytes: 2000 } });
    const leader = cluster.leader()!;
    const { revision } = leader.status();
    const body = { key, value: b("x".repeat(200)) };
    const all = Array.from({ length: 50 }, () => ask(leader, "/v3/kv/put", body));
    const answers = await cluster.world.complete("the writes", Promise.all(all));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(30);
    for (const answer of refused) expectRefusal(answer, "tooManyRequests", 429);
    expect(leader.status().revision).toBe(revision + answers.length - refused.length);
  });

  it("for the whole state: four are hashed at once, the fifth is refused", async () => {
    const cluster = await begin({ founders: 1 });
    const leader = cluster.leader()!;
    for (let i = 0; i < 1200; i++) void leader.put({ key: bytes(`k${i}`), value: bytes("") });
    await cluster.world.runFor(1000);
    const hashes = Array.from({ length: 5 }, () => ask(leader, "/v3/maintenance/hash", {}));
    const answers = await cluster.world.complete("the hashes", Promise.all(hashes));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429]);
    expectRefusal(answers[4]!, "tooManyRequests", 429);
  });

  it("for leases: there are 262,144, and a put with a TTL is no way round it", async () => {
    const store = new KvStore();
    const grant = (id: bigint): KvCommand => ({ type: "leaseGrant", request: { id, ttlMs: 1000 } });
    for (let at = 0; at < MAX_LEASES; at += 1 << 14) {
      const ids = Array.from({ length: Math.min(1 << 14, MAX_LEASES - at) }, (_, i) => BigInt(1e9 + at + i));
      store.applyChunk(ids.map((id) => ({ command: encodeCommand(grant(id)), term: 1 })));
    }
    const { revision } = store;
    const { app } = testApp(memoryEngine(store));
    for (const [path, body] of [
      ["/v3/lease/grant", { ID: "1", TTL: "60" }],
      ["/v3/kv/put", { key, ttl_ms: "500" }],
    ] as const) {
      const response = await post(app, path, JSON.stringify(body));
      expect([response.status, await response.json()]).toMatchObject([429, { reason: "tooManyLeases" }]);
    }
    expect([store.revision, store.leaseCount]).toEqual([revision, MAX_LEASES]);
  });
});

describe("a learner", () => {
  it("refuses watches and renewals on their streams, and serves eventual reads and its status", async () => {
    const { cluster, learner } = await withLearner();
    for (const [path, body] of [
      ["/v3/watch", { createRequest: { key } }],
      ["/v3/lease/keepalive", { ID: "7" }],
    ] as const) {
      const response = post(testApp(learner).app, path, JSON.stringify(body));
      const text = (await cluster.world.complete(path, response)).text();
      expect(await cluster.world.complete(path, text)).toContain('"reason":"notSupportedForLearner"');
    }
    const read = await answered(cluster, learner, "/v3/kv/range", { key, serializable: true });
    expect([read.status, read.json["count"]]).toEqual([200, "1"]);
    const status = await answered(cluster, learner, "/v3/maintenance/status", {});
    expect(status).toMatchObject({ status: 200, json: { isLearner: true } });
  });

  it("that is not there, or is none, is not promoted", async () => {
    const cluster = await begin({ founders: 1, raft: { ...FAST, promotionMaxLag: 5 } });
    const leader = cluster.leader()!;
    const added = leader.memberAdd({ peerUrls: ["http://new:2380"], isLearner: true });
    const { member } = await cluster.world.complete("the learner", added);
    const { lastIndex } = leader.status();
    for (const [id, code, status] of [
      [member.id, "learnerNotReady", 400],
      [leader.nodeId, "memberNotLearner", 400],
      [99n, "memberNotFound", 404],
    ] as const) {
      const answer = await answered(cluster, leader, "/v3/cluster/member/promote", { ID: String(id) });
      expectRefusal(answer, code, status);
    }
    expect(leader.status().lastIndex).toBe(lastIndex);
  });
});

describe("whoever waits for a lock", () => {
  it.each([
    ["/v3/lock/lock", { name: key }],
    ["/v3/election/campaign", { name: key, value: b("me") }],
  ])("by %s and loses the lease is told so, and is let in by nobody", async (path, body) => {
    const cluster = await begin();
    const leader = cluster.leader()!;
    for (const ID of ["7", "8"]) await answered(cluster, leader, "/v3/lease/grant", { ID, TTL: "60" });
    expect((await answered(cluster, leader, path, { ...body, lease: "7" })).status).toBe(200);
    const waiting = ask(cluster.followers()[0]!, path, { ...body, lease: "8" });
    await cluster.world.runFor(100);
    await answered(cluster, leader, "/v3/lease/revoke", { ID: "8" });
    expectRefusal(await cluster.world.complete("the one who waits", waiting), "sessionExpired", 500);
    const line = await answered(cluster, leader, "/v3/kv/range", { key: b("k/"), range_end: b("k0") });
    expect(line.json["kvs"]).toMatchObject([{ key: b("k/7") }]);
  });
});

describe("a write whose end nobody knows", () => {
  it("when its node stops: stopped", async () => {
    const cluster = await begin();
    const leader = cluster.leader()!;
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const writing = ask(leader, "/v3/kv/put", { key }, LONG_MS);
    await cluster.world.runFor(50);
    await cluster.world.complete("the stop", leader.stop({ transferLeadership: false }));
    expectRefusal(await cluster.world.complete("the write", writing), "stopped", 503);
    expectRefusal(await ask(leader, "/v3/kv/range", { key }), "stopped", 503);
  });

  it("when its leader is cut off: timeoutLeaderFail", async () => {
    const cluster = await begin();
    const leader = cluster.leader()!;
    cluster.network.partition([leader.nodeId], cluster.others(leader.nodeId));
    const writing = ask(leader, "/v3/kv/put", { key }, 1000);
    expectRefusal(await cluster.world.complete("the write", writing), "timeoutLeaderFail", 503);
  });

  it("when it is slow: timeout", async () => {
    const cluster = await begin();
    for (const { disk } of cluster.nodes.values()) disk.latencyMs = () => 100;
    const writing = ask(cluster.leader()!, "/v3/kv/put", { key }, 20);
    expectRefusal(await cluster.world.complete("the write", writing), "timeout", 503);
  });

  it("when a snapshot may hold it: leaderChanged", async () => {
    const cluster = await begin({ tuning: { trailingEntries: 0 }, raft: { ...FAST, tailBytes: 1 } });
    const leader = cluster.leader()!;
    const follower = cluster.followers()[0]!;
    cluster.network.onFrame = ({ to }) => (to === follower.nodeId ? "drop" : "pass");
    const writing = ask(follower, "/v3/kv/put", { key }, 3_600_000);
    await cluster.world.until("the write", () => leader.status().revision > 1);
    await cluster.world.complete("a snapshot", leader.takeSnapshot());
    cluster.network.onFrame = () => "pass";
    expectRefusal(await cluster.world.complete("its end", writing), "leaderChanged", 503);
  });
});

describe("a write that nobody has taken", () => {
  it("without a leader: proposalDropped, and it is not done later", async () => {
    const cluster = await begin();
    const follower = cluster.followers()[0]!;
    cluster.network.onFrame = (travelling) => (kindOf(travelling) === "forward" ? "drop" : "pass");
    cluster.network.partition([follower.nodeId], cluster.others(follower.nodeId));
    await cluster.world.until("nobody to lead", () => follower.leaderId === null);
    const { revision } = follower.status();
    const answer = await cluster.world.complete("the write", ask(follower, "/v3/kv/put", { key }, 400));
    expect(answer).toMatchObject({ status: 400, json: { reason: "proposalDropped", code: 9 } });
    cluster.network.onFrame = () => "pass";
    cluster.network.heal();
    await cluster.elected();
    await cluster.world.runFor(1000);
    expect(cluster.leader()!.status().revision).toBe(revision);
  });
});

async function withLearner(): Promise<{ cluster: Cluster; learner: KvEngine }> {
  const cluster = await begin({ founders: 1 });
  const leader = cluster.leader()!;
  const added = leader.memberAdd({ peerUrls: ["http://learner:2380"], isLearner: true });
  const { member } = await cluster.world.complete("the learner", added);
  const learner = cluster.addJoiner(member.id);
  await cluster.world.complete("its start", learner.start());
  await putNow(cluster, leader, "k", "v");
  await cluster.converged();
  return { cluster, learner: learner.engine! };
}
