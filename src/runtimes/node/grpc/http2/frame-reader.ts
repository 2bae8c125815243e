import { DEFAULT_FRAME_BYTES, ErrorCode, FRAME_HEAD_BYTES, Http2Problem, PREFACE } from "./protocol.ts";

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** Cuts what a client sends into frames, after the preface. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);
  #prefaceSeen = false;

  /** The frames that are complete now. Their payloads are views. @throws Http2Problem */
  *push(chunk: Uint8Array): Generator<ReceivedFrame, void, undefined> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#prefaceSeen ? 0 : this.#preface(bytes);
    while (bytes.length - at >= FRAME_HEAD_BYTES && this.#prefaceSeen) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      if (length > DEFAULT_FRAME_BYTES) {
        throw new Http2Problem(ErrorCode.frameSizeError, `a frame has ${length} bytes`);
      }
      const end = at + FRAME_HEAD_BYTES + length;
      if (end > bytes.length) break;
      const stream =
        ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
      const payload = bytes.subarray(at + FRAME_HEAD_BYTES, end);
      yield { type: bytes[at + 3]!, flags: bytes[at + 4]!, stream, payload };
      at = end;
    }
    // Copied: a few bytes shall not keep all that came with them.
    this.#rest = at === bytes.length ? NOTHING : Uint8Array.prototype.slice.call(bytes, at);
  }

  /** How many bytes it has; 0 while it is not complete. */
  #preface(bytes: Uint8Array): number {
    const length = Math.min(bytes.length, PREFACE.length);
    for (let i = 0; i < length; i++) {
      if (bytes[i] !== PREFACE[i]) throw new Http2Problem(ErrorCode.protocolError, "this is not HTTP/2");
    }
    this.#prefaceSeen = length === PREFACE.length;
    return this.#prefaceSeen ? length : 0;
  }
}

const NOTHING = new Uint8Array(0);
