import { decodeHuffman } from "./huffman.ts";
import { DEFAULT_TABLE_BYTES, ErrorCode, Http2Problem } from "./protocol.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** Names and values in turn. */
export type HeaderList = string[];

interface Entry {
  readonly name: string;
  readonly value: string;
}

/** Counted for an entry beside its name and value. */
const ENTRY_BYTES = 32;

/**
 * Reads HPACK (RFC 7541), whose table lives as long as the connection. It is as large as the protocol has it by default,
 * which we never change.
 */
export class HeaderDecoder {
  readonly #maxListBytes: number;
  /** Newest first. */
  readonly #table: Entry[] = [];
  #tableBytes = 0;
  #maxTableBytes = DEFAULT_TABLE_BYTES;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #listBytes = 0;

  /** @param maxListBytes of the headers of one request, as HPACK counts. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** How large the last headers were, as HPACK counts. */
  get listBytes(): number {
    return this.#listBytes;
  }

  /**
   * The headers in a whole block; null when they are more than allowed, which does not disturb the next.
   *
   * @throws Http2Problem
   */
  decode(block: Uint8Array): HeaderList | null {
    this.#bytes = block;
    this.#at = 0;
    const list: HeaderList = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if (first >= 0x20 && first < 0x40) {
        if (!mayResize) throw problem("the table changes its size within a block");
        this.#resize(this.#integer(5));
        continue;
      }
      mayResize = false;
      const { name, value } = this.#field(first);
      listBytes += name.length + value.length + ENTRY_BYTES;
      if (listBytes <= this.#maxListBytes) list.push(name, value);
    }
    this.#listBytes = listBytes;
    return listBytes <= this.#maxListBytes ? list : null;
  }

  #field(first: number): Entry {
    if (first >= 0x80) return this.#entry(this.#integer(7));
    const isIndexed = first >= 0x40;
    const index = this.#integer(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const entry = { name, value: this.#string() };
    if (isIndexed) this.#add(entry);
    return entry;
  }

  #entry(index: number): Entry {
    const entry =
      index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table[index - STATIC_TABLE.length - 1];
    if (entry === undefined) throw problem("there is no such entry in the table");
    return entry;
  }

  #add(entry: Entry): void {
    this.#tableBytes += sizeOf(entry);
    this.#table.unshift(entry);
    this.#evict();
  }

  #resize(bytes: number): void {
    if (bytes > DEFAULT_TABLE_BYTES) throw problem("the table is larger than allowed");
    this.#maxTableBytes = bytes;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#maxTableBytes) this.#tableBytes -= sizeOf(this.#table.pop()!);
  }

  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw problem("a number is too large");
  }

  #string(): string {
    const isHuffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#bytes.length) throw problem("a string breaks off");
    this.#at = to;
    if (isHuffman) return decodeHuffman(this.#bytes, from, to);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, length).toString("latin1");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw problem("a header block breaks off");
    return byte;
  }
}

function sizeOf({ name, value }: Entry): number {
  return name.length + value.length + ENTRY_BYTES;
}

function problem(message: string): Http2Problem {
  return new Http2Problem(ErrorCode.compressionError, message);
}
