import { BinaryReader } from "@bufbuild/protobuf/wire";
import { EngineError } from "../../../core/errors/index.ts";
import { tagOf } from "./wire-type.ts";

const TOO_LONG = "something is longer than what is left of the message";

/**
 * Reads protobuf's binary format from bytes that nobody vouches for. The library keeps within the bytes; this keeps
 * within the message that is being read, and believes a length only after it was compared with what is left of it.
 */
export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #reader: BinaryReader;
  readonly #what: string;
  #end: number;

  /** @param what names the message in complaints. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#reader = new BinaryReader(bytes);
    this.#end = bytes.length;
    this.#what = what;
  }

  /** Whether the message being read has more fields. To be asked after each: a field may have passed the end. */
  get hasMore(): boolean {
    const { pos } = this.#reader;
    if (pos > this.#end) this.#fail(TOO_LONG);
    return pos < this.#end;
  }

  /** A field's number and wire type, as they were written. */
  tag(): number {
    const [number, wireType] = this.#reader.tag();
    return tagOf(number, wireType);
  }

  /** A number of two's complement as far as a safe integer goes, and the nearest of those beyond it. */
  int(): number {
    return nearestSafe(this.bigInt());
  }

  /** An unsigned number, likewise. */
  uint(): number {
    return nearestSafe(this.bigUint());
  }

  bigInt(): bigint {
    // A string only where there are no bigints.
    return this.#reader.int64() as bigint;
  }

  bigUint(): bigint {
    return this.#reader.uint64() as bigint;
  }

  bool(): boolean {
    return this.#reader.bool();
  }

  /** The low 32 bits, as protobuf reads an enum. */
  enumNumber(): number {
    return this.#reader.int32();
  }

  /** A view of what is being read. */
  bytes(): Uint8Array {
    this.#checkLength();
    return this.#reader.bytes();
  }

  text(): string {
    this.#checkLength();
    const at = this.#reader.pos;
    try {
      return this.#reader.string(true);
    } catch {
      this.#reader.pos = at;
      return this.#fail("a text is not UTF-8");
    }
  }

  /** Enters a message or a packed list; `leave` takes back what this gives. */
  enter(): number {
    const outer = this.#end;
    this.#end = this.#checkLength();
    this.#reader.uint32();
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** Passes over a field that nobody knows. */
  passOver(tag: number): void {
    this.#reader.skip(tag & 7, tag >>> 3);
  }

  /** What the library has thrown, as an EngineError `malformed`; anything else as it is. */
  complaint(error: unknown): unknown {
    const isLibrarys = error instanceof Error && (error.name === "Error" || error.name === "RangeError");
    return isLibrarys ? this.#malformed(error.message) : error;
  }

  /**
   * Where the content that is announced here ends; nothing is read. The library takes a length's low 32 bits, and so
   * would find a short one in one that is absurd.
   */
  #checkLength(): number {
    const reader = this.#reader;
    const start = reader.pos;
    const length = reader.uint32();
    const size = reader.pos - start;
    const end = reader.pos + length;
    const exceeds32Bits = size > 5 || (size === 5 && this.#bytes[reader.pos - 1]! > 0x0f);
    if (exceeds32Bits || end > this.#end) this.#fail(TOO_LONG);
    reader.pos = start;
    return end;
  }

  #fail(problem: string): never {
    throw this.#malformed(problem);
  }

  #malformed(problem: string): EngineError {
    return new EngineError("malformed", { detail: `${this.#what}: ${problem}, at byte ${this.#reader.pos}` });
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function nearestSafe(value: bigint): number {
  if (value > MAX_SAFE) return Number.MAX_SAFE_INTEGER;
  return value < -MAX_SAFE ? Number.MIN_SAFE_INTEGER : Number(value);
}
