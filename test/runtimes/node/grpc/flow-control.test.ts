// Clients that take little, slowly, or nothing of what they have asked for.

import { describe, expect, it, vi } from "vitest";
import { memoryEngine } from "../../http/memory-engine.ts";
import {
  BEGUN,
  expectWell,
  GET_K,
  headers,
  HostileClient,
  RANGE,
  reset,
  setting,
  widen,
  windowSetting,
} from "./hostile-client.ts";
import { callHeaders, Code, frame, FRAMES, prefixed } from "./raw-http2.ts";
import { bytes, openSite, type Site } from "./site.ts";

const LARGE = 3 << 20;

async function siteWith(valueBytes: number): Promise<Site> {
  const engine = memoryEngine();
  await engine.put({ key: bytes("k"), value: new Uint8Array(valueBytes).fill(7) });
  return await openSite({ engine });
}

const ask = (stream: number): Buffer =>
  Buffer.concat([headers(callHeaders(RANGE), 4, stream), frame(FRAMES.data, 1, stream, GET_K)]);
const isEndOf =
  (stream: number) =>
  (each: { readonly stream: number; readonly flags: number; readonly type: number }): boolean =>
    each.type === FRAMES.headers && each.stream === stream && (each.flags & 1) === 1;

describe("an answer", () => {
  it("comes a byte at a time to who wants it so", async () => {
    const connection = await HostileClient.open(await siteWith(100), windowSetting(0));
    connection.say(ask(1));
    await connection.reader.find(({ type, stream }) => type === FRAMES.headers && stream === 1);
    for (let i = 1; connection.reader.frames.every((each) => !isEndOf(1)(each)); i++) {
      connection.say(widen(1, 1));
      await connection.reader.find((each) => isEndOf(1)(each) || connection.data(1).length >= i);
      expect(connection.data(1).length).toBeLessThanOrEqual(i);
    }
    expect(connection.data(1).length).toBe(5 + connection.data(1).readUInt32BE(1));
  });

  it("stops while its window is below nothing, and goes on", async () => {
    const connection = await HostileClient.open(await siteWith(100_000), windowSetting(50_000));
    connection.say(ask(1));
    await connection.reader.find(() => connection.data(1).length === 50_000);
    // 40,000 less than nothing.
    connection.say(windowSetting(10_000), widen(1, 40_000));
    await connection.heard();
    expect(connection.data(1)).toHaveLength(50_000);
    connection.say(widen(1, 1));
    await connection.reader.find(() => connection.data(1).length === 50_001);
    connection.say(windowSetting(1_000_000), widen(0, 1_000_000));
    await connection.reader.find(isEndOf(1));
    expect(connection.data(1).length).toBe(5 + connection.data(1).readUInt32BE(1));
  });

  it("stops while its window is below nothing, also when it waits for the connection's", async () => {
    const connection = await HostileClient.open(await siteWith(LARGE), windowSetting(1_000_000));
    connection.say(ask(1));
    await connection.reader.find(() => connection.data(1).length === 65_535);
    connection.say(windowSetting(10), widen(0, 1_000_000));
    await connection.heard();
    expect(connection.data(1)).toHaveLength(65_535);
    connection.say(windowSetting(65_536));
    await connection.reader.find(() => connection.data(1).length === 65_536);
  });

  it("does not hold up the others on its connection", async () => {
    const site = await siteWith(LARGE);
    const connection = await HostileClient.open(site, windowSetting(2 * LARGE));
    connection.say(widen(0, 2 * LARGE), ask(1), ask(3));
    for (const stream of [1, 3]) await connection.reader.find(isEndOf(stream));
    const order = connection.reader.frames
      .filter(({ type }) => type === FRAMES.data)
      .map(({ stream }) => stream);
    // Each has come far when the other ends.
    const half = order.slice(0, order.length / 2);
    expect(half.filter((stream) => stream === 1).length).toBeGreaterThan(half.length / 4);
    expect(half.filter((stream) => stream === 3).length).toBeGreaterThan(half.length / 4);
  });

  it("comes in frames of the size that the client takes, and no larger", async () => {
    const connection = await HostileClient.open(
      await siteWith(200_000),
      frame(FRAMES.settings, 0, 0, Buffer.concat([setting(5, 20_000), setting(4, 1_000_000)])),
    );
    connection.say(widen(0, 1_000_000), ask(1));
    await connection.reader.find(isEndOf(1));
    const sizes = connection.reader.frames.map(({ payload }) => payload.length);
    expect(Math.max(...sizes)).toBe(20_000);
  });
});

describe("who takes nothing of what was asked for", () => {
  it("has a bounded part of it written out (CVE-2019-9517)", async () => {
    const site = await siteWith(LARGE);
    const before = process.memoryUsage().arrayBuffers;
    const connection = await HostileClient.open(site, windowSetting(0));
    for (let i = 0; i < 200; i++) connection.say(ask(2 * i + 1));
    await connection.heard();
    await expectWell(site);
    // 600 MB were asked for: 64 MB are written out, and as many answers have been read as one connection may at a time.
    await vi.waitFor(() => expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(60e6), {
      timeout: 30_000,
    });
    await connection.heard();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(300e6);
    connection.say(ask(999));
    expect(await connection.resetOf(999)).toBe(Code.refused);
    // And it gets all of it, in the end.
    connection.say(widen(0, 0x7fff0000 - 65_535), windowSetting(2 * LARGE));
    for (let i = 0; i < 30; i++) await connection.reader.find(isEndOf(2 * i + 1));
    connection.socket.destroy();
    await expectWell(site);
  });

  it("is let go when all together are too much", async () => {
    const site = await siteWith(LARGE);
    const connections: HostileClient[] = [];
    for (let i = 0; i < 10; i++) {
      const connection = await HostileClient.open(site, windowSetting(0));
      connection.say(...Array.from({ length: 25 }, (_, call) => ask(2 * call + 1)));
      await connection.heard().catch(() => undefined);
      connections.push(connection);
    }
    // At 512 MB; each has 64.
    await vi.waitFor(() => expect(connections.some(({ socket }) => socket.destroyed)).toBe(true), {
      timeout: 30_000,
    });
    await expectWell(site);
    for (const { socket } of connections) socket.destroy();
  });

  it("has no more read of its requests than is answered", async () => {
    const connection = await HostileClient.open(await openSite());
    const create = prefixed(Buffer.from([10, 3, 10, 1, 97]));
    connection.say(windowSetting(0), BEGUN);
    for (let i = 0; i < 40; i++)
      connection.say(frame(FRAMES.data, 0, 1, Buffer.concat(Array(1600).fill(create))));
    expect(await connection.resetOf(1)).toBe(Code.flowControl);
  });
});

describe("heads that say a lot by little", () => {
  it("are bounded over all calls, and make room when those are over", async () => {
    const nobody = { received: () => undefined, ended: () => undefined, closed: () => undefined };
    const site = await openSite({ handle: (exchange) => exchange.listen(nobody) });
    const connection = await HostileClient.open(site);
    // An entry of 3,000 bytes for the table, and then that again and again: 15 KB in some hundred.
    const entry = Buffer.concat([
      Buffer.from([0x40, 1, 120, 0x7f, 0xb9, 0x16]),
      Buffer.alloc(3000, 121),
      Buffer.alloc(4, 0xbe),
    ]);
    connection.say(headers(Buffer.concat([callHeaders(RANGE), entry])));
    const head = Buffer.concat([callHeaders(RANGE), Buffer.alloc(5, 0xbe)]);
    const streams = Array.from({ length: 9000 }, (_, i) => 2 * i + 3);
    connection.say(...streams.map((stream) => headers(head, 4, stream)));
    const { stream, payload } = await connection.reader.find(({ type }) => type === FRAMES.reset);
    expect(payload.readUInt32BE()).toBe(Code.refused);
    // 128 MB of 15 KB each.
    expect(stream / 2).toBeGreaterThan(8000);
    connection.say(reset(1), ...streams.slice(0, 1000).map(reset), headers(head, 4, 20_001));
    await connection.heard();
    expect(connection.reader.frames.some((each) => each.stream === 20_001)).toBe(false);
    connection.socket.destroy();
  });
});

describe("requests in the smallest pieces", () => {
  it("cost no more than they say", async () => {
    const site = await openSite();
    const before = process.memoryUsage();
    const connections = await Promise.all(Array.from({ length: 4 }, () => HostileClient.open(site)));
    // Nobody reads them: the first request is as long as all that comes.
    const first = Buffer.from([0, 0, 8, 0, 0]);
    const grain = (stream: number): Buffer => frame(FRAMES.data, 0, stream, Buffer.from([7]));
    for (const connection of connections) {
      for (let call = 0; call < 20; call++) {
        const stream = 2 * call + 1;
        connection.say(headers(callHeaders(RANGE), 4, stream), frame(FRAMES.data, 0, stream, first));
        connection.say(Buffer.concat(Array(3000).fill(grain(stream))));
      }
      await connection.heard();
    }
    // 240,000 bytes, in 80 calls of 4 KiB each.
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16e6);
    for (const connection of connections) connection.socket.destroy();
    await expectWell(site);
  });
});

describe("who begins slowly", () => {
  it("is let go when it does not end", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const site = await openSite();
      const socket = await site.socket();
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.resume();
      // It is known by these what it speaks, and after them nothing comes.
      socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      await new Promise<void>((resolve) => socket.once("data", () => resolve()));
      vi.advanceTimersByTime(19_000);
      expect(socket.destroyed).toBe(false);
      vi.advanceTimersByTime(2000);
      await closed;
    } finally {
      vi.useRealTimers();
    }
  });

  it("is heard when every byte comes alone", async () => {
    const site = await openSite();
    const socket = await site.socket();
    socket.setNoDelay(true);
    let said = "";
    const answered = new Promise<void>((resolve) =>
      socket.on("data", (chunk: Buffer) => {
        said += chunk.toString("latin1");
        if (said.includes("grpc-status")) resolve();
      }),
    );
    const begin = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (const byte of Buffer.concat([begin, frame(FRAMES.settings, 0, 0), ask(1)])) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await answered;
  });
});

describe("the end", () => {
  it("is told first; calls under way are answered, and new ones are refused", async () => {
    const engine = memoryEngine();
    const go = Promise.withResolvers<void>();
    const site = await openSite({
      engine: {
        ...engine,
        range: async (...args: Parameters<typeof engine.range>) => {
          await go.promise;
          return await engine.range(...args);
        },
      },
    });
    const connection = await HostileClient.open(site);
    connection.say(ask(1));
    await connection.heard();
    const closed = site.listener.close(60_000);
    const { payload } = await connection.reader.find(({ type }) => type === FRAMES.goaway);
    expect([payload.readUInt32BE(), payload.readUInt32BE(4)]).toEqual([1, 0]);
    // Who has not heard of it yet may have begun many.
    for (let stream = 3; stream < 5000; stream += 2) connection.say(ask(stream));
    for (const stream of [3, 4999]) expect(await connection.resetOf(stream)).toBe(Code.refused);
    go.resolve();
    await connection.reader.find(isEndOf(1));
    await connection.reader.closed;
    await closed;
  });
});
