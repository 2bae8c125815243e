import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import type { Member } from "../../../src/core/node/index.ts";
import {
  encodeMembersReply,
  foundCluster,
  type PeerHandler,
  PeerReceiver,
  seal,
} from "../../../src/runtimes/http/peer/index.ts";
import { loadEmbeddedConfig } from "../../../src/runtimes/node/config/load-config.ts";
import { nodeRandom } from "../../../src/runtimes/node/index.ts";
import { peerListener } from "../../../src/runtimes/node/peer-route.ts";
import { nodePeerMac } from "../../../src/runtimes/node/peers/node-mac.ts";
import { resolveIdentity } from "../../../src/runtimes/node/resolve-identity.ts";

const SECRET = "0123456789abcdef";
const secretBytes = new TextEncoder().encode(SECRET);
const logger = { log: () => undefined };
const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A peer URL where this handler answers. */
async function peer(receive: PeerHandler): Promise<string> {
  const server = createServer(peerListener(receive, 1 << 20));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A member of cluster 5 that knows these members. */
function member(members: readonly Member[] | null, clusterId = 5n): Promise<string> {
  const receiver = new PeerReceiver({
    clusterId,
    groupId: "default",
    nodeId: 1n,
    batchMac: nodePeerMac(secretBytes, { type: "batch", clusterId, groupId: "default" }),
    membersMac: nodePeerMac(secretBytes, { type: "members", groupId: "default" }),
    members: () => Promise.resolve(members),
    deliver: () => undefined,
    maxBodyBytes: 1000,
    logger,
    nowMs: () => 0,
  });
  return peer((body) => receiver.receive(body));
}

const OWN_URL = "http://127.0.0.1:1";
const known = (overrides: Partial<Member> = {}): Member => ({
  id: 7n,
  name: "",
  peerUrls: [OWN_URL],
  clientUrls: [],
  isLearner: true,
  ...overrides,
});
const first: Member = { id: 1n, name: "n1", peerUrls: ["http://h:1"], clientUrls: [], isLearner: false };

function resolve(settings: Record<string, unknown>, storage = new MemoryStorage()) {
  const { config } = loadEmbeddedConfig({ dataDir: "unused", peerSecret: SECRET, ...settings }, {});
  return resolveIdentity({ config, storage, random: nodeRandom, logger });
}

const joiner = (urls: readonly string[]) => ({
  name: "n7",
  initialClusterState: "existing",
  initialCluster: { n7: OWN_URL, n1: urls },
});

it("founds a single node in a store that others reach under the same ids, whoever founds it", async () => {
  const shared = Object.assign(new MemoryStorage(), { confirmOwner: async () => {} });
  const settings = { storage: "s3://bucket/prod", name: "n1" };
  const [one, other] = [await resolve(settings, shared), await resolve(settings, shared)];
  expect(one).toEqual(other);
  const elsewhere = await resolve({ ...settings, storage: "s3://bucket/test" }, shared);
  expect(elsewhere.identity.clusterId).not.toBe(one.identity.clusterId);
  const [drawn, again] = [await resolve({ name: "n1" }), await resolve({ name: "n1" })];
  expect(drawn.identity).not.toEqual(again.identity);
});

describe("a joining node", () => {
  it("finds its id, its cluster and its way to the others", async () => {
    const url = await member([first, known()]);
    expect(await resolve(joiner([url]))).toEqual({
      identity: { clusterId: 5n, groupId: "default", nodeId: 7n },
      founders: null,
      contacts: new Map([
        [1n, ["http://h:1"]],
        [7n, [OWN_URL]],
      ]),
    });
  });

  it("asks all of them, since some may not have heard of it yet, and some may be down", async () => {
    const urls = await Promise.all([member(null), member([first]), member([first, known()])]);
    const { identity } = await resolve(joiner([...urls, "http://127.0.0.1:2"]));
    expect(identity.nodeId).toBe(7n);
  });

  it("believes no answer that is forged, or made for another question", async () => {
    const reply = { groupId: "default", clusterId: 5n, members: [first, known()] };
    const mac = nodePeerMac(secretBytes, { type: "members", groupId: "default" });
    const otherMac = nodePeerMac(new Uint8Array(1), { type: "members", groupId: "default" });
    const nonceOf = (body: Uint8Array) => body.slice(-48, -32);
    const urls = await Promise.all([
      peer(async (body) => ({
        status: 200,
        body: await seal(encodeMembersReply({ ...reply, nonce: nonceOf(body) }), otherMac),
      })),
      peer(async () => ({
        status: 200,
        body: await seal(encodeMembersReply({ ...reply, nonce: new Uint8Array(16) }), mac),
      })),
      peer(async (body) => ({
        status: 200,
        body: await seal(encodeMembersReply({ ...reply, groupId: "other", nonce: nonceOf(body) }), mac),
      })),
    ]);
    const error: unknown = await resolve(joiner(urls)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "unhealthy" });
    const { detail } = error as { detail: string };
    expect(detail).toContain(`${urls[0]}: its answer is not authentic`);
    expect(detail).toContain(`${urls[1]}: its answer belongs to another question`);
    expect(detail).toContain(`${urls[2]}: its answer belongs to another question`);
    // The same with the right secret and nonce is believed: so it was these that mattered.
    const good = await peer(async (body) => ({
      status: 200,
      body: await seal(encodeMembersReply({ ...reply, nonce: nonceOf(body) }), mac),
    }));
    expect((await resolve(joiner([good]))).identity.nodeId).toBe(7n);
  });

  it("does not join a second time with an empty directory", async () => {
    const url = await member([first, known({ name: "n7" })]);
    await expect(resolve(joiner([url]))).rejects.toThrow(/member 7 has run before/);
  });

  it("is told how to be added when nobody knows it", async () => {
    const url = await member([first]);
    await expect(resolve(joiner([url]))).rejects.toThrow(
      `First run on a member: d-engine member add n7 --peer-urls=${OWN_URL}`,
    );
    await expect(resolve({ ...joiner([url]), initialCluster: { n7: OWN_URL } })).rejects.toThrow(
      /must name a member besides this one/,
    );
  });

  it("asks for the way again when it restarts before it was told who the members are", async () => {
    const storage = new MemoryStorage();
    const identity = { clusterId: 5n, groupId: "default", nodeId: 7n };
    await storage.meta.saveIdentity(identity);
    const urls = await Promise.all([member([first, known()]), member([known({ id: 9n })], 6n)]);
    const resolved = await resolve(joiner([urls[1]!, urls[0]!]), storage);
    expect(resolved).toMatchObject({ identity, founders: null });
    expect(resolved.contacts.get(1n)).toEqual(["http://h:1"]);
    expect(resolved.contacts.has(9n)).toBe(false);
    // Nobody there: it starts all the same, since the members will find it.
    expect((await resolve(joiner(["http://127.0.0.1:2"]), storage)).contacts.size).toBe(0);
  });
});

describe("a founder", () => {
  const cluster = (other: string) => ({ name: "n0", initialCluster: { n0: OWN_URL, n1: other } });
  /** As they are written down: none has told its name. */
  const unnamed = (members: readonly Member[]) => members.map((each) => ({ ...each, name: "" }));
  const idsOf = async (other: string) => {
    const members = [
      { name: "n0", peerUrls: [OWN_URL] },
      { name: "n1", peerUrls: [other] },
    ];
    const founding = await foundCluster(members, "d-engine-cluster");
    return { founding, own: founding.founders.find(({ name }) => name === "n0")! };
  };

  it("computes its ids when nobody is there to ask", async () => {
    const other = "http://127.0.0.1:2";
    const { founding, own } = await idsOf(other);
    expect(await resolve(cluster(other))).toEqual({
      identity: { clusterId: founding.clusterId, groupId: "default", nodeId: own.id },
      founders: unnamed(founding.founders),
      contacts: new Map(),
    });
  });

  it("is not founded again when another member says that it has run", async () => {
    let answer: PeerHandler = () => Promise.resolve({ status: 503, body: null });
    const url = await peer((body) => answer(body));
    const { founding, own } = await idsOf(url);
    const receiverFor = (self: Member) =>
      new PeerReceiver({
        clusterId: founding.clusterId,
        groupId: "default",
        nodeId: 1n,
        batchMac: nodePeerMac(secretBytes, { type: "members", groupId: "unused" }),
        membersMac: nodePeerMac(secretBytes, { type: "members", groupId: "default" }),
        members: () => Promise.resolve([self]),
        deliver: () => undefined,
        maxBodyBytes: 1000,
        logger,
        nowMs: () => 0,
      });
    // Not started, or not yet told so by this member: a founder that starts for the first time.
    const founders = unnamed(founding.founders);
    await expect(resolve(cluster(url))).resolves.toMatchObject({ founders });
    answer = (body) => receiverFor({ ...own, name: "" }).receive(body);
    await expect(resolve(cluster(url))).resolves.toMatchObject({ founders });
    answer = (body) => receiverFor(own).receive(body);
    await expect(resolve(cluster(url))).rejects.toThrow(/has run before, but unused is empty/);
  });
});
