/** Keys and values as callers have them: bytes, or text that stands for its UTF-8. */
export type Bytes = string | Uint8Array;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function toBytes(value: Bytes): Uint8Array {
  return typeof value === "string" ? ENCODER.encode(value) : value;
}

/** Throws `TypeError` for bytes that are not UTF-8. */
export function toText(value: Uint8Array): string {
  return DECODER.decode(value);
}

const ZERO = Uint8Array.of(0);

/** The range of all keys that begin with `prefix`, in etcd's terms; an empty prefix means every key. */
export function prefixRange(prefix: Uint8Array): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  if (prefix.length === 0) return { key: ZERO, rangeEnd: ZERO };
  for (let last = prefix.length - 1; last >= 0; last--) {
    if (prefix[last]! === 0xff) continue;
    // Not `slice`: on a Node Buffer that would be the caller's own memory.
    const rangeEnd = new Uint8Array(last + 1);
    rangeEnd.set(prefix.subarray(0, last + 1));
    rangeEnd[last]! += 1;
    return { key: prefix, rangeEnd };
  }
  // Nothing sorts behind a prefix of all 0xff: a zero byte as the end means "no end".
  return { key: prefix, rangeEnd: ZERO };
}
