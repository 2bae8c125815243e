import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import { GrpcProblem } from "./status.ts";

/** Compressed-flag and length stand before every message. */
export const PREFIX_BYTES = 5;

/** Counts the bytes of messages that are not complete, over all calls. */
export class ReceiveBudget {
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  /** False, and nothing taken, when there is not so much left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** What is set aside for a message at first, since its length is only what the sender says. */
const FIRST_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);

/** Cuts what one call receives into its messages, of which each has memory of its own. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #budget: ReceiveBudget;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixLength = 0;
  /** What has come of the message under way, with room for more of it. */
  #buffer: Uint8Array = NOTHING;
  #filled = 0;
  /** How long it is to become. */
  #length = 0;

  /** @param maxBytes of one message. */
  constructor(maxBytes: number, budget: ReceiveBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Whether a message has begun that is not complete. */
  get isWithin(): boolean {
    return this.#prefixLength > 0;
  }

  /**
   * The messages that are complete now.
   *
   * @throws EngineError `requestTooLarge`, `tooManyRequests`; GrpcProblem for compressed messages.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixLength < PREFIX_BYTES) {
        this.#prefix[this.#prefixLength++] = chunk[at++]!;
        if (this.#prefixLength < PREFIX_BYTES) continue;
        this.#length = this.#announced();
      }
      const taken = Math.min(this.#length - this.#filled, chunk.length - at);
      this.#append(chunk.subarray(at, at + taken));
      at += taken;
      if (this.#filled < this.#length) return;
      const message = this.#buffer;
      this.release();
      yield message;
    }
  }

  /** There will be no more of the message under way. */
  release(): void {
    this.#budget.giveBack(this.#buffer.length);
    this.#buffer = NOTHING;
    this.#filled = 0;
    this.#prefixLength = 0;
  }

  #append(part: Uint8Array): void {
    const needed = this.#filled + part.length;
    if (needed > this.#buffer.length) {
      const room = Math.min(this.#length, Math.max(needed, this.#buffer.length * 2, FIRST_BYTES));
      if (!this.#budget.take(room - this.#buffer.length)) throw new EngineError("tooManyRequests");
      const grown = new Uint8Array(room);
      grown.set(this.#buffer.subarray(0, this.#filled));
      this.#buffer = grown;
    }
    this.#buffer.set(part, this.#filled);
    this.#filled = needed;
  }

  #announced(): number {
    const view = new DataView(this.#prefix.buffer);
    const flag = view.getUint8(0);
    if (flag !== 0) {
      const problem = flag === 1 ? "a message is compressed, but no grpc-encoding was named" : `flag ${flag}`;
      throw new GrpcProblem(GrpcCode.internal, `grpc: ${problem}`);
    }
    const length = view.getUint32(1);
    if (length > this.#maxBytes) {
      const detail = `a message has ${length} bytes; the limit is ${this.#maxBytes}`;
      throw new EngineError("requestTooLarge", { detail });
    }
    return length;
  }
}
