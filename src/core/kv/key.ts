/** Keys from `from` (inclusive) to `to` (exclusive; null: no end). */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

/** Whether a request names one key rather than a range. */
export function isSingleKey(rangeEnd: Uint8Array | undefined): boolean {
  return rangeEnd === undefined || rangeEnd.length === 0;
}

/** The bounds of a request with a non-empty `rangeEnd`; a single zero byte as the end means everything from `key` on. */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const open = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { from: key, to: open ? null : rangeEnd };
}

/** A key with one character (0 to 255) for each byte, which sets can hold and `<` compares bytewise. */
export type BinaryKey = string;

/** Arguments of one call of `fromCharCode`; engines limit them, at far more than this. */
const MAX_ARGUMENTS = 4096;

export function binaryKey(bytes: Uint8Array): BinaryKey {
  let key = "";
  for (let at = 0; at < bytes.length; at += MAX_ARGUMENTS) {
    key += String.fromCharCode(...bytes.subarray(at, at + MAX_ARGUMENTS));
  }
  return key;
}
