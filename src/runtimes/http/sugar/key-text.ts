/*
 * Keys are any bytes; URLs and JSON strings are not. In a URL, a byte is itself or `%XX`. In JSON, a key that is
 * UTF-8 is a string, and one that is not is base64 under another name.
 */

const ENCODER = new TextEncoder();
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes that a piece of a URL stands for, or null when a `%` is not followed by two hex digits.
 *
 * @param form also read `+` as a space, which is how query strings write one.
 */
export function percentDecode(text: string, form: boolean): Uint8Array | null {
  const bytes = ENCODER.encode(text);
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === PERCENT) {
      const high = hexDigit(bytes[i + 1]);
      const low = hexDigit(bytes[i + 2]);
      if (high === -1 || low === -1) return null;
      bytes[at++] = high * 16 + low;
      i += 2;
    } else {
      bytes[at++] = form && byte === PLUS ? SPACE : byte;
    }
  }
  return bytes.subarray(0, at);
}

/** The other way round, for a query string or a path: everything but unreserved characters and `/` is escaped. */
export function percentEncode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~/-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** The bytes as a string, or null when they are not UTF-8. */
export function utf8(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * The exclusive end of all keys with a prefix, as a range request takes it: the prefix with its last byte that can
 * be raised raised, or `"\0"`, which stands for the end of the keyspace, where there is none.
 */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! === 0xff) continue;
    const end = prefix.slice(0, i + 1);
    end[i]!++;
    return end;
  }
  return new Uint8Array(1);
}

/** Where `needle` first occurs in `bytes` at `from` or later, or -1. */
export function indexOfBytes(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  const last = bytes.length - needle.length;
  for (let start = from; start <= last; start++) {
    let i = 0;
    while (i < needle.length && bytes[start + i] === needle[i]) i++;
    if (i === needle.length) return start;
  }
  return -1;
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
