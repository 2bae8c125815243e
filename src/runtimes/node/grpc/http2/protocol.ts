/* HTTP/2's numbers (RFC 9113). */

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export const PREFACE: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
export const FRAME_HEAD_BYTES = 9;
/** Until the other side says otherwise. */
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;
/** Of headers that the next may refer to. */
export const DEFAULT_TABLE_BYTES = 4096;
export const MAX_WINDOW_BYTES = 0x7fffffff;

/** The other side has broken the rules, and the connection ends. */
export class Http2Problem extends Error {
  override readonly name = "Http2Problem";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function broken(message: string): Http2Problem {
  return new Http2Problem(ErrorCode.protocolError, message);
}

export function wrongSize(): Http2Problem {
  return new Http2Problem(ErrorCode.frameSizeError, "a frame of the wrong size");
}

export function overflow(): Http2Problem {
  return new Http2Problem(ErrorCode.flowControlError, "a window is too small or too large");
}

/** What a frame says without what fills it up. @throws Http2Problem */
export function unpadded({
  flags,
  payload,
}: {
  readonly flags: number;
  readonly payload: Uint8Array;
}): Uint8Array {
  if ((flags & Flag.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) throw broken("more padding than content");
  return payload.subarray(1, payload.length - padding);
}

/** One frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES + length);
  writeHead(bytes, length, type, flags, stream);
  bytes.set(payload, FRAME_HEAD_BYTES);
  return bytes;
}

/** A frame's first nine bytes, for a payload that stands elsewhere. */
export function frameHead(length: number, type: number, flags: number, stream: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
  writeHead(bytes, length, type, flags, stream);
  return bytes;
}

/** Numbers of 32 bits, one after the other. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32BE(value >>> 0, 4 * i));
  return bytes;
}

function writeHead(bytes: Uint8Array, length: number, type: number, flags: number, stream: number): void {
  bytes[0] = length >>> 16;
  bytes[1] = length >>> 8;
  bytes[2] = length;
  bytes[3] = type;
  bytes[4] = flags;
  bytes[5] = stream >>> 24;
  bytes[6] = stream >>> 16;
  bytes[7] = stream >>> 8;
  bytes[8] = stream;
}
