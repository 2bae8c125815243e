// What is known to have brought HTTP/2 servers down, and what breaks the protocol's rules: each is answered as RFC 9113 says,
// costs little, and leaves the server to the next client.

import { describe, expect, it } from "vitest";
import {
  BEGUN,
  expectWell,
  GET_K,
  headers,
  HostileClient,
  RANGE,
  reset,
  SETTINGS,
  setting,
  watch,
  WATCH,
  widen,
  windowSetting,
} from "./hostile-client.ts";
import { callHeaders, Code, frame, FRAMES, headerBlock, prefixed, PREFACE } from "./raw-http2.ts";
import { openSite } from "./site.ts";

/** Asks to watch a key. */
const CREATE = prefixed(Buffer.from([10, 3, 10, 1, 97]));

describe("a connection that breaks the rules ends with", () => {
  it.each<[string, number, readonly Uint8Array[]]>([
    ["data of no stream", Code.protocol, [frame(FRAMES.data, 0, 0, GET_K)]],
    ["data of an idle stream", Code.protocol, [frame(FRAMES.data, 0, 1, GET_K)]],
    ["data after a reset", Code.streamClosed, [BEGUN, reset(1), frame(FRAMES.data, 0, 1, GET_K)]],
    ["headers after a reset", Code.streamClosed, [BEGUN, reset(1), watch()]],
    [
      "data of a stream that was passed by",
      Code.streamClosed,
      [headers(callHeaders(WATCH), 4, 5), frame(FRAMES.data, 0, 3, GET_K)],
    ],
    ["a stream whose number goes down", Code.streamClosed, [headers(callHeaders(WATCH), 4, 5), watch()]],
    ["a stream of an even number", Code.protocol, [headers(callHeaders(WATCH), 4, 2)]],
    ["headers of no stream", Code.protocol, [headers(callHeaders(WATCH), 4, 0)]],
    [
      "streams after the last there can be",
      Code.streamClosed,
      [headers(callHeaders(WATCH), 4, 0x7fffffff), watch()],
    ],
    ["a reset of an idle stream", Code.protocol, [reset(1)]],
    ["a window of an idle stream", Code.protocol, [widen(1, 1)]],
    ["a window of nothing", Code.protocol, [widen(0, 0)]],
    ["a window beyond all measure", Code.flowControl, [widen(0, 0x7fffffff)]],
    [
      "a setting that widens a window beyond all measure",
      Code.flowControl,
      [BEGUN, widen(1, 0x7fff0000), windowSetting(0x7fffffff)],
    ],
    [
      "a setting that widens one window of several beyond all measure",
      Code.flowControl,
      [BEGUN, headers(callHeaders(WATCH), 4, 3), widen(3, 0x7fff0000), windowSetting(0x7fffffff)],
    ],
    ["a setting that is too large by itself", Code.flowControl, [windowSetting(0x80000000)]],
    ["settings of five bytes", Code.frameSize, [frame(FRAMES.settings, 0, 0, Buffer.alloc(5))]],
    ["settings of one stream", Code.protocol, [frame(FRAMES.settings, 0, 1)]],
    ["an answer to settings with settings", Code.frameSize, [frame(FRAMES.settings, 1, 0, setting(4, 1))]],
    ["frames of no such size", Code.protocol, [frame(FRAMES.settings, 0, 0, setting(5, 100))]],
    ["a ping of seven bytes", Code.frameSize, [frame(FRAMES.ping, 0, 0, Buffer.alloc(7))]],
    ["a promise", Code.protocol, [frame(FRAMES.pushPromise, 4, 1, Buffer.alloc(8))]],
    ["more padding than there is", Code.protocol, [BEGUN, frame(FRAMES.data, 8, 1, Buffer.from([5, 1, 1]))]],
    [
      "data of a stream that is not for clients to begin",
      Code.protocol,
      [headers(callHeaders(WATCH), 4, 5), frame(FRAMES.data, 0, 2)],
    ],
    ["a reset of one", Code.protocol, [headers(callHeaders(WATCH), 4, 5), reset(2)]],
    ["a window of one", Code.protocol, [headers(callHeaders(WATCH), 4, 5), widen(2, 1)]],
    ["a goodbye that breaks off", Code.frameSize, [frame(FRAMES.goaway, 0, 0, Buffer.alloc(7))]],
    ["padding without its length", Code.protocol, [BEGUN, frame(FRAMES.data, 8, 1)]],
    ["padding for all there is of the headers", Code.protocol, [headers(Buffer.from([9, 0x82]), 12)]],
    ["a priority that breaks off", Code.frameSize, [headers(Buffer.from([0, 0, 0]), 0x24)]],
    ["a frame that is too large", Code.frameSize, [Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1])]],
    ["a header block that is interrupted", Code.protocol, [headers(callHeaders(WATCH), 0), SETTINGS]],
    ["one that another stream goes on with", Code.protocol, [headers(Buffer.alloc(0), 0), frame(9, 4, 3)]],
    ["one that has not begun", Code.protocol, [frame(FRAMES.continuation, 4, 1)]],
    ["headers that are not HPACK", Code.compression, [headers(Buffer.alloc(20, 0xff))]],
    ["a number without end", Code.compression, [headers(Buffer.from([0x7f, ...Array(9).fill(0xff), 1]))]],
    ["a table beyond its limit", Code.compression, [headers(Buffer.from([0x3f, 0xe2, 0x1f]))]],
  ])("%s: %i", async (_name, code, frames) => {
    const site = await openSite();
    const connection = await HostileClient.open(site);
    connection.say(...frames);
    expect(await connection.goaway()).toBe(code);
    await expectWell(site);
  });

  it("other words than HTTP/2's", async () => {
    const site = await openSite();
    const connection = new HostileClient(await site.socket());
    connection.socket.write("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    expect(await connection.goaway()).toBe(Code.protocol);
  });
});

describe("words that are not settings come first:", () => {
  it.each<[string, Uint8Array]>([
    ["a ping", frame(FRAMES.ping, 0, 0, Buffer.alloc(8))],
    ["an answer to settings", frame(FRAMES.settings, 1, 0)],
  ])("%s", async (_name, first) => {
    const connection = new HostileClient(await (await openSite()).socket());
    connection.socket.write(Buffer.concat([PREFACE, first]));
    expect(await connection.goaway()).toBe(Code.protocol);
  });
});

describe("a call that breaks the rules is reset, and the others go on", () => {
  it.each<[string, number, readonly Uint8Array[]]>([
    [
      "data beyond the window",
      Code.flowControl,
      [
        // It takes none of the answers, and so its requests are looked at no more at some time.
        windowSetting(0),
        BEGUN,
        ...Array.from({ length: 40 }, () =>
          frame(FRAMES.data, 0, 1, Buffer.concat(Array(1600).fill(CREATE))),
        ),
      ],
    ],
    ["a window of nothing", Code.protocol, [BEGUN, widen(1, 0)]],
    ["a window beyond all measure", Code.flowControl, [BEGUN, widen(1, 0x7fffffff)]],
    ["data after the end", Code.streamClosed, [headers(callHeaders(WATCH), 5), frame(FRAMES.data, 0, 1)]],
    [
      "headers after the end",
      Code.streamClosed,
      [headers(callHeaders(WATCH), 5), headers(headerBlock([]), 5)],
    ],
    ["headers in the middle", Code.protocol, [BEGUN, headers(headerBlock([["x", "1"]]))]],
    ["trailers of a head's", Code.protocol, [BEGUN, headers(headerBlock([[":path", "/"]]), 5)]],
    [
      "less than announced",
      Code.protocol,
      [watch([["content-length", "9"]]), frame(FRAMES.data, 1, 1, GET_K)],
    ],
    [
      "more than announced",
      Code.protocol,
      [watch([["content-length", "3"]]), frame(FRAMES.data, 0, 1, GET_K)],
    ],
    [
      "nothing, where more was announced",
      Code.protocol,
      [headers(callHeaders(WATCH, [["content-length", "1"]]), 5)],
    ],
    ["a length that is none", Code.protocol, [watch([["content-length", "-1"]])]],
    ["a name in capitals", Code.protocol, [watch([["X", "1"]])]],
    ["a name of nothing", Code.protocol, [watch([["", "1"]])]],
    ["a value of two lines", Code.protocol, [watch([["x", "1\r\ny: 2"]])]],
    ["a value that begins with a space", Code.protocol, [watch([["x", " 1"]])]],
    ["a value that ends with a tab", Code.protocol, [watch([["x", "1\t"]])]],
    [
      "two lengths",
      Code.protocol,
      [
        watch([
          ["content-length", "9"],
          ["content-length", "8"],
        ]),
      ],
    ],
    ["a value with a zero", Code.protocol, [watch([["x", "\0"]])]],
    ["a connection's header", Code.protocol, [watch([["connection", "close"]])]],
    ["an encoding of transfer", Code.protocol, [watch([["transfer-encoding", "chunked"]])]],
    ["an answer's head", Code.protocol, [watch([[":status", "200"]])]],
    [
      "a path twice",
      Code.protocol,
      [
        headers(
          headerBlock([
            [":path", "/"],
            [":path", "/"],
          ]),
        ),
      ],
    ],
    [
      "no path",
      Code.protocol,
      [
        headers(
          headerBlock([
            [":method", "POST"],
            [":scheme", "http"],
          ]),
        ),
      ],
    ],
    [
      "more headers than are allowed",
      Code.calm,
      // 126 bytes in the table, and then that entry again and again (an "HPACK bomb").
      [
        headers(
          Buffer.concat([
            Buffer.from([0x40]),
            headerBlock([["x", "y".repeat(120)]]).subarray(1),
            Buffer.alloc(8000, 0xbe),
          ]),
        ),
      ],
    ],
  ])("%s: %i", async (_name, code, frames) => {
    const site = await openSite();
    const connection = await HostileClient.open(site);
    connection.say(...frames);
    expect(await connection.resetOf(1)).toBe(code);
    // What it sent before it knew is nobody's.
    if (code !== Code.streamClosed && !frames.some((each) => ((each[4] ?? 0) & 1) === 1))
      connection.say(frame(FRAMES.data, 1, 1, GET_K));
    connection.say(headers(callHeaders(RANGE), 4, 3), widen(3, 10_000), frame(FRAMES.data, 1, 3, GET_K));
    await connection.reader.find(({ stream, flags }) => stream === 3 && (flags & 1) === 1);
    expect(connection.data(1)).toHaveLength(0);
    expect(connection.data(3).length).toBeGreaterThan(5);
    expect(site.log).toEqual([]);
  });

  it("trailers are part of a request, and nobody reads them", async () => {
    const connection = await HostileClient.open(await openSite());
    connection.say(
      headers(callHeaders(RANGE)),
      frame(FRAMES.data, 0, 1, GET_K),
      headers(headerBlock([["x", "1"]]), 5),
    );
    await connection.reader.find(({ stream, flags }) => stream === 1 && (flags & 1) === 1);
    expect(connection.data(1).length).toBeGreaterThan(5);
    expect(connection.reader.frames.some(({ type }) => type === FRAMES.reset)).toBe(false);
  });

  it("priorities, padding and frames of others are passed over", async () => {
    const connection = await HostileClient.open(await openSite());
    const padded = Buffer.concat([Buffer.from([3]), GET_K, Buffer.alloc(3)]);
    const prioritized = Buffer.concat([Buffer.from([0, 0, 0, 9, 1]), callHeaders(RANGE)]);
    connection.say(
      frame(FRAMES.priority, 0, 7, Buffer.alloc(5)),
      frame(77, 0xff, 9, Buffer.alloc(100)),
      frame(FRAMES.settings, 0, 0, setting(0xabcd, 7)),
      headers(prioritized, 0x24),
      frame(FRAMES.data, 9, 1, padded),
    );
    await connection.reader.find(({ stream, flags }) => stream === 1 && (flags & 1) === 1);
    expect(connection.data(1).length).toBeGreaterThan(5);
  });
});

describe("a flood is ended before it costs much:", () => {
  const empty = Buffer.alloc(0);
  it.each<[string, readonly Uint8Array[], (i: number) => Uint8Array]>([
    [
      "calls that are begun and reset (CVE-2023-44487)",
      [],
      (i) => Buffer.concat([headers(callHeaders(WATCH), 4, 2 * i + 1), reset(2 * i + 1)]),
    ],
    [
      "calls that the server is made to reset, by windows (CVE-2025-8671)",
      [],
      (i) => Buffer.concat([headers(callHeaders(WATCH), 4, 2 * i + 1), widen(2 * i + 1, 0)]),
    ],
    [
      "by data after the end",
      [],
      (i) => Buffer.concat([headers(callHeaders(WATCH), 5, 2 * i + 1), frame(FRAMES.data, 0, 2 * i + 1)]),
    ],
    ["by heads that are none", [], (i) => headers(headerBlock([["x", "1"]]), 5, 2 * i + 1)],
    ["header blocks that go on without a word (CVE-2024-27316)", [headers(empty, 0)], () => frame(9, 0, 1)],
    [
      "header blocks that go on",
      [headers(empty, 0)],
      () => frame(FRAMES.continuation, 0, 1, headerBlock([["x", "y".repeat(120)]])),
    ],
    ["settings (CVE-2019-9515)", [], () => windowSetting(1)],
    [
      "settings in one frame",
      [],
      () => frame(FRAMES.settings, 0, 0, Buffer.concat(Array(2000).fill(setting(4, 1)))),
    ],
    ["pings (CVE-2019-9512)", [], () => frame(FRAMES.ping, 0, 0, Buffer.alloc(8))],
    ["data without content (CVE-2019-9518)", [BEGUN], () => frame(FRAMES.data, 0, 1)],
    ["nothing but padding", [BEGUN], () => frame(FRAMES.data, 8, 1, Buffer.from([0]))],
    ["priorities", [], () => frame(FRAMES.priority, 0, 1, Buffer.alloc(5))],
    ["frames that nobody knows", [], () => frame(99, 0, 0)],
    ["answers to settings", [], () => frame(FRAMES.settings, 1, 0)],
    ["answers to pings", [], () => frame(FRAMES.ping, 1, 0, Buffer.alloc(8))],
    [
      "headers for a call that was reset",
      [watch([["x", "\0"]])],
      () => headers(headerBlock([["x", "1"]]), 4, 1),
    ],
  ])("%s", async (_name, before, part) => {
    // So many calls may come to nothing at once as there can be, and a thousand at the least.
    const site = await openSite({ settings: { maxConcurrentStreams: 1000 } });
    const connection = await HostileClient.open(site);
    connection.say(...before);
    expect(await connection.flood(part, 20_000)).toBeLessThan(20_000);
    expect(await connection.goaway()).toBe(Code.calm);
    await expectWell(site);
  });

  it("goodbyes", async () => {
    const connection = await HostileClient.open(await openSite());
    connection.say(BEGUN, Buffer.concat(Array(2000).fill(frame(FRAMES.goaway, 0, 0, Buffer.alloc(8)))));
    expect(await connection.goaway()).toBe(Code.calm);
  });

  it("and who has many calls may give all of them up at once", async () => {
    const site = await openSite();
    const connection = await HostileClient.open(site);
    const streams = Array.from({ length: 5000 }, (_, i) => 2 * i + 1);
    connection.say(...streams.map((stream) => headers(callHeaders(RANGE), 4, stream)));
    connection.say(...streams.map(reset));
    await connection.heard();
    expect(connection.socket.destroyed).toBe(false);
    connection.socket.destroy();
    await expectWell(site);
  });
});
