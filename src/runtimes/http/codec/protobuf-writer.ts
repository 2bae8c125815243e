const ENCODER = new TextEncoder();
/** Up to here a loop is quicker than a call that copies. */
const SHORT = 32;
const MASK_32 = 0xffffffffn;

/**
 * Builds a protobuf message from its end to its beginning, since there the length of what lies inside is known when it
 * has to be written. Whoever writes says everything in reverse: the last field first, a field's tag after its content.
 */
export class ProtobufWriter {
  #buffer: Uint8Array;
  /** Where what has been written begins. */
  #at: number;

  constructor(initialCapacity = 1024) {
    this.#buffer = new Uint8Array(initialCapacity);
    this.#at = initialCapacity;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#buffer.length - this.#at;
  }

  byte(value: number): void {
    if (this.#at === 0) this.#grow(1);
    this.#buffer[--this.#at] = value;
  }

  /** A safe integer of at least 0. */
  varint(value: number): void {
    if (value < 0x80) return this.byte(value);
    let size = 2;
    for (let rest = value / 0x4000; rest >= 1; rest /= 0x80) size++;
    if (this.#at < size) this.#grow(size);
    this.#at -= size;
    let at = this.#at;
    let rest = value;
    while (rest >= 0x80000000) {
      this.#buffer[at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.#buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[at] = rest;
  }

  /** 64 bits, unsigned or two's complement. */
  varint64(value: bigint): void {
    let low = Number(value & MASK_32);
    let high = Number((value >> 32n) & MASK_32);
    const bytes: number[] = [];
    while (high > 0 || low > 0x7f) {
      bytes.push((low & 0x7f) | 0x80);
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytes.push(low);
    this.raw(bytes);
  }

  raw(value: ArrayLike<number>): void {
    const { length } = value;
    if (this.#at < length) this.#grow(length);
    this.#at -= length;
    const at = this.#at;
    if (length > SHORT) return this.#buffer.set(value, at);
    for (let i = 0; i < length; i++) this.#buffer[at + i] = value[i]!;
  }

  /** UTF-8. */
  text(value: string): void {
    this.raw(ENCODER.encode(value));
  }

  /** A copy of what has been written, after `prefix` bytes of zero; the writer starts over. */
  take(prefix: number): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(prefix + this.length);
    taken.set(this.#buffer.subarray(this.#at), prefix);
    this.clear();
    return taken;
  }

  /** Forgets what has been written, and a buffer that was needed for something large. */
  clear(): void {
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = new Uint8Array(MAX_KEPT_BYTES);
    this.#at = this.#buffer.length;
  }

  #grow(extra: number): void {
    const { length } = this;
    const grown = new Uint8Array(Math.max(length + extra, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(this.#at), grown.length - length);
    this.#buffer = grown;
    this.#at = grown.length - length;
  }
}

const MAX_KEPT_BYTES = 256 << 10;
