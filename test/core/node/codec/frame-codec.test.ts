import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32 } from "../../../../src/core/bytes/index.ts";
import { AssertionError, EngineError } from "../../../../src/core/errors/index.ts";
import { asksForAnswer, decodeFrame, encodeFrame } from "../../../../src/core/node/codec/index.ts";
import type { Frame, FrameBody, FrameHeader } from "../../../../src/core/node/frames.ts";
import type { AppendEntries, Entry } from "../../../../src/core/raft/index.ts";
import * as any from "./arbitraries.ts";

const HEADER: FrameHeader = { clusterId: 7n, groupId: "default", from: 1n, to: 2n };
const PAYLOAD_OFFSET = 12;

function malformed(bytes: Uint8Array, limits?: { readonly maxFrameBytes: number }): string {
  try {
    decodeFrame(bytes, limits);
  } catch (error) {
    if (error instanceof EngineError && error.code === "malformed") return error.message;
    throw error;
  }
  return "accepted";
}

/** Makes length and checksum right again, so that a mutation reaches what lies behind them. */
function reseal(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(4, bytes.length - PAYLOAD_OFFSET, true);
  view.setUint32(8, crc32(bytes.subarray(PAYLOAD_OFFSET)), true);
  return bytes;
}

function append(entries: readonly Entry[], fields: Partial<AppendEntries> = {}): Uint8Array {
  return encodeFrame(HEADER, {
    type: "raft",
    message: {
      type: "AppendEntries",
      from: 1n,
      to: 2n,
      term: 3,
      prevLogIndex: 10,
      prevLogTerm: 2,
      leaderCommit: 10,
      entries,
      ...fields,
    },
  });
}

const noop = (index: number, term: number): Entry => ({ kind: "noop", index, term });

describe("frame", () => {
  it("reads back what it wrote", () => {
    fc.assert(
      fc.property(any.frame, (frame: Frame) => {
        expect(decodeFrame(encodeFrame(frame.header, frame.body))).toEqual(frame);
      }),
      { numRuns: 1000 },
    );
  });

  it("refuses every truncation", () => {
    fc.assert(
      fc.property(any.frame, fc.nat(), (frame, cut) => {
        const bytes = encodeFrame(frame.header, frame.body);
        expect(malformed(bytes.subarray(0, cut % bytes.length))).not.toBe("accepted");
      }),
      { numRuns: 500 },
    );
  });

  it("refuses every flipped bit", () => {
    fc.assert(
      fc.property(any.frame, fc.nat(), fc.nat(7), (frame, at, bit) => {
        const bytes = encodeFrame(frame.header, frame.body).slice();
        bytes[at % bytes.length]! ^= 1 << bit;
        expect(malformed(bytes)).not.toBe("accepted");
      }),
      { numRuns: 500 },
    );
  });

  it("answers a forged payload with a frame or with malformed, and shorter ones too", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(any.frame, mutations, fc.nat(), (frame, changes, cut) => {
        const bytes = encodeFrame(frame.header, frame.body).slice();
        const size = bytes.length - PAYLOAD_OFFSET;
        for (const [at, byte] of changes) bytes[PAYLOAD_OFFSET + (at % size)] = byte;
        malformed(reseal(bytes));
        malformed(reseal(bytes.slice(0, PAYLOAD_OFFSET + (cut % size))));
      }),
      { numRuns: 2000 },
    );
  });

  it("survives arbitrary payloads", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: PAYLOAD_OFFSET, maxLength: 300 }), (bytes) => {
        bytes.set([0x44, 0x45, 0x46, 1]);
        malformed(reseal(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it("names both versions of a frame from another build", () => {
    const bytes = append([]).slice();
    bytes[3] = 2;
    expect(malformed(bytes)).toMatch(/version 2.*version 1/);
  });

  it("refuses what is larger than the limit before it looks at it", () => {
    const bytes = append([]);
    expect(malformed(bytes, { maxFrameBytes: bytes.length })).toBe("accepted");
    expect(malformed(bytes, { maxFrameBytes: bytes.length - 1 })).toMatch(/the limit is/);
  });

  it("refuses something that is no frame, and bytes after a frame", () => {
    expect(malformed(new Uint8Array(64))).toMatch(/not a frame/);
    expect(malformed(Uint8Array.of(...append([]), 0))).toMatch(/promises/);
    expect(malformed(reseal(Uint8Array.of(...append([]), 0)))).toMatch(/too many/);
  });

  it("refuses entries with a gap, a repetition, a falling term or a term past the sender's", () => {
    expect(malformed(append([noop(11, 2), noop(12, 3)]))).toBe("accepted");
    expect(malformed(append([noop(12, 2)]))).toMatch(/entry 12 stands where 11 should/);
    expect(malformed(append([noop(11, 2), noop(13, 2)]))).toMatch(/entry 13 stands where 12 should/);
    expect(malformed(append([noop(11, 2), noop(11, 2)]))).toMatch(/entry 11 stands where 12 should/);
    expect(malformed(append([noop(11, 3), noop(12, 2)]))).toMatch(/term 2 after term 3/);
    expect(malformed(append([noop(11, 1)]))).toMatch(/term 1 after term 2/);
    expect(malformed(append([noop(11, 4)]))).toMatch(/past the sender's term 3/);
  });

  it("refuses a count of entries that cannot be there", () => {
    const bytes = append([]).slice();
    // The count is the last byte of an AppendEntries without entries.
    bytes[bytes.length - 1] = 0x7f;
    expect(malformed(reseal(bytes))).toMatch(/a count of 127 exceeds what follows/);
  });

  it("refuses a snapshot chunk that reaches past the snapshot's end", () => {
    const chunk = (offset: number, size: number): Uint8Array =>
      encodeFrame(HEADER, {
        type: "snapshotChunk",
        term: 1,
        transferId: 1n,
        meta: {
          index: 1,
          term: 1,
          config: { voters: [1n], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
        },
        context: new Uint8Array(),
        size,
        checksum: 0,
        offset,
        data: new Uint8Array(10),
      });
    expect(malformed(chunk(90, 100))).toBe("accepted");
    expect(malformed(chunk(91, 100))).toMatch(/bytes 91 \+ 10 of a snapshot of 100/);
    expect(malformed(chunk(Number.MAX_SAFE_INTEGER, 100))).not.toBe("accepted");
  });

  it("takes a message's addresses from the frame, and will not put a message in a foreign frame", () => {
    const message = { type: "TimeoutNow", from: 1n, to: 2n, term: 1 } as const;
    const bytes = encodeFrame(HEADER, { type: "raft", message });
    expect(decodeFrame(bytes).body).toEqual({ type: "raft", message });
    expect(() => encodeFrame({ ...HEADER, from: 3n }, { type: "raft", message })).toThrow(AssertionError);
    expect(() => encodeFrame({ ...HEADER, to: 3n }, { type: "raft", message })).toThrow(AssertionError);
  });

  it("keeps no view of a received buffer in an entry", () => {
    const frame = append([{ kind: "command", index: 11, term: 3, data: new Uint8Array(300) }]);
    const received = new Uint8Array(1 << 20);
    received.set(frame, 1000);
    const decoded = decodeFrame(received.subarray(1000, 1000 + frame.length));
    if (decoded.body.type !== "raft" || decoded.body.message.type !== "AppendEntries")
      throw new Error("another frame");
    const entry = decoded.body.message.entries[0];
    if (entry?.kind !== "command") throw new Error("another entry");
    expect(entry.data.buffer.byteLength).toBeLessThan(1000);
  });

  it("tells which frames ask for an answer, and has an opinion on any bytes", () => {
    const proposal = { proposer: 1n, sequence: 1 };
    const asking: FrameBody[] = [
      {
        type: "raft",
        message: { type: "Heartbeat", from: 1n, to: 2n, term: 1, leaderCommit: 1, round: 1, quiesce: false },
      },
      {
        type: "raft",
        message: { type: "PreVote", from: 1n, to: 2n, term: 1, lastLogIndex: 1, lastLogTerm: 1 },
      },
      {
        type: "raft",
        message: { type: "ReadIndexRequest", from: 1n, to: 2n, term: 1, readId: 5n, lease: false },
      },
      { type: "forward", term: 1, id: proposal, payload: { type: "command", command: new Uint8Array(1) } },
    ];
    const telling: FrameBody[] = [
      { type: "raft", message: { type: "HeartbeatResult", from: 1n, to: 2n, term: 1, round: 1 } },
      { type: "raft", message: { type: "TimeoutNow", from: 1n, to: 2n, term: 1 } },
      { type: "forwardRejected", id: proposal, code: "notLeader", detail: "", retryAfterMs: 0 },
    ];
    for (const body of asking) expect([body, asksForAnswer(encodeFrame(HEADER, body))]).toEqual([body, true]);
    for (const body of telling)
      expect([body, asksForAnswer(encodeFrame(HEADER, body))]).toEqual([body, false]);
    fc.assert(fc.property(fc.uint8Array(), (bytes) => typeof asksForAnswer(bytes) === "boolean"));
  });
});
