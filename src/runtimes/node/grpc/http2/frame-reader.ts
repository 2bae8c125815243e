import { DEFAULT_FRAME_BYTES, ErrorCode, FRAME_HEAD_BYTES, Http2Problem, PREFACE } from "./protocol.ts";

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** Cuts what a client sends into frames, after the preface. */
export class FrameReader {
  /** How much of the preface has come. */
  #prefaceBytes = 0;
  /** The beginning of a frame, of which the rest is to come, in memory that grows with it. */
  #part: Uint8Array = NOTHING;
  #partBytes = 0;

  /** The frames that are complete now. Their payloads are views, good until the next. @throws Http2Problem */
  *push(chunk: Uint8Array): Generator<ReceivedFrame, void, undefined> {
    let at = this.#preface(chunk);
    while (at < chunk.length) {
      const bytes = this.#partBytes === 0 ? frameBytes(chunk, at, chunk.length - at) : Infinity;
      if (bytes <= chunk.length - at) {
        yield frameAt(chunk, at, bytes);
        at += bytes;
        continue;
      }
      at += this.#gather(chunk.subarray(at));
      if (this.#partBytes !== this.#wantedBytes) return;
      const whole = this.#part;
      const length = this.#partBytes;
      this.#part = NOTHING;
      this.#partBytes = 0;
      yield frameAt(whole, 0, length);
    }
  }

  /** How much of a chunk belongs to it. */
  #preface(chunk: Uint8Array): number {
    let at = 0;
    for (; at < chunk.length && this.#prefaceBytes < PREFACE.length; at++) {
      if (chunk[at] !== PREFACE[this.#prefaceBytes++])
        throw new Http2Problem(ErrorCode.protocolError, "this is not HTTP/2");
    }
    return at;
  }

  get #wantedBytes(): number {
    return frameBytes(this.#part, 0, this.#partBytes);
  }

  /**
   * Adds to the frame under way what belongs to it: copied, since a few bytes shall not keep all that came with them,
   * and once, however small the pieces are.
   *
   * @returns how much that was.
   */
  #gather(chunk: Uint8Array): number {
    let taken = 0;
    // Once for the head, which says how much more there is.
    while (taken < chunk.length && (this.#partBytes === 0 || this.#partBytes < this.#wantedBytes)) {
      const bytes = Math.min(this.#wantedBytes - this.#partBytes, chunk.length - taken);
      const needed = this.#partBytes + bytes;
      if (needed > this.#part.length) {
        const grown = new Uint8Array(Math.min(this.#wantedBytes, Math.max(needed, 2 * this.#part.length)));
        grown.set(this.#part.subarray(0, this.#partBytes));
        this.#part = grown;
      }
      this.#part.set(chunk.subarray(taken, taken + bytes), this.#partBytes);
      this.#partBytes = needed;
      taken += bytes;
    }
    return taken;
  }
}

const NOTHING = new Uint8Array(0);

/** How long a frame is of which so many bytes have come; its head, before that is there. @throws Http2Problem */
function frameBytes(bytes: Uint8Array, at: number, available: number): number {
  if (available < FRAME_HEAD_BYTES) return FRAME_HEAD_BYTES;
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length > DEFAULT_FRAME_BYTES)
    throw new Http2Problem(ErrorCode.frameSizeError, `a frame has ${length} bytes`);
  return FRAME_HEAD_BYTES + length;
}

function frameAt(bytes: Uint8Array, at: number, length: number): ReceivedFrame {
  const stream =
    ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
  const payload = bytes.subarray(at + FRAME_HEAD_BYTES, at + length);
  return { type: bytes[at + 3]!, flags: bytes[at + 4]!, stream, payload };
}
