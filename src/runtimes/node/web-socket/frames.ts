/* RFC 6455, section 5: what passes over a WebSocket once it is open. Without extensions. */

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** A whole message, or what is said about the connection itself. */
export interface Message {
  readonly opcode: Exclude<Opcode, 0>;
  readonly payload: Buffer;
}

/** Why a connection ends (section 7.4.1). */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupported: 1003,
  invalidText: 1007,
  refused: 1008,
  tooBig: 1009,
} as const;

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** What a client sent against the rules, or against our limits. */
export class WebSocketProblem extends Error {
  override readonly name = "WebSocketProblem";
  readonly closeCode: CloseCode;

  constructor(closeCode: CloseCode, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}

const FIN = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const MAX_CONTROL_BYTES = 125;
const MASK_BYTES = 4;

interface Head {
  readonly fin: boolean;
  readonly opcode: number;
  readonly length: number;
  /** Bytes of the head itself, the mask included. */
  readonly size: number;
}

/** Puts messages together from a client's bytes. Holds no more than one message of the largest size allowed. */
export class FrameReader {
  readonly #maxBytes: number;
  #pending: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #opcode: Message["opcode"] | null = null;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that are complete now. @throws WebSocketProblem; the reader is of no use then. */
  *push(chunk: Buffer): Generator<Message, void, undefined> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (let head = this.#head(); head !== null; head = this.#head()) {
      const end = head.size + head.length;
      if (this.#pending.length < end) return;
      const payload = unmasked(
        this.#pending.subarray(head.size, end),
        this.#pending.subarray(head.size - MASK_BYTES),
      );
      this.#pending = this.#pending.subarray(end);
      const message = this.#take(head, payload);
      if (message !== null) yield message;
    }
  }

  #head(): Head | null {
    const bytes = this.#pending;
    if (bytes.length < 2) return null;
    const [first, second] = [bytes[0]!, bytes[1]!];
    if ((first & RESERVED) !== 0)
      throw new WebSocketProblem(CloseCode.protocolError, "reserved bits are set");
    if ((second & MASKED) === 0) throw new WebSocketProblem(CloseCode.protocolError, "a frame is not masked");
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    if (bytes.length < 2 + lengthBytes) return null;
    const length =
      lengthBytes === 8
        ? Number(bytes.readBigUInt64BE(2))
        : lengthBytes === 2
          ? bytes.readUInt16BE(2)
          : short;
    const head = {
      fin: (first & FIN) !== 0,
      opcode: first & 0x0f,
      length,
      size: 2 + lengthBytes + MASK_BYTES,
    };
    this.#check(head);
    return bytes.length < head.size ? null : head;
  }

  /** Before the payload has come: what is too large is not waited for. */
  #check({ fin, opcode, length }: Head): void {
    const isControl = opcode >= Opcode.close;
    const known = Object.values<number>(Opcode).includes(opcode);
    if (!known || (isControl && (!fin || length > MAX_CONTROL_BYTES))) {
      throw new WebSocketProblem(CloseCode.protocolError, "a frame makes no sense");
    }
    if (isControl) return;
    if ((opcode === Opcode.continuation) !== (this.#opcode !== null)) {
      throw new WebSocketProblem(CloseCode.protocolError, "a message in pieces is not continued");
    }
    if (this.#partsBytes + length > this.#maxBytes) {
      throw new WebSocketProblem(CloseCode.tooBig, `a message has more than ${this.#maxBytes} bytes`);
    }
  }

  #take({ fin, opcode }: Head, payload: Buffer): Message | null {
    if (opcode >= Opcode.close) return { opcode: opcode as Message["opcode"], payload };
    this.#opcode ??= opcode as Message["opcode"];
    this.#parts.push(payload);
    // An empty piece costs as well.
    this.#partsBytes += payload.length + 1;
    if (!fin) return null;
    const message = { opcode: this.#opcode, payload: Buffer.concat(this.#parts) };
    this.#parts = [];
    this.#partsBytes = 0;
    this.#opcode = null;
    return message;
  }
}

function unmasked(payload: Buffer, mask: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(payload.length);
  for (let i = 0; i < payload.length; i++) plain[i] = payload[i]! ^ mask[i & 3]!;
  return plain;
}

/** A server's frame: whole, and not masked. */
export function frame(opcode: Exclude<Opcode, 0>, payload: Uint8Array): Buffer {
  const { length } = payload;
  const lengthBytes = length > 0xffff ? 8 : length > MAX_CONTROL_BYTES ? 2 : 0;
  const bytes = Buffer.allocUnsafe(2 + lengthBytes + length);
  bytes[0] = FIN | opcode;
  bytes[1] = lengthBytes === 8 ? 127 : lengthBytes === 2 ? 126 : length;
  if (lengthBytes === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  if (lengthBytes === 2) bytes.writeUInt16BE(length, 2);
  bytes.set(payload, 2 + lengthBytes);
  return bytes;
}
