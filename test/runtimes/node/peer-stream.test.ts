// Envelopes over a connection that has changed over from HTTP: the same promises as by POST.

import { connect, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { PEER_PATH, type PeerHandler } from "../../../src/runtimes/http/peer/index.ts";
import { Listener } from "../../../src/runtimes/node/listener.ts";
import { nodeClock } from "../../../src/runtimes/node/node-clock.ts";
import { peerListener } from "../../../src/runtimes/node/peer-route.ts";
import {
  type ConnectionTaker,
  peerStreams,
  type StreamPatience,
} from "../../../src/runtimes/node/peer-stream-route.ts";
import { PeerPoster } from "../../../src/runtimes/node/peers/peer-poster.ts";
import { PeerWay } from "../../../src/runtimes/node/peers/peer-way.ts";
import { PEER_STREAM_PROTOCOL, PieceReader } from "../../../src/runtimes/node/peers/stream-pieces.ts";
import { freePorts } from "./free-ports.ts";

const MAX_BYTES = 1 << 20;

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Receiver {
  readonly url: string;
  readonly listener: Listener;
  /** The first byte and the length of each envelope, and the way it came. */
  readonly byPost: string[];
  readonly byStream: string[];
  /** How long the next envelopes take to be looked at. */
  pausesMs: number[];
  status: number;
}

async function startReceiver(connections?: ConnectionTaker, patience?: StreamPatience): Promise<Receiver> {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const taking =
    (into: string[]): PeerHandler =>
    async (body) => {
      const pauseMs = receiver.pausesMs.shift();
      if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      into.push(`${body[0]}:${body.length}`);
      return { status: receiver.status, body: null };
    };
  const byPost: string[] = [];
  const byStream: string[] = [];
  const streams = connections ?? peerStreams(taking(byStream), MAX_BYTES, patience);
  const handle = peerListener(taking(byPost), MAX_BYTES);
  const listener = await Listener.open({ url, tls: null, handle, connections: streams });
  cleanups.push(() => listener.close(0));
  const receiver: Receiver = { url, listener, byPost, byStream, pausesMs: [], status: 204 };
  return receiver;
}

function startWay(idleTimeoutMs = 500): PeerWay {
  const poster = new PeerPoster({ idleTimeoutMs, totalTimeoutMs: idleTimeoutMs * 2, maxReplyBytes: 4096 });
  const way = new PeerWay(poster, nodeClock, idleTimeoutMs);
  cleanups.push(
    () => poster.close(),
    () => way.close(),
  );
  return way;
}

const envelope = (first: number, length = 10): Uint8Array => new Uint8Array(length).fill(first);
async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(what, { timeout: 30_000, interval: 5 }).toBe(true);
}

/** Sends until one goes over a stream. */
async function reachStream(way: PeerWay, { url, byStream }: Receiver): Promise<void> {
  // One after the other, so that none is still on its way afterwards.
  await until(async () => {
    await way.post(url, envelope(0));
    return byStream.length > 0;
  });
  byStream.length = 0;
}

describe("pieces of a stream", () => {
  it("come out as they went in, however the connection cuts them", () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 });
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(pieces, cuts, (sent, sizes) => {
        const wire = Buffer.concat(
          sent.flatMap((piece) => {
            const prefix = Buffer.alloc(4);
            prefix.writeUInt32LE(piece.length);
            return [prefix, piece];
          }),
        );
        const reader = new PieceReader(50);
        const received: Uint8Array[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          const size = sizes[i % sizes.length]!;
          reader.push(wire.subarray(at, at + size));
          at += size;
          for (let piece = reader.next(); piece !== null; piece = reader.next()) received.push(piece);
        }
        expect(received.map((piece) => [...piece])).toEqual(sent.map((piece) => [...piece]));
      }),
    );
  });

  it("are refused by the length they claim, before they are there", () => {
    const reader = new PieceReader(50);
    reader.push(Buffer.from([51, 0, 0, 0]));
    expect(() => reader.next()).toThrow("a piece of 51 bytes, at most 50 are taken");
  });
});

describe("the way to a member", () => {
  it("is a POST first, and then a stream that keeps the order", async () => {
    const receiver = await startReceiver();
    const way = startWay();
    expect((await way.post(receiver.url, envelope(7))).status).toBe(204);
    expect(receiver.byPost).toEqual(["7:10"]);
    await reachStream(way, receiver);
    const posted = receiver.byPost.length;
    receiver.pausesMs = [30, 1, 20, 1];
    const lengths = [10, 100_000, 1, 20_000, 16 << 10, MAX_BYTES];
    await Promise.all(lengths.map((length, i) => way.post(receiver.url, envelope(i + 1, length))));
    // Those by which the stream was found may still have been under way.
    const arrived = (): string[] => receiver.byStream.filter((each) => !each.startsWith("0:"));
    await until(() => arrived().length >= lengths.length);
    expect(arrived()).toEqual(lengths.map((length, i) => `${i + 1}:${length}`));
    expect(receiver.byPost).toHaveLength(posted);
  });

  it("stays a POST to a member that knows no streams", async () => {
    let asked = 0;
    const wants = (): boolean => (asked++, false);
    const receiver = await startReceiver({ wants, take: () => undefined });
    const way = startWay();
    for (let i = 1; i <= 5; i++) {
      await way.post(receiver.url, envelope(i));
      await until(() => asked > 0);
    }
    expect(receiver.byPost).toEqual(["1:10", "2:10", "3:10", "4:10", "5:10"]);
    expect(asked).toBe(1);
  });

  it("tells of a loss once, and goes on by POST", async () => {
    const receiver = await startReceiver();
    const way = startWay();
    await reachStream(way, receiver);
    receiver.status = 401;
    await way.post(receiver.url, envelope(1));
    await expect
      .poll(() => way.post(receiver.url, envelope(2)).then(() => "sent", String))
      .toContain("Error");
    // Now the sender hears why.
    expect((await way.post(receiver.url, envelope(3))).status).toBe(401);
    receiver.status = 204;
    expect((await way.post(receiver.url, envelope(4))).status).toBe(204);
  });

  it("does not call it a loss when everything had arrived", async () => {
    const receiver = await startReceiver(undefined, { proveWithinMs: 5000, idleTimeoutMs: 300 });
    const way = startWay();
    await reachStream(way, receiver);
    const posted = receiver.byPost.length;
    // Silent for longer than the member bears with, which is longer than it takes to acknowledge.
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await way.post(receiver.url, envelope(1))).status).toBe(204);
    expect(receiver.byPost.slice(posted)).toEqual(["1:10"]);
  });

  it("gives up on a member that takes everything and says nothing", async () => {
    const taken: Buffer[] = [];
    const silent: ConnectionTaker = {
      wants: () => true,
      take: (_request, connection) => {
        connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        connection.on("data", (chunk: Buffer) => taken.push(chunk));
        connection.on("error", () => undefined);
      },
    };
    const receiver = await startReceiver(silent);
    const way = startWay(200);
    await until(() => {
      way.post(receiver.url, envelope(1)).catch(() => undefined);
      return taken.length > 0;
    });
    await expect
      .poll(() => way.post(receiver.url, envelope(2)).then(() => "sent", String), { timeout: 30_000 })
      .toContain("nothing heard for");
  });
});

describe("a member that takes streams", () => {
  async function stranger(url: string, lines: string): Promise<{ socket: Socket; received: () => string }> {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    cleanups.push(() => void socket.destroy());
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.write(lines);
    return { socket, received: () => received };
  }
  const offer = (path: string, protocol: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
  const ours = offer(PEER_PATH, PEER_STREAM_PROTOCOL);

  it("answers other offers over HTTP, as if they had not been made", async () => {
    const { url } = await startReceiver();
    for (const other of [offer(PEER_PATH, "h2c"), offer("/elsewhere", PEER_STREAM_PROTOCOL)]) {
      const { received } = await stranger(url, other);
      await until(() => received().startsWith("HTTP/1.1 4"));
    }
  });

  it("drops whoever proves nothing, or claims too much", async () => {
    const receiver = await startReceiver(undefined, { proveWithinMs: 200, idleTimeoutMs: 5000 });
    const mute = await stranger(receiver.url, ours);
    await until(() => mute.received().startsWith("HTTP/1.1 101"));
    await until(() => mute.socket.closed);
    const greedy = await stranger(receiver.url, ours);
    greedy.socket.write(Buffer.from([1, 0, 16, 0]));
    await until(() => greedy.socket.closed);
    expect(receiver.byStream).toEqual([]);
  });

  it("ends them when it closes", async () => {
    const receiver = await startReceiver();
    const way = startWay();
    await reachStream(way, receiver);
    await receiver.listener.close(60_000);
    await expect
      .poll(() => way.post(receiver.url, envelope(1)).then(() => "sent", String))
      .toContain("Error");
  });
});
