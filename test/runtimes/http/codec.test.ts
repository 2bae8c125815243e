import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Compare, RequestOp, TxnRequest } from "../../../src/core/kv/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { portableBase64 } from "../../../src/runtimes/http/index.ts";
import {
  decodeJsonBody,
  JsonDecoders,
  JsonEncoders,
  type Message,
} from "../../../src/runtimes/http/codec/index.ts";
import { bigUint64, message, nested, texts, text } from "../../../src/runtimes/http/codec/schema.ts";
import { memberAddRequest, memberIdRequest } from "../../../src/runtimes/http/etcd/cluster-messages.ts";
import {
  putRequest,
  rangeReply,
  rangeRequest,
  txnRequest,
} from "../../../src/runtimes/http/etcd/kv-messages.ts";

const decoders = new JsonDecoders(portableBase64);
const encoders = new JsonEncoders(portableBase64);

function decode<T>(description: Message<T>, body: string, root = "request"): T {
  return decodeJsonBody(body, decoders.of(description), root);
}

function complaint(description: Message<unknown>, body: string, root: string): string {
  try {
    decode(description, body, root);
  } catch (error) {
    if (error instanceof EngineError) return `${error.code}: ${error.detail}`;
    throw error;
  }
  return "accepted";
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("reading proto3 JSON", () => {
  it("reads both spellings of a name and ignores what it does not know", () => {
    const expected = { key: bytes("a"), prevKv: true, ignoreValue: true };
    expect(decode(putRequest, '{"key":"YQ==","prev_kv":true,"ignore_value":true}')).toEqual(expected);
    expect(decode(putRequest, '{"key":"YQ==","prevKv":true,"ignoreValue":true,"x":{"y":[]}}')).toEqual(
      expected,
    );
  });

  it("takes null, and nothing at all, for absent", () => {
    const empty = { key: new Uint8Array(0) };
    for (const body of ["", "{}", "null", '{"key":null,"value":null,"lease":null}']) {
      expect(decode(putRequest, body)).toEqual(empty);
    }
  });

  it("keeps a key named __proto__ out of the message", () => {
    const read = decode(putRequest, '{"__proto__":{"prevKv":true},"constructor":1,"key":"YQ=="}');
    expect(read.prevKv).toBeUndefined();
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  it("reads 64-bit ids to the last bit, as strings and as bare numbers", () => {
    for (const id of ["18446744073709551615", "9007199254740993", "1", "0"]) {
      expect(decode(memberIdRequest, `{"ID":"${id}"}`)).toEqual({ id: BigInt(id) });
      expect(decode(memberIdRequest, `{"ID":${id}}`)).toEqual({ id: BigInt(id) });
    }
    expect(decode(putRequest, '{"lease":-9223372036854775808}').lease).toBe(-9223372036854775808n);
  });

  it("reads revisions beyond 2^53 as the largest safe integer, so that comparisons hold", () => {
    expect(decode(rangeRequest, '{"revision":"9223372036854775807"}').revision).toBe(Number.MAX_SAFE_INTEGER);
    expect(decode(rangeRequest, '{"revision":-9223372036854775807}').revision).toBe(Number.MIN_SAFE_INTEGER);
  });

  it("reads enums by name and by number", () => {
    for (const sortOrder of ['"DESCEND"', "2"]) {
      expect(decode(rangeRequest, `{"sort_order":${sortOrder}}`).sortOrder).toBe("descend");
    }
  });

  it("reads a compare by its target, with zero for what is not given", () => {
    expect(decode(txnRequest, '{"compare":[{"key":"YQ==","target":"VALUE","version":"4"}]}').compare).toEqual(
      [{ key: bytes("a"), result: "equal", target: "value", value: new Uint8Array(0) }],
    );
  });

  it.each([
    ['{"key":"YQ=="', /^invalidArgument: txn: the body is not JSON: /],
    ["[]", "invalidArgument: txn: not an object"],
    ['{"success":{}}', "invalidArgument: txn.success: not a list"],
    ['{"success":[7]}', "invalidArgument: txn.success[0]: not an object"],
    [
      '{"success":[{}]}',
      "invalidArgument: txn.success[0]: none of request_range, request_put, request_delete_range, request_txn",
    ],
    [
      '{"success":[{"request_put":{},"requestRange":{}}]}',
      "invalidArgument: txn.success[0]: more than one of request_range, request_put, request_delete_range, request_txn",
    ],
    [
      '{"success":[{"request_range":{"key":"YQ=="}},{"request_put":{"key":"*"}}]}',
      "invalidArgument: txn.success[1].request_put.key: not base64",
    ],
    [
      '{"failure":[{"requestTxn":{"compare":[{"key":"YQ=="},{"version":"1e3"}]}}]}',
      "invalidArgument: txn.failure[0].requestTxn.compare[1].version: not a 64-bit integer",
    ],
    [
      '{"compare":[{"result":9}]}',
      "invalidArgument: txn.compare[0].result: not one of EQUAL, GREATER, LESS, NOT_EQUAL",
    ],
    [
      '{"success":[{"request_range":{"sort_order":3}}]}',
      /^invalidSortOption: txn\.success\[0\]\.request_range\.sort_order: /,
    ],
    [
      '{"success":[{"request_put":{"key":7}}]}',
      "invalidArgument: txn.success[0].request_put.key: not a string of base64",
    ],
    [
      '{"success":[{"request_put":{"prev_kv":1}}]}',
      "invalidArgument: txn.success[0].request_put.prev_kv: not true or false",
    ],
    ['{"success":[{"request_put":{"lease":1e300}}]}', /request_put\.lease: (not a 64-bit integer|too large)/],
  ])("names the field that is wrong in %s", (body, expected) => {
    const complained = complaint(txnRequest, body, "txn");
    expect(complained).toMatch(expected);
  });

  it("refuses messages nested without end before the stack is gone", () => {
    const depth = 20_000;
    const body = `${'{"success":[{"request_txn":'.repeat(depth)}{}${"}]}".repeat(depth)}`;
    expect(complaint(txnRequest, body, "txn")).toMatch(/nested more than 100 deep$/);
  });

  it.each([
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999",
    "1.5",
    "1e2",
    "0x10",
    "",
    " 1",
  ])("refuses %j as an int64", (number) => {
    expect(complaint(putRequest, `{"lease":${JSON.stringify(number)}}`, "put")).toBe(
      "invalidArgument: put.lease: not a 64-bit integer",
    );
  });
});

describe("writing proto3 JSON", () => {
  it("leaves zero values out and keeps empty messages in", () => {
    expect(encoders.of(rangeReply)({ header: {}, kvs: [], more: false, count: 0 })).toBe('{"header":{}}');
  });

  it("escapes strings and keeps every item of a list", () => {
    const names: Message<{ names: readonly string[]; name: string }> = message<{
      names: readonly string[];
      name: string;
    }>("Names", () => ({ names: [], name: "" }), { names: texts(1), name: text(2) });
    expect(encoders.of(names)({ names: ["", 'a"\n'], name: "\u2028" })).toBe(
      '{"names":["","a\\"\\n"],"name":"\u2028"}',
    );
  });

  it("writes the right id after another one", () => {
    const inner: Message<{ id: bigint }> = message<{ id: bigint }>("Inner", () => ({ id: 0n }), {
      id: bigUint64(1),
    });
    const outer: Message<{ a: { id: bigint }; b: { id: bigint } }> = message<{
      a: { id: bigint };
      b: { id: bigint };
    }>("Outer", () => ({ a: { id: 0n }, b: { id: 0n } }), {
      a: nested(1, () => inner),
      b: nested(2, () => inner),
    });
    const encode = encoders.of(outer);
    expect(encode({ a: { id: 5n }, b: { id: 6n } })).toBe('{"a":{"id":"5"},"b":{"id":"6"}}');
    expect(encode({ a: { id: 6n }, b: { id: 0n } })).toBe('{"a":{"id":"6"},"b":{}}');
    expect(encode({ a: { id: 0n }, b: { id: 5n } })).toBe('{"a":{},"b":{"id":"5"}}');
  });

  it("writes what it reads: any transaction survives the round trip", () => {
    const { txn } = fc.letrec<{ txn: TxnRequest; op: RequestOp }>((tie) => ({
      txn: fc.record({
        compare: fc.array(anyCompare, { maxLength: 3 }),
        success: fc.array(tie("op"), { maxLength: 3 }),
        failure: fc.array(tie("op"), { maxLength: 3 }),
      }),
      op: fc.oneof(
        { depthSize: "small" },
        fc.record({
          type: fc.constant("put" as const),
          request: fc.record(
            { key, value: key, lease: signed, prevKv: fc.constant(true) },
            { requiredKeys: ["key"] },
          ),
        }),
        fc.record({
          type: fc.constant("range" as const),
          request: fc.record(
            {
              key,
              rangeEnd: key,
              limit: safe,
              revision: safe,
              sortOrder: fc.constantFrom("ascend", "descend"),
            },
            { requiredKeys: ["key"] },
          ),
        }),
        fc.record({ type: fc.constant("deleteRange" as const), request: fc.record({ key }) }),
        fc.record({ type: fc.constant("txn" as const), request: tie("txn") }),
      ),
    }));
    const encode = encoders.of(txnRequest);
    fc.assert(
      fc.property(txn, (request) => {
        expect(decode(txnRequest, encode(request))).toEqual(request);
      }),
    );
  });

  it("writes member requests under etcd's own names", () => {
    expect(encoders.of(memberAddRequest)({ peerUrls: ["http://a:1"], isLearner: true })).toBe(
      '{"peerURLs":["http://a:1"],"isLearner":true}',
    );
  });
});

// Not the zero value, which is left out and read back as absent.
const key = fc.uint8Array({ minLength: 1, maxLength: 40 });
const safe = fc.maxSafeInteger().filter((value) => value !== 0);
const signed = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }).filter((value) => value !== 0n);
const result = fc.constantFrom("equal", "greater", "less", "notEqual");
const anyCompare: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ key, result, target: fc.constant("version" as const), version: safe }),
  fc.record({ key, result, target: fc.constant("create" as const), createRevision: safe }),
  fc.record({ key, result, rangeEnd: key, target: fc.constant("mod" as const), modRevision: safe }),
  fc.record({ key, result, target: fc.constant("value" as const), value: key }),
  fc.record({ key, result, target: fc.constant("lease" as const), lease: signed }),
);
