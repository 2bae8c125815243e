import { PREFIX_BYTES } from "./message-reader.ts";

/** Fills in the prefix for which there is room before the message. */
export function framed(bytes: Uint8Array): Uint8Array {
  const length = bytes.length - PREFIX_BYTES;
  bytes[1] = length >>> 24;
  bytes[2] = length >>> 16;
  bytes[3] = length >>> 8;
  bytes[4] = length;
  return bytes;
}
