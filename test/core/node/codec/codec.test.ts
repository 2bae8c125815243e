import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteReader, ByteWriter } from "../../../../src/core/bytes/index.ts";
import { EngineError } from "../../../../src/core/errors/index.ts";
import {
  decodeClusterConfig,
  decodeConfChangeContext,
  decodeEntry,
  decodeHardState,
  decodeMembers,
  decodeProposal,
  decodeSnapshotMeta,
  encodeClusterConfig,
  encodeConfChangeContext,
  encodeEntry,
  encodeHardState,
  encodeMembers,
  encodeProposal,
  encodeSnapshotMeta,
} from "../../../../src/core/node/codec/index.ts";
import type { ClusterConfig } from "../../../../src/core/raft/index.ts";
import * as any from "./arbitraries.ts";

interface Codec {
  readonly name: string;
  readonly values: fc.Arbitrary<unknown>;
  readonly encode: (value: never) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}

/** A codec of writer and reader, as one of bytes. */
function streamed<T>(
  name: string,
  values: fc.Arbitrary<T>,
  write: (writer: ByteWriter, value: T) => void,
  read: (reader: ByteReader) => T,
): Codec {
  return {
    name,
    values,
    encode: (value: T) => {
      const writer = new ByteWriter(1);
      write(writer, value);
      return writer.finish();
    },
    decode: (bytes) => {
      const reader = new ByteReader(bytes, name);
      const value = read(reader);
      reader.end();
      return value;
    },
  };
}

const CODECS: readonly Codec[] = [
  streamed("entry", any.entry, encodeEntry, decodeEntry),
  streamed("hard state", any.hardState, encodeHardState, decodeHardState),
  streamed("cluster config", any.clusterConfig, encodeClusterConfig, decodeClusterConfig),
  streamed("snapshot meta", any.snapshotMeta, encodeSnapshotMeta, decodeSnapshotMeta),
  { name: "proposal", values: any.proposal, encode: encodeProposal, decode: decodeProposal },
  { name: "members", values: any.members, encode: encodeMembers, decode: decodeMembers },
  {
    name: "membership change context",
    values: any.confChangeContext,
    encode: encodeConfChangeContext,
    decode: decodeConfChangeContext,
  },
];

/** What decoding does: the value, or null for `malformed`; anything else thrown is a failure of the test. */
function tryDecode(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof EngineError && error.code === "malformed") return null;
    throw error;
  }
}

describe.each(CODECS)("$name", ({ values, encode, decode }) => {
  it("reads back what it wrote", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value as never))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it("answers any mutation with a value or with malformed", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(values, mutations, (value, changes) => {
        const bytes = encode(value as never).slice();
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        tryDecode(decode, bytes);
      }),
      { numRuns: 500 },
    );
  });

  it("survives arbitrary bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void tryDecode(decode, bytes)),
      { numRuns: 500 },
    );
  });
});

describe.each(CODECS.filter(({ name }) => name !== "proposal"))("$name", ({ values, encode, decode }) => {
  it("refuses every truncation and every trailing byte", () => {
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = encode(value as never);
        expect(tryDecode(decode, bytes.subarray(0, cut % bytes.length))).toBeNull();
        const longer = new Uint8Array(bytes.length + 1);
        longer.set(bytes);
        expect(tryDecode(decode, longer)).toBeNull();
      }),
      { numRuns: 300 },
    );
  });
});

describe("versions", () => {
  it("names both versions of an entry from another format", () => {
    const bytes = Uint8Array.of((2 << 4) | 1, 1, 1, 0);
    expect(() => decodeEntry(new ByteReader(bytes, "entry"))).toThrow(/version 2.*version 1/);
  });

  it("names both versions of a proposal from another format", () => {
    const bytes = encodeProposal({
      id: { proposer: 1n, sequence: 1 },
      timeMs: 0,
      body: { type: "command", command: Uint8Array.of(1) },
    });
    bytes[0] = 9;
    expect(() => decodeProposal(bytes)).toThrow(/version 9.*version 1/);
  });
});

describe("what types promise and bytes do not", () => {
  const config: ClusterConfig = {
    voters: [1n, 2n],
    votersOutgoing: [1n, 3n],
    learners: [4n],
    learnersNext: [3n],
    autoLeave: true,
  };

  it.each<[string, Partial<ClusterConfig>]>([
    ["voters out of order", { voters: [2n, 1n] }],
    ["a voter twice", { voters: [1n, 1n] }],
    ["a member 0", { voters: [0n] }],
    ["a learner that votes", { learners: [2n] }],
    ["a learner that still votes in the outgoing half", { learners: [3n] }],
    ["a next learner that is no outgoing voter", { learnersNext: [2n] }],
  ])("refuses a configuration with %s", (_, change) => {
    const writer = new ByteWriter();
    encodeClusterConfig(writer, { ...config, ...change });
    expect(
      tryDecode((bytes) => decodeClusterConfig(new ByteReader(bytes, "config")), writer.finish()),
    ).toBeNull();
  });

  it("refuses an index past the safe integers", () => {
    const bytes = Uint8Array.of((1 << 4) | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1);
    expect(() => decodeEntry(new ByteReader(bytes, "entry"))).toThrow(/number is too large/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("refuses a proposal made at %d", (timeMs) => {
    const bytes = encodeProposal({
      id: { proposer: 1n, sequence: 1 },
      timeMs,
      body: { type: "command", command: new Uint8Array() },
    });
    expect(tryDecode(decodeProposal, bytes)).toBeNull();
  });

  it("refuses a member listed twice", () => {
    const member = { id: 1n, name: "", peerUrls: [], clientUrls: [], isLearner: false };
    expect(tryDecode(decodeMembers, encodeMembers([member, member]))).toBeNull();
  });
});
