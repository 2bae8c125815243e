import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../../src/core/bytes/index.ts";
import { portableBase64, unpaddedLength } from "../../../src/runtimes/http/index.ts";

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  // Around the pieces in which long values are encoded.
  fc.integer({ min: 12_280, max: 12_300 }).map((length) => new Uint8Array(length).map((_, i) => i * 31)),
);

function decodesTo(text: string, bytes: Uint8Array): boolean {
  const decoded = portableBase64.decode(text);
  return decoded !== null && equalBytes(decoded, bytes);
}

describe("portable base64", () => {
  it("encodes as Node's Buffer does", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(portableBase64.encode(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      }),
    );
  });

  it("decodes what it encoded: padded or not, standard or url-safe", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        for (const encoding of ["base64", "base64url"] as const) {
          const text = Buffer.from(bytes).toString(encoding);
          const padded = text.padEnd(Math.ceil(text.length / 4) * 4, "=");
          expect(decodesTo(text, bytes)).toBe(true);
          expect(decodesTo(padded, bytes)).toBe(true);
        }
      }),
    );
  });

  it("decodes long text as well", () => {
    const bytes = new Uint8Array(100_000).map((_, i) => i * 7 + (i >> 8));
    expect(portableBase64.encode(bytes)).toBe(Buffer.from(bytes).toString("base64"));
    expect(decodesTo(portableBase64.encode(bytes), bytes)).toBe(true);
  });

  it.each([
    "Y",
    "=",
    "==",
    "====",
    "Y===",
    "YQ=",
    "YQ===",
    "Y=Q=",
    "YQ==YQ==",
    " YQ==",
    "YQ==\n",
    "Y*==",
    "YQ\u00e9=",
    "YQ\u0141=",
    "Y\u{1f600}=",
  ])("refuses %j", (text) => {
    expect(portableBase64.decode(text)).toBeNull();
  });

  it("knows how many characters carry data", () => {
    expect(["", "YQ", "YQ==", "YWI=", "YWJj"].map(unpaddedLength)).toEqual([0, 2, 2, 3, 4]);
  });
});
