// Whatever is sent to the port, the server lives, holds nothing, and answers the next client.

import { once } from "node:events";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { memoryEngine } from "../../http/memory-engine.ts";
import { callHeaders, frame, FrameReader, FRAMES, headerBlock, PREFACE, prefixed } from "./raw-http2.ts";
import { bytes, openSite, type Site } from "./site.ts";

const PATHS = ["/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"];
const SETTINGS = frame(FRAMES.settings, 0, 0);
const PUT_A = prefixed(Buffer.from([10, 1, 97]));

/** Sends pieces one after the other, and hangs up. */
async function say(site: Site, pieces: readonly Uint8Array[], abruptly: boolean): Promise<void> {
  const socket = await site.socket();
  socket.on("error", () => undefined);
  socket.resume();
  for (const piece of pieces) {
    if (!socket.writable) break;
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (abruptly) socket.resetAndDestroy();
  else socket.end();
  if (!socket.destroyed) await Promise.race([once(socket, "close"), new Promise((r) => setTimeout(r, 500))]);
  socket.destroy();
}

async function expectWell(site: Site, engine: ReturnType<typeof memoryEngine>): Promise<void> {
  const client = site.client();
  expect(await client.call("KV/Range", { key: bytes("k") })).toHaveProperty("header");
  client.close();
  await vi.waitFor(() => expect(engine.watchStats().streams).toBe(0), { timeout: 30_000 });
  expect(site.log).toEqual([]);
}

const payload = fc.uint8Array({ maxLength: 60 });
/** The beginning of a call, a message, or any frame at all: whole or with a byte that is another. */
const piece: fc.Arbitrary<Buffer> = fc
  .oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom(...PATHS), fc.constantFrom(1, 3, 5, 2), fc.constantFrom(4, 5, 0))
        .map(([path, stream, flags]) => frame(FRAMES.headers, flags, stream, callHeaders(path))),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(payload, fc.nat(2), fc.constantFrom(1, 3, 5), fc.constantFrom(0, 1))
        .map(([message, flag, stream, flags]) => frame(FRAMES.data, flags, stream, prefixed(message, flag))),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.nat(12), fc.nat(255), fc.nat(8), payload)
        .map(([type, flags, stream, content]) => frame(type, flags, stream, content)),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(1, 3, 5)
        .map((stream) => frame(FRAMES.reset, 0, stream, Buffer.from([0, 0, 0, 8]))),
    },
    { weight: 1, arbitrary: payload.map((content) => Buffer.from(content)) },
  )
  .chain((bytesOf) =>
    fc.oneof(
      { weight: 8, arbitrary: fc.constant(bytesOf) },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.nat(Math.max(0, bytesOf.length - 1)), fc.nat(255)).map(([at, value]) => {
          const changed = Buffer.from(bytesOf);
          if (changed.length > 0) changed[at] = value;
          return changed;
        }),
      },
    ),
  );

describe("a fuzzed connection", () => {
  it("harms nobody", async () => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        fc.array(piece, { minLength: 1, maxLength: 12 }),
        async (isHttp2, abruptly, pieces) => {
          const begin = isHttp2 ? [Buffer.concat([PREFACE, SETTINGS])] : [];
          await say(site, [...begin, ...pieces], abruptly);
        },
      ),
      { numRuns: 150 },
    );
    await expectWell(site, engine);
  });

  it.each<[string, readonly Uint8Array[]]>([
    ["a preface that breaks off", [PREFACE.subarray(0, 10)]],
    ["nothing but the preface", [PREFACE]],
    ["a frame without settings before it", [PREFACE, frame(FRAMES.data, 0, 1, PUT_A)]],
    ["a frame of 16 MB", [PREFACE, SETTINGS, Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]],
    ["data for a call that is not there", [PREFACE, SETTINGS, frame(FRAMES.data, 0, 9, PUT_A)]],
    [
      "headers that do not end",
      [
        PREFACE,
        SETTINGS,
        frame(FRAMES.headers, 0, 1, callHeaders(PATHS[0]!)),
        ...Array.from({ length: 200 }, () =>
          frame(FRAMES.continuation, 0, 1, headerBlock([["x", "y".repeat(120)]])),
        ),
      ],
    ],
    [
      "more headers than are allowed",
      [
        PREFACE,
        SETTINGS,
        frame(
          FRAMES.headers,
          4,
          1,
          callHeaders(
            PATHS[0]!,
            Array.from({ length: 120 }, (_, i) => [`x${i}`, "y".repeat(120)] as const),
          ),
        ),
      ],
    ],
    ["no headers at all", [PREFACE, SETTINGS, frame(FRAMES.headers, 5, 1)]],
    ["a header block that is none", [PREFACE, SETTINGS, frame(FRAMES.headers, 5, 1, Buffer.alloc(30, 0xff))]],
    [
      "a window that overflows",
      [
        PREFACE,
        SETTINGS,
        ...Array.from({ length: 3 }, () =>
          frame(FRAMES.windowUpdate, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
        ),
      ],
    ],
    ["a window of nothing", [PREFACE, SETTINGS, frame(FRAMES.windowUpdate, 0, 0, Buffer.alloc(4))]],
    ["promises", [PREFACE, SETTINGS, frame(FRAMES.pushPromise, 4, 1, Buffer.alloc(8))]],
    [
      "settings that nobody can keep",
      [PREFACE, frame(FRAMES.settings, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1]))],
    ],
    ["settings without end", [PREFACE, ...Array.from({ length: 5000 }, () => SETTINGS)]],
    [
      "pings without end",
      [
        PREFACE,
        SETTINGS,
        Buffer.concat(Array.from({ length: 5000 }, () => frame(FRAMES.ping, 0, 0, Buffer.alloc(8)))),
      ],
    ],
    [
      "calls that are begun and reset without end",
      [
        PREFACE,
        SETTINGS,
        ...Array.from({ length: 3000 }, (_, i) =>
          Buffer.concat([
            frame(FRAMES.headers, 4, 2 * i + 1, callHeaders(PATHS[1]!)),
            frame(FRAMES.data, 0, 2 * i + 1, prefixed(Buffer.from([10, 3, 10, 1, 97]))),
            frame(FRAMES.reset, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
          ]),
        ),
      ],
    ],
  ])("survives %s", async (_name, pieces) => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    await say(site, pieces, false);
    await expectWell(site, engine);
  });
});

describe("many who say little", () => {
  it("cost little, and are gone when they are", async () => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    const before = process.memoryUsage().rss;
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => site.socket()));
    for (const [i, socket] of sockets.entries()) {
      socket.on("error", () => undefined);
      socket.resume();
      if (i % 4 === 1) socket.write("PR");
      if (i % 4 >= 2) socket.write(Buffer.concat([PREFACE, SETTINGS]));
      // A message of which the length is all that comes.
      if (i % 4 === 3) {
        socket.write(frame(FRAMES.headers, 4, 1, callHeaders(PATHS[0]!)));
        socket.write(frame(FRAMES.data, 0, 1, Buffer.from([0, 0, 0x0f, 0, 0])));
      }
    }
    const client = site.client();
    expect(await client.call("KV/Range", { key: bytes("k") })).toHaveProperty("header");
    // Both ends are in this process.
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    for (const socket of sockets) socket.destroy();
    await expectWell(site, engine);
  });

  it("may not have more calls at a time on one connection than are allowed", async () => {
    const site = await openSite({ settings: { maxConcurrentStreams: 3 } });
    const socket = await site.socket();
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, SETTINGS]));
    await reader.find(({ type, flags }) => type === FRAMES.settings && flags === 1);
    for (const stream of [1, 3, 5, 7]) socket.write(frame(FRAMES.headers, 4, stream, callHeaders(PATHS[1]!)));
    const { stream, payload } = await reader.find(({ type }) => type === FRAMES.reset);
    // Refused, so that it may be asked again.
    expect([stream, payload.readUInt32BE()]).toEqual([7, 7]);
  });
});
