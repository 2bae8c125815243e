// HPACK against others: the examples of RFC 7541, what nghttp2 writes and reads (as node:http2), and an encoder written from
// the RFC that uses every form there is.

import { type ClientHttp2Session, connect, sensitiveHeaders } from "node:http2";
import { createServer, type Socket } from "node:net";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { HeaderDecoder } from "../../../../src/runtimes/node/grpc/http2/header-decoder.ts";
import { Http2Problem } from "../../../../src/runtimes/node/grpc/http2/protocol.ts";
import { STATIC_TABLE } from "../../../../src/runtimes/node/grpc/http2/static-table.ts";
import { setting } from "./hostile-client.ts";
import { frame, FrameReader, FRAMES, headerBlock, PREFACE } from "./raw-http2.ts";
import { openSite } from "./site.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

describe("the examples of RFC 7541", () => {
  it("C.2.1, with indexing", () => {
    const decoder = new HeaderDecoder(1000);
    const field = ["custom-key", "custom-header"];
    expect(decoder.decode(hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"))).toEqual(
      field,
    );
    expect(decoder.decode(hex("be"))).toEqual(field);
  });

  it.each([
    ["C.2.2, without", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"]],
    ["C.2.3, never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"]],
    ["C.2.4, indexed", "82", [":method", "GET"]],
  ])("%s", (_name, block, field) => {
    const decoder = new HeaderDecoder(1000);
    expect(decoder.decode(hex(block))).toEqual(field);
    expect(() => decoder.decode(hex("be"))).toThrow("no such entry");
  });

  const answers = [
    [":status", "302", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    [":status", "307", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    [":status", "200", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:22 GMT"],
  ].map((headers) => [...headers, "location", "https://www.example.com"]);
  answers[2]!.push("content-encoding", "gzip");
  answers[2]!.push("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");

  it.each([
    [
      "C.5, plain",
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
        474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        "4803 3330 37c1 c0bf",
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
        666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
        3630 303b 2076 6572 7369 6f6e 3d31`,
      ],
    ],
    [
      "C.6, in Huffman's code",
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
        63c7 8f0b 97c8 e9ae 82ae 43d3`,
        "4883 640e ffc1 c0bf",
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
        b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ],
    ],
  ])("%s, where the table has 256 bytes", (_name, blocks) => {
    const decoder = new HeaderDecoder(1000);
    // 256 by C.1's way to write numbers.
    expect(decoder.decode(hex("3fe1 01"))).toEqual([]);
    blocks.forEach((block, i) =>
      expect(decoder.decode(hex(block.replaceAll(/\s/g, "")))).toEqual(answers[i]),
    );
    expect(decoder.decode(hex("be bf c0"))).toEqual(
      [5, 4, 2].flatMap((field) => answers[2]!.slice(2 * field, 2 * field + 2)),
    );
    expect(() => decoder.decode(hex("c1"))).toThrow("no such entry");
  });

  it("C.1.2: numbers of several octets", () => {
    const decoder = new HeaderDecoder(1000);
    // 1337 is no size that is refused.
    expect(decoder.decode(hex("3f9a 0a"))).toEqual([]);
  });
});

/** What another implementation's client sends, and a way to answer it. */
interface Captured {
  readonly session: ClientHttp2Session;
  readonly reader: FrameReader;
  readonly socket: Socket;
}

/** node:http2 as the client of a server that only listens. */
async function capture(): Promise<Captured> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  const socket = await accepted;
  // The preface has no frame's form.
  await new Promise<void>((resolve) => socket.once("readable", resolve));
  expect(socket.read(PREFACE.length)).toEqual(PREFACE);
  socket.write(frame(FRAMES.settings, 0, 0));
  return { session, reader: new FrameReader(socket), socket };
}

/** A header block over all its frames. */
async function blockOf({ reader }: Captured, stream: number): Promise<Buffer> {
  const isPart = ({ type }: { readonly type: number }): boolean =>
    type === FRAMES.headers || type === FRAMES.continuation;
  const last = await reader.find((each) => each.stream === stream && isPart(each) && (each.flags & 4) !== 0);
  const parts = reader.frames.filter((each) => each.stream === stream && isPart(each));
  expect(parts.at(-1)).toBe(last);
  return Buffer.concat(
    parts.map(({ type, flags, payload }) => {
      expect(flags & 8).toBe(0);
      return type === FRAMES.headers && (flags & 0x20) !== 0 ? payload.subarray(5) : payload;
    }),
  );
}

const name = fc
  .oneof(
    fc.constantFrom("authorization", "accept", "cookie", "etag", "x-a", "x-b", "x-c", "via", "date"),
    fc.stringMatching(/^x-[a-z0-9_.-]{1,12}$/),
  )
  .map((text) => text);
const value = fc
  .oneof(
    fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/),
    fc.constantFrom("a", "b", "the same again", "y".repeat(200), "0123456789".repeat(100)),
    fc.uint8Array({ minLength: 1, maxLength: 30 }).map((octets) => {
      const letters = Array.from(octets, (octet) =>
        String.fromCharCode(octet >= 0x80 ? octet : 0x21 + (octet % 94)),
      );
      return letters.join("");
    }),
  )
  .map((text) => text);
const fields = fc.uniqueArray(fc.tuple(name, value), { selector: ([each]) => each, maxLength: 12 });

describe("what nghttp2 writes", () => {
  it("is read as it was meant: any letters, never indexed, tables that change their size and forget", async () => {
    // Of either there must be some, or this says little.
    let [resized, packed] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            headers: fields,
            secret: fc.boolean(),
            tableBytes: fc.option(fc.constantFrom(0, 64, 200, 1000, 4096), { freq: 3 }),
          }),
          { minLength: 1, maxLength: 12 },
        ),
        async (requests) => {
          const captured = await capture();
          const { session, reader, socket } = captured;
          const decoder = new HeaderDecoder(1 << 20);
          let settings = 1;
          for (const [i, { headers, secret, tableBytes }] of requests.entries()) {
            if (tableBytes !== null) {
              socket.write(frame(FRAMES.settings, 0, 0, setting(1, tableBytes)));
              settings++;
            }
            const isAck = ({ type, flags }: { type: number; flags: number }): boolean =>
              type === FRAMES.settings && flags === 1;
            await reader.find(() => reader.frames.filter(isAck).length === settings);
            const request = session.request({
              ":method": "POST",
              ":path": `/${i}`,
              ...Object.fromEntries(headers),
              ...(secret ? { [sensitiveHeaders]: headers.map(([each]) => each) } : {}),
            });
            request.on("error", () => undefined);
            const block = await blockOf(captured, 2 * i + 1);
            if ((block[0]! & 0xe0) === 0x20) resized++;
            const list = decoder.decode(block)!;
            if (block.length < list.join("").length) packed++;
            const read = Array.from({ length: list.length / 2 }, (_, at) => [list[2 * at], list[2 * at + 1]]);
            const regular = read.filter(([each]) => !each!.startsWith(":"));
            expect(new Map(regular as [string, string][])).toEqual(new Map(headers));
            expect(regular).toHaveLength(headers.length);
            expect(new Map(read as [string, string][]).get(":path")).toBe(`/${i}`);
          }
          session.destroy();
          socket.destroy();
        },
      ),
      { numRuns: 40 },
    );
    expect(Math.min(resized, packed)).toBeGreaterThan(5);
  });
});

describe("what we write", () => {
  it("is read by nghttp2 as it was meant", async () => {
    let answer: { message: string; code: number; metadata: Record<string, string> };
    const site = await openSite({
      handle: (exchange) =>
        exchange.finish({ code: answer.code as 5, message: answer.message }, answer.metadata),
    });
    const session = connect(`http://${site.address}`, { settings: { headerTableSize: 100 } });
    onTestFinished(() => session.destroy());
    const plain = fc.stringMatching(/^[!-~]([ -~]{0,300}[!-~])?$/);
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "binary", maxLength: 200 }),
        fc.integer({ min: 1, max: 16 }),
        fc.dictionary(fc.stringMatching(/^x-[a-z]{1,9}$/), plain, { maxKeys: 4 }),
        async (message, code, metadata) => {
          answer = { message, code, metadata };
          const request = session.request({ ":method": "POST", "content-type": "application/grpc" });
          const headers = await new Promise<Record<string, string>>((resolve, reject) => {
            request.on("response", (received) => resolve(received as Record<string, string>));
            request.on("error", reject);
          });
          request.close();
          expect(headers).toMatchObject({ ...metadata, ":status": 200, "grpc-status": String(code) });
          expect(decodeURIComponent(headers["grpc-message"]!)).toBe(Buffer.from(message).toString());
        },
      ),
      { numRuns: 40 },
    );
  });

  it("by the same static table", async () => {
    const captured = await capture();
    const request = captured.session.request({ ":path": "/" });
    const response = new Promise<readonly string[]>((resolve, reject) => {
      request.on("error", reject);
      // Not in node's types.
      request.on("response", ((_headers: object, _flags: number, raw: string[]) =>
        resolve(raw)) as () => void);
    });
    await blockOf(captured, 1);
    // From 15 on they are not pseudo headers; 57 is transfer-encoding, which has no place here, and 28 a length.
    const named = STATIC_TABLE.map((_, i) => i + 1).filter(
      (index) => index >= 15 && index !== 28 && index !== 57,
    );
    const block = Buffer.concat([
      Buffer.from([0x88]),
      ...named.map((index) =>
        Buffer.from([0x0f, index - 15, 2, 0x30 + Math.floor(index / 10), 0x30 + (index % 10)]),
      ),
    ]);
    captured.socket.write(frame(FRAMES.headers, 5, 1, block));
    const raw = await response;
    expect(raw.slice(0, 2)).toEqual([":status", "200"]);
    const ours = new HeaderDecoder(10_000).decode(block)!;
    const pairs = (list: readonly string[]): readonly string[] =>
      Array.from({ length: list.length / 2 }, (_, i) => `${list[2 * i]}: ${list[2 * i + 1]}`);
    expect(pairs(ours).toSorted()).toEqual(pairs(raw).toSorted());
    expect(ours).toHaveLength(2 * named.length + 2);
  });
});

/** Writes HPACK by a table of its own, in whichever form it is told. */
class ModelEncoder {
  #table: (readonly [string, string])[] = [];
  #maxBytes = 4096;

  resize(bytes: number): Buffer {
    this.#maxBytes = bytes;
    this.#evict();
    return integer(bytes, 5, 0x20);
  }

  field(field: readonly [string, string], form: "indexed" | "added" | "plain" | "never"): Buffer {
    const all = [...STATIC_TABLE.map((entry) => [entry.name, entry.value] as const), ...this.#table];
    const whole = all.findIndex((entry) => entry[0] === field[0] && entry[1] === field[1]) + 1;
    if (form === "indexed" && whole > 0) return integer(whole, 7, 0x80);
    const named = all.findIndex((entry) => entry[0] === field[0]) + 1;
    const [bits, mark] = form === "plain" ? [4, 0] : form === "never" ? [4, 0x10] : [6, 0x40];
    const written = Buffer.concat([
      integer(named, bits!, mark!),
      ...(named === 0 ? [text(field[0])] : []),
      text(field[1]),
    ]);
    if (bits === 6) {
      this.#table.unshift(field);
      this.#evict();
    }
    return written;
  }

  #evict(): void {
    const bytes = (): number =>
      this.#table.reduce((sum, [key, said]) => sum + key.length + said.length + 32, 0);
    while (bytes() > this.#maxBytes) this.#table.pop();
  }
}

function integer(number: number, bits: number, mark: number): Buffer {
  const most = 2 ** bits - 1;
  if (number < most) return Buffer.from([mark | number]);
  const octets = [mark | most];
  for (let rest = number - most; ; rest = Math.floor(rest / 128)) {
    octets.push(rest >= 128 ? 128 + (rest % 128) : rest);
    if (rest < 128) return Buffer.from(octets);
  }
}

const text = (said: string): Buffer =>
  Buffer.concat([integer(said.length, 7, 0), Buffer.from(said, "latin1")]);

describe("every form that RFC 7541 has", () => {
  it("is read as it was meant", () => {
    const form = fc.constantFrom("indexed", "added", "plain", "never");
    const block = fc.record({
      sizes: fc.array(fc.oneof(fc.nat(400), fc.constant(4096)), { maxLength: 2 }),
      fields: fc.array(fc.tuple(name, value, form), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), (blocks) => {
        const [encoder, decoder] = [new ModelEncoder(), new HeaderDecoder(1 << 20)];
        for (const each of blocks) {
          const bytes = [
            ...each.sizes.map((size) => encoder.resize(size)),
            ...each.fields.map(([key, said, as]) => encoder.field([key, said], as as "never")),
          ];
          expect(decoder.decode(Buffer.concat(bytes))).toEqual(
            each.fields.flatMap(([key, said]) => [key, said]),
          );
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe("a hostile block is refused:", () => {
  it.each([
    ["a number that overflows 32 bits", "ff ffff ffff 0f"],
    ["one that overflows 64", "ff ffff ffff ffff ffff ff7f"],
    ["one with zeros without end", "ff 8080 8080 8080 8080 00"],
    ["a string of two gigabytes", "00 7f80 ffff ff07"],
    ["a string one longer than the block", "0001 6103 6262"],
    ["a name of no entry of the table", "7e 0161"],
    ["a table one larger than allowed", "3fe2 1f"],
    ["a table of four gigabytes", "3fff ffff ff0f"],
    ["two sizes, the last too large", "20 3fe2 1f"],
    ["a size behind headers", "82 3fe1 1f"],
    ["Huffman's code with the end of a string, and no more", "0001 6184 ffff ffff"],
    ["one that breaks off within a letter, filled with zeros", "0001 6181 18"],
    ["nine bits of filling", "0001 6182 07ff"],
    ["a form that breaks off at its mark", "40"],
    ["a never-indexed one without a value", "10 0161"],
  ])("%s", (_name, block) => {
    expect(() => new HeaderDecoder(1000).decode(hex(block))).toThrow(Http2Problem);
  });

  it("the largest table that there may be is none", () => {
    expect(new HeaderDecoder(1000).decode(hex("3fe1 1f"))).toEqual([]);
  });

  it("or only counted, when it says a lot by little", () => {
    const decoder = new HeaderDecoder(16 << 10);
    const large = Buffer.concat([Buffer.from([0x40]), headerBlock([["x", "y".repeat(120)]]).subarray(1)]);
    expect(decoder.decode(Buffer.concat([large, Buffer.alloc(16_000, 0xbe)]))).toBeNull();
    // An entry that is larger than the table empties it, and is none (section 4.4).
    const huge = Buffer.concat([Buffer.from([0x40, 1, 120]), text("y".repeat(5000))]);
    expect(decoder.decode(huge)).toEqual(["x", "y".repeat(5000)]);
    expect(() => decoder.decode(hex("be"))).toThrow("no such entry");
  });
});
