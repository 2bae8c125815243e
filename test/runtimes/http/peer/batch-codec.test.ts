import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/core/errors/index.ts";
import { ByteWriter } from "../../../../src/core/bytes/index.ts";
import {
  type BatchHeader,
  batchSizeBound,
  decodeBatch,
  decodeMembersReply,
  decodeMembersRequest,
  encodeBatch,
  encodeMembersReply,
  encodeMembersRequest,
  MAC_BYTES,
} from "../../../../src/runtimes/http/peer/index.ts";

const id = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n });
const header: fc.Arbitrary<BatchHeader> = fc.record({
  clusterId: id,
  groupId: fc.string({ maxLength: 30, unit: "grapheme" }),
  from: id,
  to: id,
  session: id,
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
});
const frames = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 10 });

const sample = encodeBatch({ clusterId: 1n, groupId: "g", from: 2n, to: 3n, session: 4n, sequence: 5 }, [
  new Uint8Array([1, 2, 3]),
  new Uint8Array(0),
  new Uint8Array(300),
]);

/** Whatever comes, the decoder gives a value or a `malformed`. */
function refusesOrReads(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "malformed") throw error;
    return false;
  }
}

describe("batch codec", () => {
  it("reads back what it wrote, within the size it promised", () => {
    fc.assert(
      fc.property(header, frames, (given, content) => {
        const bytes = encodeBatch(given, content);
        expect(bytes.length).toBeLessThanOrEqual(batchSizeBound(content));
        const batch = decodeBatch(bytes);
        expect(batch.header).toEqual(given);
        expect(batch.frames.map((frame) => [...frame])).toEqual(content.map((frame) => [...frame]));
      }),
    );
  });

  it("refuses every truncation and every byte too many", () => {
    for (let length = 0; length < sample.length; length++) {
      expect(refusesOrReads(decodeBatch, sample.subarray(0, length))).toBe(false);
    }
    const longer = new Uint8Array(sample.length + 1);
    longer.set(sample);
    expect(refusesOrReads(decodeBatch, longer)).toBe(false);
  });

  it("survives any single changed byte and any bytes at all", () => {
    fc.assert(
      fc.property(fc.nat(sample.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = sample.slice();
        changed[at] = value;
        refusesOrReads(decodeBatch, changed);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !refusesOrReads(decodeBatch, bytes)));
  });

  it.each([
    ["another magic", 0, 0, /not a message between members/],
    ["another version", 4, 9, /version 9 is not supported/],
    ["another kind", 5, 2, /its kind is 2/],
  ])("says what is wrong with %s", (_name, at, value, message) => {
    const changed = sample.slice();
    changed[at] = value;
    expect(() => decodeBatch(changed)).toThrow(message);
  });

  it("refuses a batch without frames, numbered 0, or claiming more frames than it has bytes", () => {
    const head: BatchHeader = { clusterId: 1n, groupId: "g", from: 2n, to: 3n, session: 4n, sequence: 1 };
    expect(() => decodeBatch(encodeBatch(head, []))).toThrow(/no frame/);
    expect(() => decodeBatch(encodeBatch({ ...head, sequence: 0 }, [new Uint8Array(1)]))).toThrow(
      /start at 1/,
    );
    const writer = new ByteWriter().u32(0x676e4564).u8(1).u8(1);
    writer.u64(1n).string("g").u64(2n).u64(3n).u64(4n).uint(1);
    const huge = writer
      .uint(2 ** 40)
      .raw(new Uint8Array(MAC_BYTES))
      .finish();
    expect(() => decodeBatch(huge)).toThrow(/count of 1099511627776 exceeds/);
  });
});

describe("members codec", () => {
  const member = fc.record({
    id,
    name: fc.string({ maxLength: 20 }),
    peerUrls: fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
    clientUrls: fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
    isLearner: fc.boolean(),
  });
  const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 });

  it("reads back requests and replies", () => {
    fc.assert(
      fc.property(nonce, id, fc.array(member, { maxLength: 5 }), (given, clusterId, members) => {
        expect(decodeMembersRequest(encodeMembersRequest({ groupId: "g", nonce: given }))).toEqual({
          groupId: "g",
          nonce: given,
        });
        const reply = { groupId: "g", nonce: given, clusterId, members };
        expect(decodeMembersReply(encodeMembersReply(reply))).toEqual(reply);
      }),
    );
  });

  it("refuses truncations and survives any bytes", () => {
    const members = [{ id: 1n, name: "a", peerUrls: ["u"], clientUrls: [], isLearner: true }];
    const bytes = encodeMembersReply({ groupId: "g", nonce: new Uint8Array(16), clusterId: 1n, members });
    for (let length = 0; length < bytes.length; length++) {
      expect(refusesOrReads(decodeMembersReply, bytes.subarray(0, length))).toBe(false);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        refusesOrReads(decodeMembersReply, any);
        refusesOrReads(decodeMembersRequest, any);
      }),
    );
  });
});
