import { callHeaders, headerBlock } from "../raw-http2.ts";
import type { BlockKind } from "./rules.ts";
import type { HeadKind } from "./steps.ts";

/** The head of a call that is as it should be. */
export const CALL: BlockKind = {
  isHpack: true,
  isRequest: true,
  isTooLarge: false,
  isCall: true,
  areTrailers: false,
  announcedBytes: null,
};
const NOT_HPACK: readonly [Buffer, BlockKind] = [Buffer.alloc(20, 0xff), { ...CALL, isHpack: false }];
const BOMB = Buffer.concat([
  Buffer.from([0x40]),
  headerBlock([["x", "y".repeat(120)]]).subarray(1),
  Buffer.alloc(8000, 0xbe),
]);

/** The head of a request. */
export function head(kind: HeadKind): readonly [Buffer, BlockKind] {
  switch (kind) {
    case "call":
      return [callHeaders("/call"), CALL];
    case "answered":
      return [callHeaders("/answered"), CALL];
    case "announced":
      return [callHeaders("/call", [["content-length", "1000"]]), { ...CALL, announcedBytes: 1000 }];
    case "page": {
      const page = headerBlock([
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
      ]);
      return [page, { ...CALL, isCall: false }];
    }
    case "malformed":
      return [callHeaders("/call", [["connection", "close"]]), { ...CALL, isRequest: false }];
    case "tooLarge":
      return [BOMB, { ...CALL, isRequest: false, isTooLarge: true }];
    case "notHpack":
      return NOT_HPACK;
  }
}

/** What follows one. */
export function trailers(kind: "fit" | "pseudo" | "notHpack"): readonly [Buffer, BlockKind] {
  if (kind === "notHpack") return NOT_HPACK;
  const name = kind === "fit" ? "x" : ":path";
  return [
    headerBlock([[name, "1"]]),
    { ...CALL, isCall: false, isRequest: false, areTrailers: kind === "fit" },
  ];
}

/** With so many octets of padding; null: not in that form. */
export function padded(content: Buffer, padding: number | null): Buffer {
  if (padding === null) return content;
  return Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(padding)]);
}
