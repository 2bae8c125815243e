/**
 * Builds a byte string. Numbers are little-endian; `uint` is a LEB128 varint of a safe integer; `bytes` is
 * length-prefixed. Grows by doubling.
 */
export class ByteWriter {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(initialCapacity = 256) {
    this.#buffer = new Uint8Array(initialCapacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  /** Unsigned or two's complement: the low 64 bits. */
  u64(value: bigint): this {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value & MASK_64, true);
    this.#length += 8;
    return this;
  }

  f64(value: number): this {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  /** A safe integer of at least 0, in 1 to 8 bytes. */
  uint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`not an unsigned safe integer: ${value}`);
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  /** Length and content. */
  bytes(value: Uint8Array): this {
    return this.uint(value.length).raw(value);
  }

  /** Content alone. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** UTF-8, length-prefixed. */
  string(value: string): this {
    return this.#shortAscii(value) ? this : this.bytes(ENCODER.encode(value));
  }

  /** Names in every frame are short and plain: those are written without a detour. False, and nothing written, for others. */
  #shortAscii(value: string): boolean {
    const { length } = value;
    if (length >= SHORT) return false;
    this.#reserve(1 + length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#buffer[this.#length + 1 + i] = code;
    }
    this.#buffer[this.#length] = length;
    this.#length += 1 + length;
    return true;
  }

  /** Overwrites four bytes written earlier: for lengths and checksums known only afterwards. */
  patchU32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  /** What has been written, without a copy: valid until the next write. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** A copy of what has been written, of exactly that size. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** Starts over, keeping the buffer. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

const MASK_64 = (1n << 64n) - 1n;
/** Lengths below this take one byte. */
const SHORT = 0x80;
const ENCODER = new TextEncoder();
