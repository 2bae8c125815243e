import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError, EngineError } from "../../../src/core/errors/index.ts";
import { decodeCommand, encodeCommand } from "../../../src/core/kv/index.ts";
import type { KvCommand, RequestOp, TxnRequest } from "../../../src/core/kv/index.ts";
import { commandsOfSomebody } from "./auth/arbitrary-commands.ts";
import { alarmCommands, commands as mostCommands, operations } from "./arbitraries.ts";
import { bytes, codeOf, putRequest } from "./support.ts";

const commands = fc.oneof({ weight: 9, arbitrary: mostCommands }, alarmCommands, {
  weight: 5,
  arbitrary: commandsOfSomebody(mostCommands),
});

const EXAMPLE: KvCommand = {
  type: "txn",
  request: {
    compare: [
      { key: bytes("a"), target: "value", result: "less", value: bytes("1") },
      { key: bytes("a"), rangeEnd: bytes("b"), target: "lease", result: "notEqual", lease: -5n },
    ],
    success: [
      { type: "put", request: putRequest("a", "value", { lease: 77n, prevKv: true }) },
      { type: "range", request: { key: bytes("a"), rangeEnd: bytes("c"), limit: 10, maxCreateRevision: -3 } },
    ],
    failure: [
      { type: "txn", request: { compare: [], success: [], failure: [] } },
      { type: "deleteRange", request: { key: bytes("a"), rangeEnd: bytes("c") } },
    ],
  },
};

/** Some whole command, and then anything that could be done to its bytes. */
const damaged = fc
  .tuple(commands, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat())
  .map(([command, edits, cut]) => {
    const encoded = encodeCommand(command);
    for (const [at, byte] of edits) encoded[at % encoded.length] = byte;
    return cut % 3 === 0 ? encoded.subarray(0, cut % encoded.length) : encoded;
  });

/** Transactions inside each other, `depth` of them, as bytes. */
function nested(depth: number): Uint8Array {
  const opening = Array.from({ length: depth }, () => [3, 0, 1]).flat();
  // The innermost one has no operation; then every failure list is empty.
  opening[opening.length - 1] = 0;
  return Uint8Array.from([1, ...opening, ...Array.from({ length: depth }, () => 0)]);
}

function decodes(input: Uint8Array): "malformed" | "whole" {
  try {
    decodeCommand(input);
    return "whole";
  } catch (error) {
    if (error instanceof EngineError && error.code === "malformed") return "malformed";
    throw error;
  }
}

describe("encodeCommand and decodeCommand", () => {
  it("give back every command", () => {
    fc.assert(
      fc.property(commands, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
    );
  });

  it("give back every operation inside a transaction", () => {
    fc.assert(
      fc.property(fc.array(operations), fc.array(operations), (success, failure) => {
        const command: KvCommand = { type: "txn", request: { compare: [], success, failure } };
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
    );
  });

  it("write what is left out and what is zero the same way", () => {
    const short: RequestOp = { type: "range", request: { key: bytes("a") } };
    const long: RequestOp = {
      type: "range",
      request: { key: bytes("a"), rangeEnd: bytes(""), limit: 0, sortOrder: "none", sortTarget: "key" },
    };
    const around = (op: RequestOp): KvCommand => ({
      type: "txn",
      request: { compare: [], success: [op], failure: [] },
    });
    expect(encodeCommand(around(short))).toEqual(encodeCommand(around(long)));
    expect(encodeCommand({ type: "put", request: { key: bytes("a") } })).toEqual(
      encodeCommand({ type: "put", request: putRequest("a", "", { lease: 0n, prevKv: false }) }),
    );
  });

  it("keep numbers that only 64 bits could hold", () => {
    const command: KvCommand = { type: "compact", request: { revision: 2 ** 62 } };
    expect(decodeCommand(encodeCommand(command))).toEqual(command);
    const lease = { ...putRequest("a"), lease: -(2n ** 63n) };
    expect(decodeCommand(encodeCommand({ type: "put", request: lease }))).toMatchObject({ request: lease });
  });

  it("has a layout that does not change: logs written with it must stay readable", () => {
    expect([...encodeCommand({ type: "put", request: putRequest("ab", "c", { prevKv: true }) })]).toEqual([
      1, 1, 1, 2, 0x61, 0x62, 1, 0x63,
    ]);
    const hex = [...encodeCommand(EXAMPLE)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(hex).toMatchInlineSnapshot(
      `"01030202030161000131030401610162fbffffffffffffff02010901610576616c75654d00000000000000050c0101610163000000000000244000000000000008c000000203000000020201610163"`,
    );
  });

  it("refuses to encode what was never validated", () => {
    expect(() => encodeCommand({ type: "put", request: { key: bytes("") } })).toThrow(AssertionError);
    const odd = { type: "range", request: { key: bytes("a"), sortOrder: "odd" } } as unknown as RequestOp;
    const request: TxnRequest = { compare: [], success: [odd], failure: [] };
    expect(codeOf(() => encodeCommand({ type: "txn", request }))).toBe("invalidArgument");
  });
});

describe("hostile bytes", () => {
  it("are refused wherever a command breaks off", () => {
    const whole = encodeCommand(EXAMPLE);
    for (let length = 0; length < whole.length; length++) {
      expect(decodes(whole.subarray(0, length))).toBe("malformed");
    }
    expect(decodes(whole)).toBe("whole");
  });

  it("are refused, or are another command, but do nothing else", () => {
    fc.assert(
      fc.property(damaged, (input) => {
        expect(["malformed", "whole"]).toContain(decodes(input));
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        expect(["malformed", "whole"]).toContain(decodes(Uint8Array.from([1, ...noise])));
      }),
      { numRuns: 2000 },
    );
  });

  const notANumber = [...new Uint8Array(new Float64Array([0.5]).buffer)];

  it.each<[string, number[]]>([
    ["nothing", []],
    ["version 0", [0, 1, 0, 1, 0x61, 0]],
    ["a later version", [2, 1, 0, 1, 0x61, 0]],
    ["an unknown operation", [1, 9, 0, 1, 0x61, 0]],
    ["a range, which is not for the log", [1, 5, 0, 0, 1, 0x61, 0, 0]],
    ["bytes after the end", [1, 1, 0, 1, 0x61, 0, 0]],
    ["an unknown flag", [1, 1, 16, 1, 0x61, 0]],
    ["a lease both given and ignored", [1, 1, 12, 1, 0x61, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
    ["an empty key", [1, 1, 0, 0, 0]],
    ["a key longer than what follows", [1, 1, 0, 200, 0x61, 0]],
    ["a length of 2^53", [1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]],
    ["more compares than can follow", [1, 3, 200, 1, 0, 0]],
    ["more operations than can follow", [1, 3, 0, 0xff, 0xff, 0xff, 0x7f, 0]],
    ["an unknown compare result", [1, 3, 1, 4, 0, 1, 0x61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["an unknown compare target", [1, 3, 1, 0, 5, 1, 0x61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["an unknown sort order", [1, 3, 0, 1, 5, 0, 0, 1, 0x61, 3, 0, 0]],
    ["an unknown action on an alarm", [1, 10, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
    ["an unknown alarm", [1, 10, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0]],
    ["a compact revision that is not whole", [1, 4, ...notANumber]],
    ["a compact revision that is not a number", [1, 4, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]],
  ])("%s", (_name, input) => {
    expect(decodes(Uint8Array.from(input))).toBe("malformed");
  });

  it("cannot nest transactions without end", () => {
    expect(decodes(nested(1))).toBe("whole");
    expect(decodes(nested(128))).toBe("whole");
    expect(decodes(nested(129))).toBe("malformed");
    expect(decodes(nested(300_000))).toBe("malformed");
  });
});
