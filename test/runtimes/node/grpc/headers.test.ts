import { connect } from "node:http2";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { HeaderDecoder } from "../../../../src/runtimes/node/grpc/http2/header-decoder.ts";
import { Http2Problem } from "../../../../src/runtimes/node/grpc/http2/protocol.ts";
import { GRPC_DEFAULTS } from "../../../../src/runtimes/node/grpc/settings.ts";
import type { Exchange } from "../../../../src/runtimes/node/grpc/exchange.ts";
import { Listener } from "../../../../src/runtimes/node/listener.ts";
import { freePorts } from "../free-ports.ts";
import { headerBlock } from "./raw-http2.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

describe("HPACK", () => {
  // RFC 7541, appendices C.3 and C.4: three requests on one connection, in plain letters and in Huffman's code.
  it.each([
    [
      "plain",
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "Huffman",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
  ])("reads the examples of its RFC: %s", (_name, [first = "", second = "", third = ""]) => {
    const decoder = new HeaderDecoder(1000);
    const get = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
    expect(decoder.decode(hex(first))).toEqual(get);
    expect(decoder.decode(hex(second))).toEqual([...get, "cache-control", "no-cache"]);
    expect(decoder.decode(hex(third))).toEqual([
      ":method",
      "GET",
      ":scheme",
      "https",
      ":path",
      "/index.html",
      ":authority",
      "www.example.com",
      "custom-key",
      "custom-value",
    ]);
  });

  it("forgets what no longer fits, and what it is told to forget", () => {
    const decoder = new HeaderDecoder(100_000);
    const added = (name: string, value: string): Uint8Array =>
      Buffer.concat([Buffer.from([0x40]), headerBlock([[name, value]]).subarray(1)]);
    decoder.decode(added("a", "1"));
    expect(decoder.decode(hex("be"))).toEqual(["a", "1"]);
    // 4096 bytes hold 31 such entries.
    for (let i = 0; i < 31; i++) decoder.decode(added(`x${i % 10}`, "y".repeat(98)));
    expect(decoder.decode(Uint8Array.of(0x80 | (61 + 31)))).toEqual(["x0", "y".repeat(98)]);
    expect(() => decoder.decode(Uint8Array.of(0x80 | (61 + 32)))).toThrow(Http2Problem);
    expect(decoder.decode(hex("20"))).toEqual([]);
    expect(() => decoder.decode(hex("be"))).toThrow("no such entry");
  });

  it("tells of too many headers, and reads the next all the same", () => {
    const decoder = new HeaderDecoder(100);
    const large = Buffer.concat([Buffer.from([0x40]), headerBlock([["a", "b".repeat(100)]]).subarray(1)]);
    expect(decoder.decode(large)).toBeNull();
    expect(decoder.decode(hex("82"))).toEqual([":method", "GET"]);
    // It is in the table.
    expect(decoder.decode(hex("be"))).toBeNull();
  });

  it.each([
    ["an entry 0", "80"],
    ["an entry behind the table", "ff00"],
    ["a name that breaks off", "0005 6161"],
    ["a value that is not there", "0001 61"],
    ["a number without an end", "ff ffff ffff ffff"],
    ["a table that is too large", "3f e21f"],
    ["a change of size behind a header", "82 20"],
    ["Huffman's code that is filled up with zeros", "0001 6181 00"],
    ["a whole octet of filling", "0001 6182 1fff"],
    ["the end of a string within one", "0001 6184 ffff fffc"],
  ])("refuses %s", (_name, block) => {
    expect(() => new HeaderDecoder(1000).decode(hex(block))).toThrow(Http2Problem);
  });

  it("never fails but in its own way", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), (blocks) => {
        const decoder = new HeaderDecoder(500);
        try {
          for (const block of blocks) decoder.decode(block);
        } catch (error) {
          if (!(error instanceof Http2Problem)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("reads what nghttp2 writes: every letter, repeated headers, many of them", async () => {
    const seen: Exchange[] = [];
    const [port = 0] = await freePorts(1);
    const listener = await Listener.open({
      url: `http://127.0.0.1:${port}`,
      tls: null,
      handle: (_request, response) => response.end(),
      grpc: {
        handle: (exchange) => {
          seen.push(exchange);
          exchange.finish({ code: 0, message: "" });
        },
        settings: GRPC_DEFAULTS,
      },
    });
    onTestFinished(() => listener.close(0));
    const session = connect(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const letters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).filter((letter) =>
      /[\t -~\x80-\xff]/.test(letter),
    );
    for (let round = 0; round < 20; round++) {
      const headers = Object.fromEntries(
        Array.from({ length: 20 }, (_, i) => [
          `x-${i}`,
          `.${letters.slice(i * 10, i * 10 + 10 + round).join("")}.`,
        ]),
      );
      const request = session.request({
        ":method": "POST",
        ":path": `/round/${round}`,
        "content-type": "application/grpc",
        ...headers,
      });
      request.resume();
      request.end();
      await new Promise((resolve) => request.on("close", resolve));
      const exchange = seen[round]!;
      expect(exchange.path).toBe(`/round/${round}`);
      for (const [name, value] of Object.entries(headers)) expect(exchange.get(name)).toBe(value);
    }
  });
});
