import { EngineError } from "../errors/index.ts";

/**
 * Reads what ByteWriter wrote, from bytes that nobody vouches for: every read checks its bounds, a length is
 * believed only after it was compared with what is left, and nothing is allocated beyond that. Every complaint is
 * an EngineError `malformed` that says what was being read and where.
 */
export class ByteReader {
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #offset = 0;

  /** @param what names the thing being decoded in error messages. */
  constructor(buffer: Uint8Array, what: string) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#what = what;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) this.fail(`a boolean is ${value}`);
    return value === 1;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** The same bytes, read as two's complement. */
  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  uint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && count > 0) this.fail("a number is not in its shortest form");
        if (!Number.isSafeInteger(value)) this.fail("a number is too large");
        return value;
      }
      scale *= 0x80;
    }
    return this.fail("a number is too long");
  }

  /** A number that counts things of at least `minBytesEach` bytes that follow: never more than can be there. */
  count(minBytesEach: number): number {
    const value = this.uint();
    if (value * minBytesEach > this.remaining) this.fail(`a count of ${value} exceeds what follows`);
    return value;
  }

  /** Length-prefixed content as a view of the input; copy it to keep it longer than the input. */
  bytes(maxLength: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    const length = this.uint();
    if (length > maxLength) this.fail(`a length of ${length} exceeds the limit of ${maxLength}`);
    return this.raw(length);
  }

  /** `length` bytes as a view of the input. */
  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#buffer.subarray(start, start + length);
  }

  string(maxLength: number = Number.MAX_SAFE_INTEGER): string {
    const bytes = this.bytes(maxLength);
    if (isShortAscii(bytes)) return String.fromCharCode(...bytes);
    try {
      return DECODER.decode(bytes);
    } catch {
      return this.fail("a string is not UTF-8");
    }
  }

  /** Refuses bytes after the end. */
  end(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} bytes too many`);
  }

  fail(problem: string): never {
    throw new EngineError("malformed", { detail: `${this.#what}: ${problem} (at byte ${this.#offset})` });
  }

  #take(length: number): number {
    if (length > this.remaining) this.fail(`${length} bytes wanted, ${this.remaining} left`);
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}

/** As the names in every frame are: those need no decoder. */
function isShortAscii(bytes: Uint8Array): boolean {
  if (bytes.length > 32) return false;
  for (const byte of bytes) if (byte >= 0x80) return false;
  return true;
}

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
