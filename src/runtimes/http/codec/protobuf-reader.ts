import { EngineError } from "../../../core/errors/index.ts";
import { END_GROUP, FIXED_32, FIXED_64, LENGTH_DELIMITED, START_GROUP, VARINT } from "./wire-type.ts";

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Longer texts are quicker decoded by the platform. */
const SHORT = 64;

/**
 * Reads protobuf's binary format from bytes that nobody vouches for: no read goes beyond the message that it is in, a
 * length is believed only after it was compared with what is left, and nothing is allocated for what is not there.
 * Every complaint is an EngineError `malformed`.
 */
export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;
  #end: number;
  /** The last varint's 64 bits. */
  #low = 0;
  #high = 0;

  /** @param what names the message in complaints. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#what = what;
  }

  /** Whether the message being read has more fields. */
  get hasMore(): boolean {
    return this.#at < this.#end;
  }

  /** A field's number and wire type, as they were written. */
  tag(): number {
    const first = this.#bytes[this.#at]!;
    if (first < 0x80 && first > 7) {
      this.#at++;
      return first;
    }
    this.#varint();
    const tag = this.#low;
    if (this.#high !== 0 || tag < 8) this.fail(`there is no field ${Math.floor(this.#number() / 8)}`);
    return tag;
  }

  /** A number of two's complement as far as a safe integer goes, and the nearest of those beyond it. */
  int(): number {
    this.#varint();
    const high = this.#high | 0;
    if (high >= -0x200000 && high < 0x200000) return high * 0x100000000 + this.#low;
    return high < 0 ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
  }

  /** An unsigned number, likewise. */
  uint(): number {
    this.#varint();
    return this.#high < 0x200000 ? this.#number() : Number.MAX_SAFE_INTEGER;
  }

  bigInt(): bigint {
    return BigInt.asIntN(64, this.bigUint());
  }

  bigUint(): bigint {
    this.#varint();
    return this.#high === 0 ? BigInt(this.#low) : (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** The low 32 bits, as protobuf reads an enum. */
  enumNumber(): number {
    this.#varint();
    return this.#low | 0;
  }

  /** A view of what is being read. */
  bytes(): Uint8Array {
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  text(): string {
    const bytes = this.bytes();
    if (bytes.length < SHORT) {
      let text = "";
      for (let i = 0; i < bytes.length; i++) {
        if (bytes[i]! >= 0x80) return this.#utf8(bytes);
        text += String.fromCharCode(bytes[i]!);
      }
      return text;
    }
    return this.#utf8(bytes);
  }

  /** Enters a message or a packed list; `leave` takes back what this gives. */
  enter(): number {
    const length = this.#length();
    const outer = this.#end;
    this.#end = this.#at + length;
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** Passes over a field that nobody knows. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        return this.#varint();
      case FIXED_64:
        return this.#pass(8);
      case LENGTH_DELIMITED:
        return this.#pass(this.#length());
      case FIXED_32:
        return this.#pass(4);
      case START_GROUP:
        return this.#skipGroup(tag);
      default:
        this.fail("a group ends that has not begun");
    }
  }

  fail(problem: string): never {
    throw new EngineError("malformed", { detail: `${this.#what}: ${problem}, at byte ${this.#at}` });
  }

  /** Without recursion: whoever sends groups within groups shall not exhaust the stack. */
  #skipGroup(tag: number): void {
    const open = [tag >>> 3];
    while (open.length > 0) {
      if (!this.hasMore) this.fail("a group does not end");
      if (open.length > MAX_GROUPS) this.fail(`groups are nested more than ${MAX_GROUPS} deep`);
      const inner = this.tag();
      const wireType = inner & 7;
      if (wireType === START_GROUP) open.push(inner >>> 3);
      else if (wireType !== END_GROUP) this.skip(inner);
      else if (open.pop() !== inner >>> 3) this.fail("a group ends that has not begun");
    }
  }

  #pass(length: number): void {
    if (length > this.#end - this.#at) this.fail("the message breaks off");
    this.#at += length;
  }

  #length(): number {
    this.#varint();
    if (this.#high !== 0 || this.#low > this.#end - this.#at)
      this.fail("something is longer than what is left of the message");
    return this.#low;
  }

  #number(): number {
    return this.#high * 0x100000000 + this.#low;
  }

  #varint(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) this.fail("a number breaks off");
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        // The tenth byte has room for one bit; as everywhere, the others are dropped.
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) {
        this.#at = at;
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    this.fail("a number has more than ten bytes");
  }

  #utf8(bytes: Uint8Array): string {
    try {
      return DECODER.decode(bytes);
    } catch {
      return this.fail("a text is not UTF-8");
    }
  }
}

const MAX_GROUPS = 100;
