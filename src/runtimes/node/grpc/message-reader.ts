import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import { ReceiveBuffer, type ReceiveBudget } from "./receive-buffer.ts";
import { GrpcProblem } from "./status.ts";

/** Compressed-flag and length stand before every message. */
export const PREFIX_BYTES = 5;

/** Cuts what one call receives into its messages, of which each has memory of its own. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixLength = 0;
  /** What has come of the message under way. */
  readonly #buffer: ReceiveBuffer;
  /** How long it is to become. */
  #length = 0;

  /** @param maxBytes of one message. */
  constructor(maxBytes: number, budget: ReceiveBudget) {
    this.#maxBytes = maxBytes;
    this.#buffer = new ReceiveBuffer(budget);
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
      const taken = Math.min(this.#length - this.#buffer.length, chunk.length - at);
      this.#buffer.append(chunk.subarray(at, at + taken), this.#length);
      at += taken;
      if (this.#buffer.length < this.#length) return;
      const message = this.#buffer.take();
      this.release();
      yield message;
    }
  }

  /** There will be no more of the message under way. */
  release(): void {
    this.#buffer.release();
    this.#prefixLength = 0;
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
