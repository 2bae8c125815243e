// Who a new object takes itself for: it must never found a second group beside the one that there is.

import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import type { Member } from "../../../src/core/node/index.ts";
import {
  decodeMembersRequest,
  encodeMembersReply,
  encodeMembersRequest,
  foundCluster,
  isSealed,
  decodeMembersReply,
  type PeerReply,
  seal,
  webPeerMac,
} from "../../../src/runtimes/http/peer/index.ts";
import { answerAsNewcomer, NO_CLUSTER } from "../../../src/runtimes/workers/newcomer.ts";
import { resolveMember } from "../../../src/runtimes/workers/resolve-member.ts";
import { workersConfig } from "../../../src/runtimes/workers/workers-config.ts";

const SECRET = new TextEncoder().encode("a-secret-of-peers");
const membersMac = await webPeerMac(SECRET, { type: "members", groupId: "g" });
const urlOf = (name: string): string => `https://${name}.d-engine.internal:443`;
const member = (id: bigint, name: string, isLearner = false): Member => ({
  id,
  name,
  peerUrls: [urlOf(name)],
  clientUrls: [],
  isLearner,
});
const founding = await foundCluster(
  ["n1", "n2", "n3"].map((name) => ({ name, peerUrls: [urlOf(name)] })),
  "d-engine-cluster",
);

type Peer = { clusterId: bigint; members: readonly Member[] } | "new" | "silent";

async function resolve(
  others: Readonly<Record<string, Peer>>,
  storage = new MemoryStorage(),
  vars: object = {},
) {
  const post = async (url: string, body: Uint8Array): Promise<PeerReply & { body: Uint8Array }> => {
    const peer = others[Object.keys(others).find((name) => urlOf(name) === url)!]!;
    if (peer === "silent") throw new Error("no answer");
    const { groupId, nonce } = decodeMembersRequest(body);
    const group = peer === "new" ? { clusterId: NO_CLUSTER, members: [] } : peer;
    return { status: 200, body: await seal(encodeMembersReply({ groupId, nonce, ...group }), membersMac) };
  };
  const config = workersConfig({ D_ENGINE_NODES: "n1,n2,n3", ...vars });
  return await resolveMember({
    config,
    address: { group: "g", node: "n2" },
    storage,
    poster: { post },
    membersMac,
  });
}

const problemOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: unknown) => `${(error as { code: string }).code}: ${(error as { detail: string }).detail}`,
  );

describe("a new object", () => {
  it("founds the group when every other node is new as well", async () => {
    const resolved = await resolve({ n1: "new", n3: "new" });
    expect(resolved.identity.clusterId).toBe(founding.clusterId);
    expect(resolved.founders?.map(({ id, name }) => [id, name])).toEqual(
      founding.founders.map(({ id }) => [id, ""]),
    );
  });

  it("founds nothing while one of them does not say so", async () => {
    expect(await problemOf(resolve({ n1: "new", n3: "silent" }))).toMatch(
      /^unhealthy: it is not known whether the group exists already: https:\/\/n3.*no answer/,
    );
  });

  it("founds with those who have done so a moment ago", async () => {
    const group = {
      clusterId: founding.clusterId,
      members: founding.founders.map((each) => ({ ...each, name: "" })),
    };
    const resolved = await resolve({ n1: group, n3: "silent" });
    expect(resolved.founders).toHaveLength(3);
  });

  it("joins the group that there is, once it has been added, whatever the others say", async () => {
    const group = { clusterId: 7n, members: [member(1n, "n1")] };
    expect(await problemOf(resolve({ n1: group, n3: "new" }))).toBe(
      "unhealthy: the group's leader has not added node n2 yet",
    );
    const added = { ...group, members: [...group.members, { ...member(2n, "n2", true), name: "" }] };
    const resolved = await resolve({ n1: added, n3: "new" });
    expect(resolved).toMatchObject({ identity: { clusterId: 7n, groupId: "g", nodeId: 2n }, founders: null });
    expect(resolved.contacts.get(1n)).toEqual([urlOf("n1")]);
  });

  it("does not come back under the name of one that has run: its promises are lost", async () => {
    const group = { clusterId: 7n, members: [member(1n, "n1"), member(2n, "n2")] };
    expect(await problemOf(resolve({ n1: group, n3: group }))).toMatch(
      /^invalidConfig: node n2 \(2\) has run before, but its object's storage is empty.*D_ENGINE_REMOVED_NODES/,
    );
  });
});

describe("an object that has run", () => {
  it("is who it was, and asks nobody", async () => {
    const storage = new MemoryStorage();
    await storage.meta.saveIdentity({ clusterId: 7n, groupId: "g", nodeId: 9n });
    const resolved = await resolve({ n1: "silent", n3: "silent" }, storage);
    expect(resolved).toMatchObject({ identity: { clusterId: 7n, nodeId: 9n }, founders: null });
  });

  it("stays away once it has been removed as it was to be, and not before another member says so", async () => {
    const storage = new MemoryStorage();
    await storage.meta.saveIdentity({ clusterId: 7n, groupId: "g", nodeId: 9n });
    const removed = { D_ENGINE_REMOVED_NODES: "n2" };
    const without = { clusterId: 7n, members: [member(1n, "n1")] };
    const still = { clusterId: 7n, members: [member(1n, "n1"), member(9n, "n2")] };
    expect(await problemOf(resolve({ n1: without, n3: "silent" }, storage, removed))).toMatch(
      /^invalidConfig: node n2 has left the group/,
    );
    expect(await problemOf(resolve({ n1: still, n3: "silent" }, storage, removed))).toBe("none");
    expect(await problemOf(resolve({ n1: "silent", n3: "silent" }, storage, removed))).toBe("none");
    // Of another group by the same name, or not named to leave: no reason to go.
    expect(await problemOf(resolve({ n1: { ...without, clusterId: 8n }, n3: "new" }, storage, removed))).toBe(
      "none",
    );
    expect(await problemOf(resolve({ n1: without, n3: "silent" }, storage))).toBe("none");
  });

  it("serves no other group", async () => {
    const storage = new MemoryStorage();
    await storage.meta.saveIdentity({ clusterId: 7n, groupId: "other", nodeId: 9n });
    expect(await problemOf(resolve({ n1: "new", n3: "new" }, storage))).toMatch(/^storageForeign/);
  });
});

describe("the question who the members are, put to a new object", () => {
  const nonce = new Uint8Array(16).fill(3);
  const ask = async (groupId = "g", secret = SECRET): Promise<Uint8Array> =>
    await seal(
      encodeMembersRequest({ groupId, nonce }),
      await webPeerMac(secret, { type: "members", groupId }),
    );

  it("is answered with nobody", async () => {
    const reply = await answerAsNewcomer(new MemoryStorage(), SECRET, "g", await ask());
    expect(reply?.status).toBe(200);
    expect(await isSealed(reply!.body!, membersMac)).toBe(true);
    expect(decodeMembersReply(reply!.body!)).toMatchObject({ clusterId: NO_CLUSTER, members: [] });
  });

  it("is answered to nobody without the secret, or of another group", async () => {
    const foreign = await ask("g", new TextEncoder().encode("another-secret-altogether"));
    expect((await answerAsNewcomer(new MemoryStorage(), SECRET, "g", foreign))?.status).toBe(401);
    expect((await answerAsNewcomer(new MemoryStorage(), SECRET, "g", await ask("h")))?.status).toBe(421);
  });

  it("is left to the node where there is one", async () => {
    const storage = new MemoryStorage();
    await storage.meta.saveIdentity({ clusterId: 7n, groupId: "g", nodeId: 9n });
    expect(await answerAsNewcomer(storage, SECRET, "g", await ask())).toBeNull();
    expect(await answerAsNewcomer(new MemoryStorage(), SECRET, "g", new Uint8Array(50))).toBeNull();
  });
});
