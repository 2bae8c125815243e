import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import type { Logger } from "../../../src/core/node/index.ts";
import { encodeBatch, seal, webPeerMac } from "../../../src/runtimes/http/peer/index.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { nodeRandom } from "../../../src/runtimes/node/node-random.ts";
import { nodePeerMac } from "../../../src/runtimes/node/peers/node-mac.ts";
import { PeerTransport } from "../../../src/runtimes/node/peers/peer-transport.ts";

const SECRET = new TextEncoder().encode("a secret of some length");

interface Peer {
  readonly id: bigint;
  readonly transport: PeerTransport;
  readonly received: string[];
  readonly unreachable: bigint[];
  readonly lines: string[];
  readonly url: string;
  readonly server: Server;
  /** What came over the wire. */
  readonly bodies: Uint8Array[];
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function listen(server: Server, port = 0): Promise<string> {
  return new Promise((resolve) =>
    server.listen(port, "127.0.0.1", () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    ),
  );
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

async function startPeer(
  id: bigint,
  overrides: { clusterId?: bigint; secret?: Uint8Array } = {},
): Promise<Peer> {
  const received: string[] = [];
  const unreachable: bigint[] = [];
  const lines: string[] = [];
  const bodies: Uint8Array[] = [];
  const logger: Logger = {
    log: (_level, message, fields) => lines.push(`${message} ${String(fields?.["problem"])}`),
  };
  const transport = new PeerTransport({
    identity: { clusterId: overrides.clusterId ?? 1n, groupId: "g", nodeId: id },
    secret: overrides.secret ?? SECRET,
    maxBodyBytes: 1 << 20,
    members: () => Promise.resolve(null),
    clock: nodeClock,
    random: nodeRandom,
    logger,
    idleTimeoutMs: 500,
  });
  transport.start({
    receive: (from, frame) => received.push(`${from}:${new TextDecoder().decode(frame)}`),
    unreachable: (node) => unreachable.push(node),
  });
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      bodies.push(body);
      const reply = await transport.receive(body);
      response.writeHead(reply.status).end(reply.body);
    });
  });
  const url = await listen(server);
  cleanups.push(
    () => transport.stop(),
    () => close(server),
  );
  return { id, transport, received, unreachable, lines, url, server, bodies };
}

const text = (content: string) => new TextEncoder().encode(content);
const connect = (from: Peer, to: Peer) => from.transport.setPeers(new Map([[to.id, [to.url]]]));
async function until(what: () => boolean): Promise<void> {
  await expect.poll(what, { timeout: 30_000, interval: 5 }).toBe(true);
}

describe("PeerTransport over loopback", () => {
  it("carries frames in order both ways", async () => {
    const [a, b] = await Promise.all([startPeer(1n), startPeer(2n)]);
    connect(a, b);
    connect(b, a);
    for (let i = 0; i < 100; i++) {
      a.transport.send(2n, text(`x${i}`));
      b.transport.send(1n, text(`y${i}`));
      if (i % 10 === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await until(() => a.received.length === 100 && b.received.length === 100);
    expect(b.received).toEqual(Array.from({ length: 100 }, (_, i) => `1:x${i}`));
    expect(a.received).toEqual(Array.from({ length: 100 }, (_, i) => `2:y${i}`));
    expect(b.bodies.length).toBeLessThan(100);
    const stats = () => a.transport.stats().get(2n);
    await until(() => stats()?.sentFrames === 100);
    expect(stats()).toMatchObject({ droppedFrames: 0, failures: 0 });
  });

  it("reports a peer that is down, and reaches it once it is back", async () => {
    const [a, b] = await Promise.all([startPeer(1n), startPeer(2n)]);
    connect(a, b);
    const port = Number(new URL(b.url).port);
    await close(b.server);
    a.transport.send(2n, text("lost"));
    await until(() => a.unreachable.length === 1);
    await listen(b.server, port);
    await expect
      .poll(() => (a.transport.send(2n, text("again")), b.received.length), { timeout: 30_000, interval: 20 })
      .toBeGreaterThan(0);
    expect(b.received).not.toContain("1:lost");
  });

  it("gives up on a peer that takes the request and never answers", async () => {
    const a = await startPeer(1n);
    const silent = createServer(() => undefined);
    const url = await listen(silent);
    cleanups.push(() => close(silent));
    a.transport.setPeers(new Map([[2n, [url]]]));
    a.transport.send(2n, text("hello?"));
    await until(() => a.unreachable.length === 1);
    expect(a.lines[0]).toMatch(/nothing heard for 500 ms/);
  });

  it.each([
    ["another secret", { secret: text("not the same secret") }, /status 401: .*same peer secret/],
    ["another cluster", { clusterId: 9n }, /status 421: the sender belongs to another cluster/],
  ])("is refused by a peer with %s, and the sender's log says so", async (_name, overrides, problem) => {
    const [a, b] = await Promise.all([startPeer(1n), startPeer(2n, overrides)]);
    connect(a, b);
    a.transport.send(2n, text("let me in"));
    await until(() => a.unreachable.length === 1);
    expect(b.received).toEqual([]);
    expect(a.lines.join()).toMatch(problem);
  });

  it("refuses recorded traffic, and traffic that was tampered with", async () => {
    const [a, b] = await Promise.all([startPeer(1n), startPeer(2n)]);
    connect(a, b);
    a.transport.send(2n, text("once"));
    await until(() => b.received.length === 1);
    const recorded = b.bodies[0]!;
    const post = async (body: Uint8Array) =>
      (await fetch(`${b.url}/raft`, { method: "POST", body: Buffer.from(body) })).status;
    expect(await post(recorded)).toBe(409);
    const tampered = recorded.slice();
    tampered[tampered.length - 33]! ^= 1;
    expect(await post(tampered)).toBe(401);
    expect(b.received).toEqual(["1:once"]);
  });

  it("loses frames to nodes it does not know, and to those that were removed", async () => {
    const [a, b, c] = await Promise.all([startPeer(1n), startPeer(2n), startPeer(3n)]);
    connect(a, b);
    a.transport.send(3n, text("unknown"));
    connect(a, c);
    a.transport.send(2n, text("removed"));
    a.transport.send(3n, text("known"));
    await until(() => c.received.length > 0);
    expect(c.received).toEqual(["1:known"]);
    expect(b.received).toEqual([]);
  });

  it("keeps its contacts while the membership is not known yet", async () => {
    const b = await startPeer(2n);
    const transport = new PeerTransport({
      identity: { clusterId: 1n, groupId: "g", nodeId: 1n },
      secret: SECRET,
      maxBodyBytes: 1 << 20,
      members: () => Promise.resolve(null),
      contacts: new Map([[2n, [b.url]]]),
      clock: nodeClock,
      random: nodeRandom,
      logger: { log: () => undefined },
    });
    cleanups.push(() => transport.stop());
    transport.start({ receive: () => undefined, unreachable: () => undefined });
    transport.setPeers(new Map());
    transport.send(2n, text("hello"));
    await until(() => b.received.length === 1);
  });

  it("turns everything away before it is started", async () => {
    const transport = new PeerTransport({
      identity: { clusterId: 1n, groupId: "g", nodeId: 1n },
      secret: SECRET,
      maxBodyBytes: 1 << 20,
      members: () => Promise.resolve(null),
      clock: nodeClock,
      random: nodeRandom,
      logger: { log: () => undefined },
    });
    expect((await transport.receive(new Uint8Array(100))).status).toBe(503);
    await transport.stop();
  });
});

describe("nodePeerMac", () => {
  it("is the MAC that Web Crypto computes, with a secret and without", async () => {
    for (const secret of [SECRET, new Uint8Array(0)]) {
      const purpose = { type: "batch", clusterId: 0xabcn, groupId: "grüppe" } as const;
      const [web, node] = [await webPeerMac(secret, purpose), nodePeerMac(secret, purpose)];
      const header = { clusterId: 0xabcn, groupId: "g", from: 1n, to: 2n, session: 3n, sequence: 4 };
      const sealed = await seal(encodeBatch(header, [text("frame")]), node);
      const content = sealed.subarray(0, -32);
      expect(await web.verify(content, sealed.subarray(-32))).toBe(true);
      expect(node.verify(content, await web.sign(content))).toBe(true);
      expect(node.verify(content, new Uint8Array(32))).toBe(false);
      expect(node.verify(content, new Uint8Array(31))).toBe(false);
    }
  });
});
