/*
 * Inside the store a key is a "binary string": one character (0 to 255) for each byte. JavaScript then keeps it
 * at one byte a character, compares it bytewise with `<`, and needs no object beside it.
 */

/** A key with one character per byte. */
export type BinaryKey = string;

/** Arguments of one `fromCharCode` call; engines limit them, at far more than this. */
const SLICE = 4096;

export function keyFromBytes(bytes: Uint8Array): BinaryKey {
  if (bytes.length <= SLICE) return fromCharCodes(bytes);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += SLICE) parts.push(fromCharCodes(bytes.subarray(at, at + SLICE)));
  return parts.join("");
}

export function keyToBytes(key: BinaryKey): Uint8Array {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) bytes[i] = key.charCodeAt(i);
  return bytes;
}

function fromCharCodes(bytes: Uint8Array): string {
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

/** Keys from `from` (inclusive) to `to` (exclusive; null: no end). */
export interface KeyRange {
  readonly from: BinaryKey;
  readonly to: BinaryKey | null;
}

/** Whether a request names one key rather than a range. */
export function isSingleKey(rangeEnd: Uint8Array | undefined): boolean {
  return rangeEnd === undefined || rangeEnd.length === 0;
}

/** The bounds of a request with a non-empty `rangeEnd`; a single zero byte as the end means everything from `key` on. */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const open = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { from: keyFromBytes(key), to: open ? null : keyFromBytes(rangeEnd) };
}
