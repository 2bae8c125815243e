import type { ReceivedFrame } from "./frame-reader.ts";
import { HeaderDecoder, type HeaderList } from "./header-decoder.ts";
import { broken, ErrorCode, Flag, FrameType, Http2Problem, unpadded, wrongSize } from "./protocol.ts";

/** Frames that one block may be cut into: those without content cost as well (CVE-2024-27316). */
const MAX_PARTS = 64;

/** Headers that have come whole. */
export interface ReceivedHeaders {
  readonly stream: number;
  readonly endStream: boolean;
  /** Null when they are more than allowed. */
  readonly headers: HeaderList | null;
  /** How large they are, as HPACK counts. */
  readonly listBytes: number;
}

/** Puts the headers that a client sends together, over as many frames as they take, and reads them. */
export class HeaderBlocks {
  readonly #maxBytes: number;
  readonly #decoder: HeaderDecoder;
  /** A block that goes on in the next frame. */
  #open: {
    readonly stream: number;
    readonly endStream: boolean;
    readonly parts: Uint8Array[];
    bytes: number;
  } | null = null;

  /** @param maxBytes of the headers of one request; as they come, and as HPACK counts them. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#decoder = new HeaderDecoder(maxBytes);
  }

  /** Nothing may come between the frames of a block. @throws Http2Problem */
  expect({ type, stream }: ReceivedFrame): void {
    const block = this.#open;
    if (block === null || (type === FrameType.continuation && stream === block.stream)) return;
    throw broken("a header block is interrupted");
  }

  /** @returns null when there is more to come. @throws Http2Problem */
  begin(frame: ReceivedFrame): ReceivedHeaders | null {
    const { stream, flags } = frame;
    if (stream % 2 === 0) throw broken("a client's streams have odd numbers");
    let block = unpadded(frame);
    if ((flags & Flag.priority) !== 0) {
      if (block.length < 5) throw wrongSize();
      block = block.subarray(5);
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) return this.#read(stream, endStream, block);
    this.#open = { stream, endStream, parts: [block.slice()], bytes: block.length };
    return null;
  }

  /** As {@link begin}. */
  goOn({ flags, payload }: ReceivedFrame): ReceivedHeaders | null {
    const block = this.#open;
    if (block === null) throw broken("a header block goes on that has not begun");
    block.parts.push(payload.slice());
    block.bytes += payload.length;
    if (block.bytes > this.#maxBytes || block.parts.length > MAX_PARTS)
      throw new Http2Problem(ErrorCode.enhanceYourCalm, "too many headers");
    if ((flags & Flag.endHeaders) === 0) return null;
    this.#open = null;
    const { stream, endStream, parts } = block;
    return this.#read(stream, endStream, Buffer.concat(parts));
  }

  #read(stream: number, endStream: boolean, block: Uint8Array): ReceivedHeaders {
    const headers = this.#decoder.decode(block);
    return { stream, endStream, headers, listBytes: this.#decoder.listBytes };
  }
}
