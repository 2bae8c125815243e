import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ERRORS } from "../../../../src/core/errors/index.ts";
import type { EmbeddedOptions } from "../../../../src/runtimes/node/index.ts";
import { freePorts } from "../free-ports.ts";
import { sameOverGrpc } from "../grpc/same-over-grpc.ts";
import { followerTable, type Group, LEADERLESS, LEARNER, membershipTable } from "./group-table.ts";
import {
  b,
  expectRefusal,
  expectRefusedInVain,
  key,
  post,
  type Refusal,
  send,
  serve,
  type Served,
} from "./refusal.ts";

/*
 * What requests are refused with because of how the group stands, by real members over real connections, as JSON and
 * over gRPC. What needs faults at certain moments is in test/runtimes/http/group-refusals.test.ts, in virtual time.
 */

const ELECTION_TIMEOUT_MS = 1000;
const QUICK: EmbeddedOptions = {
  peerSecret: "0123456789abcdef",
  electionTimeout: ELECTION_TIMEOUT_MS,
  heartbeatInterval: 100,
};

/** Founders, of whom one leads. */
async function found(count: number, options: EmbeddedOptions = {}): Promise<Served[]> {
  const ports = await freePorts(count);
  const initialCluster = Object.fromEntries(ports.map((port, i) => [`n${i}`, `http://127.0.0.1:${port}`]));
  const members = await Promise.all(
    ports.map((_port, i) => serve({ ...QUICK, name: `n${i}`, initialCluster, ...options })),
  );
  await Promise.all(members.map(({ engine }) => engine.waitReady(30_000)));
  await vi.waitUntil(() => members.filter(({ engine }) => engine.isLeader).length === 1, 30_000);
  return members;
}

/** The leader first: under load it may have become another. */
function byLead(members: readonly Served[]): readonly Served[] {
  return members.toSorted((x, y) => Number(y.engine.isLeader) - Number(x.engine.isLeader));
}

async function refused(member: Served, refusal: Refusal): Promise<void> {
  expect(await expectRefusedInVain(member, refusal)).toBe("both");
}

const stopped = (members: readonly Served[]): Promise<unknown> =>
  Promise.all(members.map(({ engine }) => engine.stop()));

describe("a group of three", () => {
  let members: Served[] = [];
  let learner: Served;
  let group: Group;

  beforeAll(async () => {
    members = await found(3, { requestTimeout: 4000 });
    const [leader, follower] = byLead(members);
    const [port, unused] = await freePorts(2);
    const learnerUrl = `http://127.0.0.1:${port}`;
    const add = async (url: string): Promise<string> => {
      const reply = await send(leader!, "/v3/cluster/member/add", { peerURLs: [url], isLearner: true });
      return (reply as { readonly member: { readonly ID: string } }).member.ID;
    };
    await add(learnerUrl);
    const listed = await send(leader!, "/v3/cluster/member/list", {});
    const all = (listed as { members: { ID: string; name?: string; peerURLs: string[] }[] }).members;
    const founders = all.filter(({ name }) => name !== undefined && name !== "");
    const followerId = String(follower!.engine.nodeId);
    const followerPeerUrl = founders.find(({ ID }) => ID === followerId)!.peerURLs[0]!;
    const peers = founders.map(({ name, peerURLs }) => [name!, peerURLs[0]!]);
    learner = await serve({
      ...QUICK,
      name: "learner",
      initialCluster: { ...Object.fromEntries(peers), learner: learnerUrl },
      initialClusterState: "existing",
    });
    await learner.engine.waitReady(30_000);
    const learnerId = await add(`http://127.0.0.1:${unused}`);
    group = { leaderId: String(leader!.engine.nodeId), followerId, followerPeerUrl, learnerId };
    // The learner's name is in the log.
    await vi.waitUntil(
      async () => JSON.stringify(await send(leader!, "/v3/cluster/member/list", {})).includes('"learner"'),
      30_000,
    );
  });
  afterAll(() => stopped([...members, learner]));

  it("refuses changes of its members, and nothing has changed", async () => {
    for (const refusal of membershipTable(group)) await refused(members[0]!, refusal);
  });

  it("refuses what only its leader can do, and nothing has changed", async () => {
    const follower = byLead(members)[1]!;
    const followerId = String(follower.engine.nodeId);
    for (const refusal of followerTable({ ...group, followerId })) await refused(follower, refusal);
  });

  it("refuses whatever it may not ask of a learner, and nothing has changed", async () => {
    for (const refusal of LEARNER) await refused(learner, refusal);
  });

  it("refuses to lose one that it needs, or a new one, when another is gone: unhealthy", async () => {
    const [leader, gone, left] = byLead(members);
    members = [leader!, left!];
    await gone!.engine.stop();
    // Until then it may pass for one that is there, and the group would lose the other one.
    await setTimeout(2 * ELECTION_TIMEOUT_MS);
    const [remove, add] = ["/v3/cluster/member/remove", "/v3/cluster/member/add"];
    const body = { ID: String(left!.engine.nodeId) };
    await refused(leader!, { name: "", path: remove!, body, code: "unhealthy" });
    const added = { peerURLs: ["http://127.0.0.1:1"] };
    await refused(leader!, { name: "", path: add!, body: added, code: "unhealthy" });
  });

  it("cannot say what became of a write when its leader is left alone: timeoutLeaderFail", async () => {
    const [leader, ...others] = byLead(members);
    await stopped(others);
    const write = ["/v3/kv/put", { key }] as const;
    const [json, grpc] = await Promise.all([
      post(leader!, ...write),
      sameOverGrpc(new URL(leader!.url).host, ...write),
    ]);
    expectRefusal(json, "timeoutLeaderFail");
    const [code, message] = ERRORS.timeoutLeaderFail;
    expect(grpc).toEqual({ code, message });
  });
});

describe("a group of two", () => {
  let members: Served[] = [];

  beforeAll(async () => {
    members = await found(2);
  });
  afterAll(() => stopped(members));

  it("counts on nobody who has never run: notEnoughStarted", async () => {
    const [leader, follower] = byLead(members);
    const peerURLs = ["http://127.0.0.1:1"];
    await send(leader!, "/v3/cluster/member/add", { peerURLs });
    const [remove, add] = ["/v3/cluster/member/remove", "/v3/cluster/member/add"];
    const body = { ID: String(follower!.engine.nodeId) };
    await refused(leader!, { name: "", path: remove!, body, code: "notEnoughStarted" });
    const added = { peerURLs: ["http://127.0.0.1:2"] };
    await refused(leader!, { name: "", path: add!, body: added, code: "notEnoughStarted" });
  });
});

describe("a member without a leader", () => {
  let member: Served;

  beforeAll(async () => {
    const [own, other] = await freePorts(2);
    member = await serve({
      ...QUICK,
      name: "n1",
      initialCluster: `n1=http://127.0.0.1:${own},n2=http://127.0.0.1:${other}`,
      requestTimeout: 150,
    });
  });
  afterAll(() => member.engine.stop());

  it.each(LEADERLESS)("$name: $code, and nothing has changed", (refusal) => refused(member, refusal));

  it("says so at once to whoever asks for one: noLeader", async () => {
    const headers = { hasleader: "true" };
    const grpc = await sameOverGrpc(new URL(member.url).host, "/v3/kv/put", { key: b("k") }, headers);
    expect(grpc).toEqual({ code: 14, message: ERRORS.noLeader[1] });
    const { json } = await post(member, "/v3/watch", { createRequest: { key } }, headers);
    expect([json.code, json.message]).toEqual(ERRORS.noLeader);
  });
});
