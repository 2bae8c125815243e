import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { JsonSplitter } from "../../../src/runtimes/http/codec/index.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function split(chunks: readonly Uint8Array[], maxBytes = 1000): string[] {
  const splitter = new JsonSplitter(maxBytes);
  const texts = chunks.flatMap((chunk) => [...splitter.push(chunk)]);
  splitter.end();
  return texts;
}

function refusal(text: string, maxBytes?: number): string {
  try {
    split([bytes(text)], maxBytes);
  } catch (error) {
    if (error instanceof EngineError) return `${error.code}: ${error.detail}`;
    throw error;
  }
  return "none";
}

describe("a stream of JSON objects", () => {
  it("comes apart into its objects, however it was cut and whatever is between them", () => {
    const objects = fc.array(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 3 })), {
      maxLength: 5,
    });
    const spaces = fc.array(fc.constantFrom("", "\n", " ", "\r\n\t"), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(objects, spaces, fc.integer({ min: 1, max: 20 }), (values, between, size) => {
        const texts = values.map((value) => JSON.stringify(value));
        const whole = bytes(between[5] + texts.map((text, i) => text + between[i]).join(""));
        const chunks: Uint8Array[] = [];
        for (let at = 0; at < whole.length; at += size) chunks.push(whole.slice(at, at + size));
        expect(split(chunks, 100_000)).toEqual(texts);
      }),
    );
  });

  it("is refused where it is none", () => {
    expect(refusal("")).toBe("none");
    expect(refusal(" \n ")).toBe("none");
    expect(refusal("{}x")).toBe("invalidArgument: the body is not a sequence of JSON objects");
    expect(refusal("[]")).toBe("invalidArgument: the body is not a sequence of JSON objects");
    expect(refusal('{"a":"}')).toBe("invalidArgument: the body breaks off in an object");
    expect(refusal('{"a":"\\"}')).toBe("invalidArgument: the body breaks off in an object");
  });

  it("may be without end, but none of its objects", () => {
    expect(refusal("{ }".repeat(1000), 3)).toBe("none");
    expect(refusal("{  }", 3)).toBe("requestTooLarge: a message has more than 3 bytes");
    expect(refusal("{   ", 3)).toBe("requestTooLarge: a message has more than 3 bytes");
  });
});
