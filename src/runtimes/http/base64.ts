/**
 * Bytes to padded standard base64 and back: what proto3 JSON writes for bytes. A runtime that has something
 * faster than the portable one (Node's Buffer is) hands it to the app.
 */
export interface Base64 {
  encode(bytes: Uint8Array): string;
  /**
   * Standard or url-safe, padded or not (protojson takes all four), and nothing else: no spaces, no line ends.
   * Null for anything that is not base64. The result is the caller's to keep.
   */
  decode(text: string): Uint8Array | null;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const INVALID = 0x80;
const PAD = 0x3d;

const SEXTET_OF_CODE: Uint8Array = sextetTable();
const CODE_OF_SEXTET: Uint8Array = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
/** Two characters for every 12 bits: quickest for keys, which are short. */
const PAIRS: readonly string[] = Array.from(
  { length: 4096 },
  (_, bits) => ALPHABET.charAt(bits >> 6) + ALPHABET.charAt(bits & 63),
);
const ASCII = new TextDecoder("latin1");

/** Up to here joining pairs beats a pass through the scratch buffer (measured on V8). */
const SHORT_BYTES = 32;
/** A multiple of 3, so that pieces join without padding between them. Bounds the scratch buffer. */
const PIECE_BYTES = 12_288;
const SCRATCH = new Uint8Array((PIECE_BYTES / 3) * 4);

/** Base64 with nothing but the language: correct everywhere, quick enough for keys. */
export const portableBase64: Base64 = {
  encode(bytes) {
    if (bytes.length <= SHORT_BYTES) return encodeShort(bytes);
    if (bytes.length <= PIECE_BYTES) return encodePiece(bytes);
    let text = "";
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      text += encodePiece(bytes.subarray(from, from + PIECE_BYTES));
    }
    return text;
  },

  decode(text) {
    const length = unpaddedLength(text);
    if (length === null) return null;
    const bytes = new Uint8Array((length * 3) >> 2);
    let seen = 0;
    let at = 0;
    let i = 0;
    for (; i + 3 < length; i += 4) {
      const a = sextet(text, i);
      const b = sextet(text, i + 1);
      const c = sextet(text, i + 2);
      const d = sextet(text, i + 3);
      seen |= a | b | c | d;
      bytes[at++] = (a << 2) | (b >> 4);
      bytes[at++] = (b << 4) | (c >> 2);
      bytes[at++] = (c << 6) | d;
    }
    if (i < length) {
      const a = sextet(text, i);
      const b = sextet(text, i + 1);
      const c = i + 2 < length ? sextet(text, i + 2) : 0;
      seen |= a | b | c;
      bytes[at++] = (a << 2) | (b >> 4);
      if (i + 2 < length) bytes[at++] = (b << 4) | (c >> 2);
    }
    // One test at the end instead of one per character: an invalid one leaves its mark in `seen`.
    return seen >= INVALID ? null : bytes;
  },
};

/**
 * How many characters of `text` carry data, or null when its length and padding cannot be base64. For runtimes
 * whose own decoder skips what it does not understand: `length * 3 >> 2` bytes must come out of it.
 */
export function unpaddedLength(text: string): number | null {
  let length = text.length;
  if (length > 0 && text.charCodeAt(length - 1) === PAD) {
    // Padding, where there is any, must be complete.
    if (length % 4 !== 0) return null;
    length -= text.charCodeAt(length - 2) === PAD ? 2 : 1;
  }
  return length % 4 === 1 ? null : length;
}

function encodeShort(bytes: Uint8Array): string {
  let text = "";
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    text += PAIRS[bits >> 12]! + PAIRS[bits & 4095]!;
  }
  const left = bytes.length - i;
  if (left === 1) return `${text}${PAIRS[bytes[i]! << 4]!}==`;
  if (left === 2) {
    const bits = (bytes[i]! << 10) | (bytes[i + 1]! << 2);
    return `${text}${PAIRS[bits >> 6]!}${ALPHABET.charAt(bits & 63)}=`;
  }
  return text;
}

function encodePiece(bytes: Uint8Array): string {
  let at = 0;
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const bits = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    SCRATCH[at++] = CODE_OF_SEXTET[bits >> 18]!;
    SCRATCH[at++] = CODE_OF_SEXTET[(bits >> 12) & 63]!;
    SCRATCH[at++] = CODE_OF_SEXTET[(bits >> 6) & 63]!;
    SCRATCH[at++] = CODE_OF_SEXTET[bits & 63]!;
  }
  return ASCII.decode(SCRATCH.subarray(0, at)) + encodeShort(bytes.subarray(i));
}

function sextet(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return code < 256 ? SEXTET_OF_CODE[code]! : INVALID;
}

function sextetTable(): Uint8Array {
  const table = new Uint8Array(256).fill(INVALID);
  for (let i = 0; i < ALPHABET.length; i++) table[ALPHABET.charCodeAt(i)] = i;
  table["-".charCodeAt(0)] = 62;
  table["_".charCodeAt(0)] = 63;
  return table;
}
