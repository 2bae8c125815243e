// The binary codec against protobuf.js, which reads etcd's own definitions.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/core/errors/index.ts";
import {
  ProtobufDecoders,
  ProtobufEncoders,
  type MessageInfo,
} from "../../../../src/runtimes/http/codec/index.ts";
import { METHODS } from "../../../../src/runtimes/http/etcd/methods.ts";
import { userAddRequest } from "../../../../src/runtimes/http/etcd/auth-messages.ts";
import { putRequest, rangeReply, txnRequest } from "../../../../src/runtimes/http/etcd/kv-messages.ts";
import { STREAM_METHODS } from "../../../../src/runtimes/http/etcd/stream-methods.ts";
import { watchReply, watchRequest } from "../../../../src/runtimes/http/etcd/watch-messages.ts";
import { RANGE_STREAM } from "../../../../src/runtimes/node/grpc/range-stream.ts";
import { DEFINITIONS, definition } from "./definitions.ts";

const decoders = new ProtobufDecoders();
const encoders = new ProtobufEncoders();

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** Any value of what a description describes, as our encoder takes it. */
function valueOf(message: MessageInfo, depth: number): fc.Arbitrary<object> {
  if (message.shape === "union") {
    const cases = [...message.cases].filter(([type]) => depth > 0 || type !== "txn");
    return fc.oneof(
      ...cases.map(([type, { message: content }]) =>
        valueOf(content(), depth - 1).map((value) => ({ type, [message.payload]: value })),
      ),
    );
  }
  const fields = [...message.fields].filter(([, { number }]) => number !== null);
  return fc.record(
    Object.fromEntries(
      fields.map(([property, { kind, repeated }]) => {
        const one = ((): fc.Arbitrary<unknown> => {
          switch (kind.type) {
            case "bytes":
              return fc.uint8Array({ maxLength: 40 });
            case "string":
              return fc.string({ unit: "grapheme", maxLength: 80 });
            case "bool":
              return fc.boolean();
            case "enum":
              return fc.constantFrom(...kind.enumeration.values);
            case "int64":
              return kind.as === "number" ? fc.maxSafeInteger() : fc.bigInt(-(1n << 63n), (1n << 63n) - 1n);
            case "uint64":
              if (kind.short === true) return fc.nat(2 ** 32 - 1);
              return kind.as === "number" ? fc.nat(Number.MAX_SAFE_INTEGER) : fc.bigInt(0n, (1n << 64n) - 1n);
            case "message":
              return depth > 0 ? valueOf(kind.message(), depth - 1) : fc.constant({});
          }
        })();
        return [property, repeated ? fc.array(one, { maxLength: depth > 0 ? 3 : 0 }) : one];
      }),
    ),
  );
}

const both = [...METHODS, ...STREAM_METHODS, RANGE_STREAM]
  .map((method) => ({ ...method, definition: DEFINITIONS.get(`/${method.service}/${method.rpc}`) }))
  .filter((method) => method.definition !== undefined)
  .map((method) => ({ ...method, definition: method.definition! }));

/** Methods whose replies have fields that etcd3's definitions lack. */
const NEWER = new Set(["/etcdserverpb.Maintenance/HashKV", "/etcdserverpb.Maintenance/Snapshot"]);

describe("messages", () => {
  it("are those of etcd's definitions, for every method", () => {
    expect(both.length).toBeGreaterThan(20);
  });

  it.each(both.map((method) => [`${method.service}/${method.rpc}`, method] as const))(
    "%s: what we write another reads, and writes as the same bytes",
    (_name, { request, response, definition: theirs }) => {
      const ask = encoders.of<object>(request);
      const answer = encoders.of<object>(response);
      fc.assert(
        fc.property(valueOf(request, 3), valueOf(response, 3), (asked, answered) => {
          const [asking, answering] = [ask(asked, 0), answer(answered, 0)];
          const theirRequest = theirs.requestDeserialize(Buffer.from(asking));
          expect(plain(theirs.requestSerialize(theirRequest))).toEqual(asking);
          const theirReply = theirs.responseDeserialize(Buffer.from(answering));
          // What it does not know it does not keep, and etcd3's definitions are older than some fields.
          const again = plain(theirs.responseSerialize(theirReply));
          expect(again).toEqual(NEWER.has(theirs.path) ? again : answering);
        }),
        { numRuns: 30 },
      );
    },
  );

  it("mean the same to us when another has written them", () => {
    const decode = decoders.of(txnRequest, "txn");
    const written = definition("KV/Txn").requestSerialize({
      compare: [
        { result: 3, target: 2, key: utf8("a"), mod_revision: "7" },
        { result: 2, target: 4, key: utf8("b"), lease: "-1", range_end: utf8("c") },
      ],
      success: [
        {
          request_put: { key: utf8("k"), value: utf8("v"), lease: "9223372036854775807", ignore_lease: true },
        },
        { request_txn: { failure: [{ request_delete_range: { key: utf8("d") } }] } },
      ],
      failure: [{ request_range: { key: utf8("e"), limit: "-3", sort_order: 2, sort_target: 3 } }],
    });
    expect(decode(plain(written))).toEqual({
      compare: [
        { result: "notEqual", target: "mod", key: utf8("a"), modRevision: 7 },
        { result: "less", target: "lease", key: utf8("b"), rangeEnd: utf8("c"), lease: -1n },
      ],
      success: [
        {
          type: "put",
          request: { key: utf8("k"), value: utf8("v"), lease: 9223372036854775807n, ignoreLease: true },
        },
        {
          type: "txn",
          request: {
            compare: [],
            success: [],
            failure: [{ type: "deleteRange", request: { key: utf8("d") } }],
          },
        },
      ],
      failure: [
        {
          type: "range",
          request: { key: utf8("e"), limit: -3, sortOrder: "descend", sortTarget: "mod" },
        },
      ],
    });
  });

  it("round trip through our own reader", () => {
    fc.assert(
      fc.property(valueOf(watchReply, 3), (value) => {
        const decode = decoders.of<object>(watchReply, "watch");
        const encode = encoders.of<object>(watchReply);
        expect(encode(decode(encode(value, 0)), 0)).toEqual(encode(value, 0));
      }),
    );
  });

  it("leave room in front, and are none the worse for one that could not be written", () => {
    const encode = encoders.of(putRequest);
    const broken = {
      get key(): Uint8Array {
        throw new Error("broken");
      },
      value: utf8("left behind"),
    };
    expect(() => encode(broken, 0)).toThrow("broken");
    expect([...encode({ key: utf8("k") }, 3)]).toEqual([0, 0, 0, 10, 1, 107]);
  });
});

describe("what is read", () => {
  const put = decoders.of(putRequest, "put");
  const range = decoders.of(rangeReply, "range");
  const watch = decoders.of(watchRequest, "watch");
  const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

  it("passes over fields that nobody knows, of every wire type", () => {
    const unknown = [
      [0xf8, 0x07, 0xff, 0xff, 0x03],
      [0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8],
      [0xfa, 0x07, 2, 9, 9],
      [0xfb, 0x07, 0x08, 0x01, 0x13, 0x14, 0xfc, 0x07],
      [0xfd, 0x07, 1, 2, 3, 4],
      // A known field of another type than it should have.
      [0x08, 0x05],
    ];
    for (const field of unknown) expect(put(of(...field, 10, 1, 107))).toEqual({ key: utf8("k") });
  });

  it("takes the last of what is there twice, and of a oneof", () => {
    expect(put(of(10, 1, 97, 10, 1, 98))).toEqual({ key: utf8("b") });
    expect(watch(of(0x0a, 0x03, 0x0a, 0x01, 97, 0x12, 0x02, 0x08, 0x05))).toEqual({
      type: "cancel",
      request: { watchId: 5n },
    });
  });

  it("merges messages that are there twice", () => {
    // header {cluster_id: 1} and header {member_id: 2}
    expect(range(of(0x0a, 2, 0x08, 1, 0x0a, 2, 0x10, 2)).header).toEqual({ clusterId: 1n, memberId: 2n });
    expect(range(of()).header).toEqual({});
  });

  it("takes lists of numbers packed and not", () => {
    const create = (...filters: number[]): unknown => watch(of(0x0a, filters.length, ...filters));
    const expected = { type: "create", request: { key: of(), filters: ["noPut", "noDelete"] } };
    expect(create(0x2a, 2, 0, 1)).toEqual(expected);
    expect(create(0x28, 0, 0x28, 1)).toEqual(expected);
    expect(create(0x2a, 1, 0, 0x28, 1)).toEqual(expected);
  });

  it.each([
    ["a number that breaks off", of(0x18, 0x80), "premature EOF"],
    ["a number without an end", of(0x18, ...Array<number>(11).fill(0x80)), "invalid varint"],
    ["a length beyond the end", of(10, 5, 1), "longer than what is left"],
    ["a length of 2^63", of(10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1), "longer than"],
    ["a length of 2^32 + 1", of(10, 0x81, 0x80, 0x80, 0x80, 0x10, 1), "longer than"],
    ["a length of 2^35 + 1", of(10, 0x81, 0x80, 0x80, 0x80, 0x80, 1, 1), "longer than"],
    ["another group's end", of(0x0b, 0x14), "invalid end group tag"],
    ["a tag of more than 32 bits", of(0x8a, 0x80, 0x80, 0x80, 0x10, 1, 1), "overflows"],
    ["a tag that breaks off", of(0x8a), "premature EOF"],
    ["field 0", of(0x00, 0x00), "field no 0"],
    ["a group that does not end", of(0x0b, 0x08, 0x01), "premature EOF"],
    ["a group that ends twice", of(0x0c), "cant skip wire type 4"],
    ["groups in groups", of(...Array<number>(500).fill(0x0b)), "maximum recursion depth"],
    ["wire type 7", of(0x0f), "wire type 7"],
    ["eight bytes that are five", of(0x09, 1, 2, 3, 4, 5), "premature EOF"],
  ])("refuses %s", (_name, bytes, problem) => {
    expect(() => put(bytes)).toThrow(
      expect.objectContaining({ code: "malformed", message: expect.stringContaining(problem) }),
    );
  });

  it.each([
    ["a number", of(0x18, 0x80), [1]],
    ["a tag", of(0x80), [1, 1]],
    ["a text's length", of(10, 0x80), [1]],
    ["eight bytes", of(0x09, 1, 2, 3), [4, 5, 6, 7, 8]],
    ["a group", of(0x0b), [0x0c]],
  ])("refuses %s that reaches beyond its message into the one around it", (_name, inner, beyond) => {
    const create = of(0x0a, inner.length, ...inner, ...beyond);
    expect(() => watch(create)).toThrow(
      expect.objectContaining({ code: "malformed", message: expect.stringContaining("longer than what is") }),
    );
  });

  it("refuses what is not UTF-8", () => {
    const user = decoders.of(userAddRequest, "user");
    expect(user(of(10, 4, 0xef, 0xbb, 0xbf, 97)).name).toBe("\u{feff}a");
    const long = Array<number>(40).fill(97);
    for (const bytes of [of(10, 1, 0xff), of(10, 41, ...long, 0xc0)]) {
      expect(() => user(bytes)).toThrow(
        expect.objectContaining({
          code: "malformed",
          message: expect.stringContaining("user: a text is not"),
        }),
      );
    }
  });

  it("refuses what means nothing, by its place", () => {
    const txn = decoders.of(txnRequest, "txn");
    expect(() => txn(of(0x12, 0))).toThrow(/txn\.success\[0\]: none of request_range/);
    expect(() => txn(of(0x12, 4, 0x0a, 2, 0x28, 9))).toThrow(
      expect.objectContaining({ code: "invalidSortOption" }),
    );
    expect(() => range(of(0x12, 3, 0x0a, 2, 0xff))).toThrow(EngineError);
  });

  it("bounds messages within messages", () => {
    let nested = of();
    for (let i = 0; i < 200; i++) {
      const inner = encodeDelimited(4, nested);
      nested = encodeDelimited(2, inner);
    }
    expect(() => decoders.of(txnRequest, "txn")(nested)).toThrow(/nested more than 100 deep/);
  });

  it("never fails but in its own way", () => {
    const txn = decoders.of(txnRequest, "txn");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [txn, watch, put]) {
          try {
            decode(bytes);
          } catch (error) {
            if (!(error instanceof EngineError)) throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** A field that holds bytes of up to 2^14. */
function encodeDelimited(number: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  return Uint8Array.from([number * 8 + 2, (length & 0x7f) | 0x80, length >> 7, ...content]);
}
