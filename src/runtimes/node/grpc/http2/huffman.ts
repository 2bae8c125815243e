import { Http2Problem, ErrorCode } from "./protocol.ts";

/**
 * How many bits each octet has in HPACK's code (RFC 7541, appendix B). The code is canonical, so these tell it all.
 * The last is the end of a string, which never stands in one.
 */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END_OF_STRING = 256;
const MAX_BITS = 30;

/** Canonical decoding: for each length the first code, how many there are, and where their symbols begin. */
const FIRST: number[] = [];
const COUNT: number[] = [];
const START: number[] = [];
const SYMBOLS: number[] = [];

let code = 0;
for (let bits = 0; bits <= MAX_BITS; bits++) {
  code *= 2;
  const symbols = LENGTHS.flatMap((length, symbol) => (length === bits ? [symbol] : []));
  FIRST.push(code);
  COUNT.push(symbols.length);
  START.push(SYMBOLS.length);
  SYMBOLS.push(...symbols);
  code += symbols.length;
}

/** Decodes a string of octets, as latin1. @throws Http2Problem for what is no such string. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  let value = 0;
  let bits = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    for (let mask = 0x80; mask > 0; mask >>= 1) {
      value = value * 2 + ((byte & mask) === 0 ? 0 : 1);
      bits++;
      const offset = value - FIRST[bits]!;
      if (offset >= COUNT[bits]!) {
        if (bits === MAX_BITS) throw broken();
        continue;
      }
      const symbol = SYMBOLS[START[bits]! + offset]!;
      if (symbol === END_OF_STRING) throw broken();
      text += String.fromCharCode(symbol);
      value = 0;
      bits = 0;
    }
  }
  // What fills the last octet up is the beginning of the end of a string: ones, and fewer than eight.
  if (bits > 7 || value !== 2 ** bits - 1) throw broken();
  return text;
}

function broken(): Http2Problem {
  return new Http2Problem(ErrorCode.compressionError, "a header is not in Huffman's code");
}
