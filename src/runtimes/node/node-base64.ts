import { type Base64, unpaddedLength } from "../http/index.ts";

/** Base64 by Buffer, several times as quick as the portable one on values. */
export const nodeBase64: Base64 = {
  encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
  decode(text) {
    const length = unpaddedLength(text);
    if (length === null) return null;
    const bytes = Buffer.from(text, "base64");
    // Buffer skips what is no base64, and so shows it by giving fewer bytes.
    if (bytes.length !== (length * 3) >> 2) return null;
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  },
};
