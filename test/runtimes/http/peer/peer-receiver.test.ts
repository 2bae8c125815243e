import { describe, expect, it } from "vitest";
import type { Logger } from "../../../../src/core/node/index.ts";
import {
  type BatchHeader,
  decodeMembersReply,
  encodeBatch,
  encodeMembersRequest,
  isSealed,
  LimitedLog,
  PeerReceiver,
  type PeerReceiverOptions,
  type PeerReply,
  ReplayGuard,
  seal,
  webPeerMac,
} from "../../../../src/runtimes/http/peer/index.ts";

const SECRET = new TextEncoder().encode("a secret of some length");
const members = [{ id: 7n, name: "n7", peerUrls: ["http://a:1"], clientUrls: [], isLearner: false }];

async function setUp(secret: Uint8Array = SECRET, answer?: PeerReceiverOptions["answer"]) {
  const delivered: [bigint, number[]][] = [];
  const lines: string[] = [];
  let now = 0;
  const logger: Logger = { log: (level, message) => lines.push(`${level} ${message}`) };
  const receiver = new PeerReceiver({
    clusterId: 1n,
    groupId: "default",
    nodeId: 7n,
    batchMac: await webPeerMac(secret, { type: "batch", clusterId: 1n, groupId: "default" }),
    membersMac: await webPeerMac(secret, { type: "members", groupId: "default" }),
    members: () => Promise.resolve(members),
    deliver: (from, frame) => delivered.push([from, [...frame]]),
    ...(answer === undefined ? {} : { answer }),
    maxBodyBytes: 10_000,
    logger,
    nowMs: () => now,
  });
  return { receiver, delivered, lines, passTime: (ms: number) => (now += ms) };
}

async function sealedBatch(
  header: Partial<BatchHeader> = {},
  secret: Uint8Array = SECRET,
): Promise<Uint8Array> {
  const full = { clusterId: 1n, groupId: "default", from: 8n, to: 7n, session: 5n, sequence: 1, ...header };
  const mac = await webPeerMac(secret, { type: "batch", clusterId: full.clusterId, groupId: full.groupId });
  return seal(encodeBatch(full, [new Uint8Array([1]), new Uint8Array([2, 3])]), mac);
}

const problem = (reply: PeerReply) => new TextDecoder().decode(Uint8Array.from(reply.body ?? []));

describe("PeerReceiver", () => {
  it("sends an answer with the receipt to those who take one, after everything was delivered", async () => {
    const { receiver, delivered } = await setUp(SECRET, (from, frames) => {
      expect(delivered).toHaveLength(2);
      return Promise.resolve(from === 8n ? new Uint8Array([frames.length]) : null);
    });
    expect(await receiver.receive(await sealedBatch(), true)).toEqual({
      status: 200,
      body: new Uint8Array([2]),
    });
    delivered.length = 0;
    const another = await sealedBatch({ from: 9n });
    expect(await receiver.receive(another, true)).toEqual({ status: 204, body: null });
    expect(await receiver.receive(await sealedBatch({ sequence: 2 }))).toEqual({ status: 204, body: null });
  });

  it("delivers the frames of an authentic batch in order", async () => {
    const { receiver, delivered } = await setUp();
    expect(await receiver.receive(await sealedBatch())).toEqual({ status: 204, body: null });
    expect(delivered).toEqual([
      [8n, [1]],
      [8n, [2, 3]],
    ]);
  });

  it("takes the same path without a secret", async () => {
    const none = new Uint8Array(0);
    const { receiver, delivered } = await setUp(none);
    expect((await receiver.receive(await sealedBatch({}, none))).status).toBe(204);
    expect((await receiver.receive(await sealedBatch({ sequence: 2 }))).status).toBe(401);
    expect(delivered.length).toBe(2);
  });

  it.each<[string, Partial<BatchHeader>, Uint8Array | undefined, number, RegExp]>([
    ["another cluster", { clusterId: 2n }, undefined, 421, /another cluster/],
    ["another group", { groupId: "other" }, undefined, 421, /another group/],
    ["another addressee", { to: 9n }, undefined, 421, /another member/],
    ["its own id as the sender", { from: 7n }, undefined, 421, /this member's id/],
    ["another secret", {}, new TextEncoder().encode("a different secret"), 401, /same peer secret/],
  ])("refuses %s", async (_name, header, secret, status, message) => {
    const { receiver, delivered } = await setUp();
    const reply = await receiver.receive(await sealedBatch(header, secret));
    expect(reply.status).toBe(status);
    expect(problem(reply)).toMatch(message);
    expect(delivered).toEqual([]);
  });

  it("refuses a batch in which any one bit was changed", async () => {
    const { receiver, delivered } = await setUp();
    const good = await sealedBatch();
    for (let at = 0; at < good.length; at++) {
      const tampered = good.slice();
      tampered[at]! ^= 1;
      expect((await receiver.receive(tampered)).status, `byte ${at}`).toBeGreaterThanOrEqual(400);
    }
    expect(delivered).toEqual([]);
    expect((await receiver.receive(good)).status).toBe(204);
  });

  it("refuses to take a batch twice", async () => {
    const { receiver, delivered } = await setUp();
    const batch = await sealedBatch();
    await receiver.receive(batch);
    const again = await receiver.receive(batch);
    expect(again.status).toBe(409);
    expect(delivered.length).toBe(2);
  });

  it("refuses what is too large, empty, or no message at all", async () => {
    const { receiver } = await setUp();
    expect((await receiver.receive(new Uint8Array(10_001))).status).toBe(413);
    expect((await receiver.receive(new Uint8Array(0))).status).toBe(400);
    expect((await receiver.receive(new Uint8Array(100))).status).toBe(400);
  });

  it("turns bodies away when too many are being checked", async () => {
    const { receiver } = await setUp();
    const batches = await Promise.all(Array.from({ length: 70 }, (_, i) => sealedBatch({ sequence: i + 1 })));
    const replies = await Promise.all(batches.map((batch) => receiver.receive(batch)));
    expect(replies.filter(({ status }) => status === 204).length).toBe(64);
    expect(replies.filter(({ status }) => status === 503).length).toBe(6);
  });

  it("lists the members to whoever has the secret, sealed and with the asker's nonce", async () => {
    const { receiver } = await setUp();
    const mac = await webPeerMac(SECRET, { type: "members", groupId: "default" });
    const nonce = crypto.getRandomValues(new Uint8Array(16));
    const request = await seal(encodeMembersRequest({ groupId: "default", nonce }), mac);
    const reply = await receiver.receive(request);
    expect(reply.status).toBe(200);
    expect(await isSealed(reply.body!, mac)).toBe(true);
    expect(decodeMembersReply(reply.body!)).toEqual({ groupId: "default", nonce, clusterId: 1n, members });

    const wrong = await webPeerMac(new Uint8Array(3), { type: "members", groupId: "default" });
    const forged = await seal(encodeMembersRequest({ groupId: "default", nonce }), wrong);
    expect((await receiver.receive(forged)).status).toBe(401);
  });

  it("holds back repeated log lines", async () => {
    const { receiver, lines, passTime } = await setUp();
    for (let i = 0; i < 5; i++) await receiver.receive(new Uint8Array(100));
    expect(lines).toEqual(["warn refused a message on the peer route"]);
    passTime(20_000);
    await receiver.receive(new Uint8Array(100));
    expect(lines.length).toBe(2);
  });
});

describe("keys", () => {
  it("differ by secret, purpose, cluster and group", async () => {
    const content = new Uint8Array([1, 2, 3]);
    const other = new TextEncoder().encode("another");
    const macs = await Promise.all([
      webPeerMac(SECRET, { type: "batch", clusterId: 1n, groupId: "a" }),
      webPeerMac(SECRET, { type: "batch", clusterId: 2n, groupId: "a" }),
      webPeerMac(SECRET, { type: "batch", clusterId: 1n, groupId: "b" }),
      webPeerMac(SECRET, { type: "members", groupId: "a" }),
      webPeerMac(other, { type: "batch", clusterId: 1n, groupId: "a" }),
    ]);
    const tags = await Promise.all(macs.map(async (mac) => String(await mac.sign(content))));
    expect(new Set(tags).size).toBe(tags.length);
  });
});

describe("ReplayGuard", () => {
  it("takes each number of a session once, in any order within the window", () => {
    const guard = new ReplayGuard();
    const taken = [1, 3, 2, 3, 2, 200, 136, 137, 137, 136].map((n) => guard.accept(1n, 1n, n));
    expect(taken).toEqual([true, true, true, false, false, true, false, true, false, false]);
  });

  it("keeps senders and sessions apart, and remembers the last few sessions", () => {
    const guard = new ReplayGuard();
    for (let session = 1n; session <= 8n; session++) expect(guard.accept(1n, session, 1)).toBe(true);
    for (let session = 1n; session <= 8n; session++) expect(guard.accept(1n, session, 1)).toBe(false);
    expect(guard.accept(2n, 1n, 1)).toBe(true);
  });
});

describe("LimitedLog", () => {
  it("says how many lines it left out", () => {
    const seen: unknown[] = [];
    let now = 0;
    const log = new LimitedLog({ log: (...line) => seen.push(line) }, () => now, 1000);
    for (let i = 0; i < 4; i++) log.log("warn", "s", "text", { a: i });
    now = 1000;
    log.log("warn", "s", "text", { a: 9 });
    expect(seen).toEqual([
      ["warn", "text", { a: 0 }],
      ["warn", "text", { a: 9, leftOut: 3 }],
    ]);
  });
});
