// The parts of the framing that can be looked at by themselves.

import { connect } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Exchange } from "../../../../src/runtimes/node/grpc/exchange.ts";
import { FrameReader } from "../../../../src/runtimes/node/grpc/http2/frame-reader.ts";
import { FrameWriter } from "../../../../src/runtimes/node/grpc/http2/frame-writer.ts";
import { HeaderDecoder } from "../../../../src/runtimes/node/grpc/http2/header-decoder.ts";
import { answerTrailers } from "../../../../src/runtimes/node/grpc/http2/header-encoder.ts";
import { KeepAlive } from "../../../../src/runtimes/node/grpc/keep-alive.ts";
import { GRPC_DEFAULTS } from "../../../../src/runtimes/node/grpc/settings.ts";
import { HostileClient, setting, WATCH } from "./hostile-client.ts";
import { callHeaders, frame, FRAMES, PREFACE } from "./raw-http2.ts";
import { openSite } from "./site.ts";

describe("a reader of frames", () => {
  it("finds the same frames however they are cut", () => {
    const frames = fc.array(
      fc.record({
        type: fc.nat(255),
        flags: fc.nat(255),
        stream: fc.nat(0x7fffffff),
        payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(16_384).fill(7))),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 30_000 }), { maxLength: 20 }), (sent, cuts) => {
        const bytes = Buffer.concat([
          PREFACE,
          ...sent.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)),
        ]);
        const reader = new FrameReader();
        const found = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + (cuts[i] ?? 1 + (i % 97));
          for (const each of reader.push(bytes.subarray(at, end)))
            found.push({ ...each, payload: Uint8Array.from(each.payload) });
          at = end;
        }
        expect(found).toEqual(sent.map((each) => ({ ...each, payload: Uint8Array.from(each.payload) })));
      }),
      { numRuns: 60 },
    );
  });

  it("keeps no more of what has come than the beginning of a frame", () => {
    const reader = new FrameReader();
    const large = new Uint8Array(1 << 20);
    large.set(PREFACE);
    // Frames without content, and three bytes that begin another.
    const chunk = large.subarray(0, PREFACE.length + 9 * 1000 + 3);
    expect([...reader.push(chunk)]).toHaveLength(1000);
    large.fill(0xff);
    expect([...reader.push(new Uint8Array(6))]).toEqual([
      { type: 0, flags: 0, stream: 0, payload: new Uint8Array(0) },
    ]);
  });
});

/** A socket whose other end reads when it is told to. */
class SlowSocket extends Duplex {
  #go: (() => void) | null = null;

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.#go = done;
  }

  takeAll(): void {
    this.#go?.();
  }
}

describe("with the clock in hand,", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("the last words wait for who reads slowly, and not for who never hangs up", async () => {
    const socket = new SlowSocket({ autoDestroy: false });
    const writer = new FrameWriter(socket as unknown as Socket, () => undefined);
    writer.frame(FRAMES.goaway, 0, 0, Buffer.alloc(8));
    writer.end();
    vi.advanceTimersByTime(19_000);
    expect(socket.destroyed).toBe(false);
    const finished = new Promise((resolve) => socket.on("finish", resolve));
    socket.takeAll();
    await finished;
    vi.advanceTimersByTime(900);
    expect(socket.destroyed).toBe(false);
    vi.advanceTimersByTime(200);
    expect(socket.destroyed).toBe(true);
  });

  it("the last words do not wait forever", () => {
    const socket = new SlowSocket();
    const writer = new FrameWriter(socket as unknown as Socket, () => undefined);
    writer.frame(FRAMES.goaway, 0, 0, Buffer.alloc(8));
    writer.end();
    vi.advanceTimersByTime(20_000);
    expect(socket.destroyed).toBe(true);
  });

  it("a client from whom much comes lives, although its answer to a ping is still on the way", () => {
    let received = 100;
    const [ping, hangUp] = [vi.fn<() => void>(), vi.fn<() => void>()];
    const keepAlive = new KeepAlive(
      { received: () => received, ping, sendAway: () => undefined, hangUp },
      { ...GRPC_DEFAULTS, pingIntervalMs: 100_000, pingTimeoutMs: 1000 },
    );
    vi.advanceTimersByTime(200_000);
    expect(ping).toHaveBeenCalledTimes(1);
    received++;
    vi.advanceTimersByTime(1000);
    expect(hangUp).not.toHaveBeenCalled();
    // And is asked again when it falls silent.
    vi.advanceTimersByTime(200_000);
    expect(ping).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(1000);
    expect(hangUp).toHaveBeenCalledTimes(1);
    keepAlive.stop();
  });
});

describe("headers of an answer", () => {
  it("fit into a frame, however long the message is", () => {
    const trailers = answerTrailers({ code: 3, message: "\u0800".repeat(100_000) });
    expect(trailers.length).toBeLessThan(16_384);
    expect(new HeaderDecoder(16_384).decode(trailers)).toEqual([
      "grpc-status",
      "3",
      "grpc-message",
      "%E0%A0%80".repeat(1500),
    ]);
  });

  it("tell a client that makes its table smaller that it is, once (RFC 7541, section 4.2)", async () => {
    const site = await openSite();
    const connection = await HostileClient.open(
      site,
      frame(FRAMES.settings, 0, 0, Buffer.concat([setting(1, 4096), setting(1, 100)])),
    );
    for (const stream of [1, 3]) {
      if (stream === 3) connection.say(frame(FRAMES.settings, 0, 0, setting(1, 50)));
      connection.say(frame(FRAMES.headers, 5, stream, callHeaders("/nothing")));
      await connection.reader.find((each) => each.type === FRAMES.headers && each.stream === stream);
    }
    const [first, second] = connection.reader.frames.filter(({ type }) => type === FRAMES.headers);
    expect(first?.payload[0]).toBe(0x20);
    expect(second?.payload[0]).toBe(0x88);
  });

  it.each([0, 100, 4096, 8192])("are taken by nghttp2 with a table of %i bytes", async (headerTableSize) => {
    const site = await openSite();
    const session = connect(`http://${site.address}`, { settings: { headerTableSize } });
    onTestFinished(() => session.destroy());
    for (let i = 0; i < 3; i++) {
      const call = session.request({
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Check",
        "content-type": "application/grpc",
      });
      const head = new Promise<unknown>((resolve, reject) => {
        call.on("error", reject);
        call.on("response", (headers) => resolve(headers[":status"]));
      });
      call.resume();
      call.end(Buffer.alloc(5));
      expect(await head).toBe(200);
      await new Promise((resolve) => call.on("close", resolve));
    }
  });
});

describe("a call that is answered before anybody listens", () => {
  it("tells whoever listens later that it is over", async () => {
    const { connection, told } = await handled((exchange, closed) => {
      exchange.finish({ code: 0, message: "" });
      exchange.listen({ received: () => undefined, ended: () => undefined, closed });
    });
    connection.say(frame(FRAMES.headers, 4, 1, callHeaders(WATCH)));
    expect(await connection.resetOf(1)).toBe(0);
    expect(told).toHaveBeenCalledTimes(1);
  });
});

/** A connection whose calls are handled by a test. */
async function handled(
  handle: (exchange: Exchange, closed: () => void) => void,
): Promise<{ connection: HostileClient; told: () => void }> {
  const told = vi.fn<() => void>();
  const site = await openSite({ handle: (exchange) => handle(exchange, told) });
  return { connection: await HostileClient.open(site), told };
}
