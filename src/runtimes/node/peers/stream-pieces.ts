import { EngineError } from "../../../core/errors/index.ts";

/*
 * Once a connection between two members has changed over from HTTP, the one that opened it sends sealed envelopes,
 * each after its length (four bytes, little-endian), and the other answers now and then with the number of those
 * that it has taken (four bytes, modulo 2^32).
 */

/** What an HTTP connection is changed over to (RFC 9110 §7.8). */
export const PEER_STREAM_PROTOCOL = "d-engine-peer/1";

export const PREFIX_BYTES = 4;

/** The other end says how far it is at most this long after it has taken something. */
export const ACKNOWLEDGE_AFTER_MS = 100;

/** Cuts what arrives on a connection into the pieces that were sent. Holds one piece and one chunk at most. */
export class PieceReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;

  /** @param maxBytes of one piece. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
  }

  /** The next piece that has arrived whole, or null. Throws `malformed` for one that is longer than allowed. */
  next(): Uint8Array | null {
    if (this.#held < PREFIX_BYTES) return null;
    const length = this.#front(PREFIX_BYTES).readUInt32LE(0);
    if (length > this.#maxBytes) {
      const detail = `a piece of ${length} bytes, at most ${this.#maxBytes} are taken`;
      throw new EngineError("malformed", { detail });
    }
    const end = PREFIX_BYTES + length;
    if (this.#held < end) return null;
    const front = this.#front(end);
    this.#held -= end;
    if (front.length === end) this.#chunks.shift();
    else this.#chunks[0] = front.subarray(end);
    // As plain bytes: a Buffer's `slice` means something else.
    return new Uint8Array(front.buffer, front.byteOffset + PREFIX_BYTES, length);
  }

  /** The first chunk, joined with the others unless it has this many bytes by itself. */
  #front(bytes: number): Buffer {
    if (this.#chunks[0]!.length < bytes) this.#chunks = [Buffer.concat(this.#chunks, this.#held)];
    return this.#chunks[0]!;
  }
}
