import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteReader, ByteWriter } from "../../../src/core/bytes/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";

/** As the format says it: the length of the UTF-8, and the UTF-8. */
function plainly(text: string): Uint8Array {
  return new ByteWriter().bytes(new TextEncoder().encode(text)).finish();
}

const texts = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 200 }),
  fc.constantFrom("", "x".repeat(32), "x".repeat(33), "x".repeat(127), "x".repeat(128), `${"x".repeat(40)}ü`),
);

it("writes every string as length and UTF-8, after what it had half written, and reads it back", () => {
  fc.assert(
    fc.property(fc.array(texts, { maxLength: 5 }), (list) => {
      const writer = new ByteWriter(1);
      for (const text of list) writer.string(text);
      const bytes = writer.finish();
      expect(bytes).toEqual(Uint8Array.from(list.flatMap((text) => [...plainly(text)])));
      const reader = new ByteReader(bytes, "strings");
      expect(list.map(() => reader.string())).toEqual(list);
      reader.end();
    }),
  );
});

it("refuses a string that is not UTF-8, short or long", () => {
  for (const length of [1, 32, 33, 200]) {
    const bytes = new Uint8Array(length).fill(0x61).fill(0xc3, length - 1);
    const reader = new ByteReader(new ByteWriter().bytes(bytes).finish(), "strings");
    expect(() => reader.string()).toThrow(EngineError);
  }
});
