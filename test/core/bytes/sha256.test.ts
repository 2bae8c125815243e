import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Sha256 } from "../../../src/core/bytes/index.ts";

function hex(...parts: readonly Uint8Array[]): string {
  const hash = new Sha256();
  for (const part of parts) hash.update(part);
  return Buffer.from(hash.digest()).toString("hex");
}

test("FIPS 180-4's examples", () => {
  expect(hex()).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hex(Buffer.from("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  expect(hex(Buffer.from(two))).toBe("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
});

test("whatever the pieces, as Node has it", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (parts) => {
      expect(hex(...parts)).toBe(createHash("sha256").update(Buffer.concat(parts)).digest("hex"));
    }),
    { numRuns: 300 },
  );
  for (let length = 0; length < 200; length++) {
    const bytes = new Uint8Array(length).fill(length);
    expect(hex(bytes)).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
});

test("a digest is taken once", () => {
  const hash = new Sha256().update(new Uint8Array(3));
  hash.digest();
  expect(() => hash.update(new Uint8Array(1))).toThrow(TypeError);
});
