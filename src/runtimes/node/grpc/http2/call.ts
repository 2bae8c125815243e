import type { CallEvents, Exchange, Metadata } from "../exchange.ts";
import type { GrpcStatus } from "../status.ts";
import type { HeaderList } from "./header-decoder.ts";
import { answerAlone, answerHead, answerTrailers } from "./header-encoder.ts";
import type { Outbox, Sender } from "./outbox.ts";
import { ErrorCode, Flag, FrameType, MAX_WINDOW_BYTES } from "./protocol.ts";

/** With so much unsent the sender is to wait. */
const HIGH_WATER_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);

/** What a call needs of its connection. */
export interface CallWire {
  readonly outbox: Outbox;
  frame(type: number, flags: number, stream: number, payload: Uint8Array): void;
  /** It is over, with what the client is to be told, if anything. */
  over(call: Http2Call, code: ErrorCode | null): void;
}

/** One call on a connection: an HTTP/2 stream. */
export class Http2Call implements Exchange, Sender {
  readonly id: number;
  readonly path: string;
  /** What its head takes for as long as it is under way. */
  readonly headBytes: number;
  readonly #headers: HeaderList;
  readonly #wire: CallWire;
  readonly #windowBytes: number;
  #events: CallEvents | null = null;
  /** What is still to come by the client's own account. */
  #announcedBytes: number | null;
  #receiveEnded = false;
  /** How much the client may still send, and how much of what it has sent may be asked for again. */
  #receiveWindow: number;
  #consumed = 0;
  #isPaused = false;
  #sendWindow: number;
  #headSent = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #reservedBytes = 0;
  #trailers: Uint8Array | null = null;
  #isOver = false;
  #drained: PromiseWithResolvers<void> | null = null;

  constructor(
    id: number,
    headers: HeaderList,
    headBytes: number,
    wire: CallWire,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.id = id;
    this.headBytes = headBytes;
    this.#headers = headers;
    this.#wire = wire;
    this.#sendWindow = windows.send;
    this.#receiveWindow = windows.receive;
    this.#windowBytes = windows.receive;
    this.path = this.get(":path") ?? "";
    const announced = this.get("content-length");
    this.#announcedBytes = announced === null ? null : Number(announced);
  }

  /** The client has said all that it had to say. */
  get hasReceivedAll(): boolean {
    return this.#receiveEnded;
  }

  /** Whether there is something to send, and the client wants it. */
  get isReady(): boolean {
    return this.#queue.length > 0 && this.#sendWindow > 0;
  }

  get(name: string): string | null {
    const wanted = name.toLowerCase();
    const headers = this.#headers;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === wanted) return headers[i + 1]!;
    return null;
  }

  listen(events: CallEvents): void {
    // Whoever was answered before it listened has nothing to listen to.
    if (this.#isOver) return events.closed();
    this.#events = events;
    if (this.#receiveEnded) events.ended();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#giveCredit();
  }

  reserve(bytes: number): boolean {
    if (this.#isOver) return true;
    if (bytes > 0 && this.#wire.outbox.isCrowded) return false;
    const before = this.#reservedBytes;
    this.#reservedBytes = bytes;
    if (bytes !== before) this.#wire.outbox.reserve(bytes - before);
    return true;
  }

  get hasRoom(): boolean {
    return this.#isOver || (this.#queuedBytes < HIGH_WATER_BYTES && !this.#wire.outbox.isFull);
  }

  drained(): Promise<void> {
    const { isCrowded } = this.#wire.outbox;
    if (this.#isOver || (!isCrowded && this.hasRoom)) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    if (isCrowded) this.#wire.outbox.wait(this);
    return this.#drained.promise;
  }

  /** Whoever waits may look again. */
  roomAgain(): void {
    this.#drained?.resolve();
    this.#drained = null;
  }

  send(message: Uint8Array, metadata?: Metadata): void {
    if (this.#isOver) return;
    if (!this.#headSent) {
      this.#headSent = true;
      this.#wire.frame(FrameType.headers, Flag.endHeaders, this.id, answerHead(metadata));
    }
    this.#queue.push(message);
    this.#queuedBytes += message.length;
    this.#wire.outbox.add(message.length);
    if (this.isReady) this.#wire.outbox.ready(this);
  }

  finish(status: GrpcStatus, metadata?: Metadata): void {
    if (this.#isOver || this.#trailers !== null) return;
    if (!this.#headSent) {
      this.#end(answerAlone(status, metadata));
      return;
    }
    this.#trailers = answerTrailers(status);
    if (this.#queue.length === 0) this.#end(this.#trailers);
  }

  /** Refuses what is no call. */
  refuse(head: Uint8Array): void {
    this.#end(head);
  }

  /** Sends one frame; only for calls that are ready. */
  sendPart(): void {
    const wire = this.#wire;
    const message = this.#queue[0]!;
    const room = Math.min(this.#sendWindow, wire.outbox.frameBytes);
    const part = message.length <= room ? message : message.subarray(0, room);
    if (part === message) this.#queue.shift();
    else this.#queue[0] = message.subarray(room);
    this.#sendWindow -= part.length;
    this.#queuedBytes -= part.length;
    wire.outbox.sent(part.length);
    wire.frame(FrameType.data, 0, this.id, part);
    if (this.#queuedBytes < HIGH_WATER_BYTES) this.roomAgain();
    if (this.#trailers !== null && this.#queue.length === 0) this.#end(this.#trailers);
  }

  /**
   * More of the request.
   *
   * @param flowBytes what counts against the window.
   * @returns what was wrong, if anything.
   */
  received(chunk: Uint8Array, flowBytes: number, isLast: boolean): ErrorCode | null {
    if (this.#receiveEnded) return ErrorCode.streamClosed;
    this.#receiveWindow -= flowBytes;
    if (this.#receiveWindow < 0) return ErrorCode.flowControlError;
    if (this.#announcedBytes !== null) {
      this.#announcedBytes -= chunk.length;
      if (this.#announcedBytes < 0 || (isLast && this.#announcedBytes > 0)) return ErrorCode.protocolError;
    }
    this.#consumed += flowBytes;
    // Told first, so that whoever answers at once does not cut off what has ended.
    if (isLast) this.#receiveEnded = true;
    if (chunk.length > 0) this.#events?.received(chunk);
    if (isLast) this.#events?.ended();
    else this.#giveCredit();
    return null;
  }

  /** The client has said all that it had to say. @returns what was wrong, if anything. */
  ended(): ErrorCode | null {
    return this.received(NOTHING, 0, true);
  }

  canWiden(bytes: number): boolean {
    return this.#sendWindow + bytes <= MAX_WINDOW_BYTES;
  }

  /** The client lets more be sent, or, by a setting, less. @returns false for more than there can be. */
  widen(bytes: number): boolean {
    if (!this.canWiden(bytes)) return false;
    this.#sendWindow += bytes;
    if (this.isReady) this.#wire.outbox.ready(this);
    return true;
  }

  /** Nobody listens any more. */
  closed(): void {
    this.reserve(0);
    this.#isOver = true;
    this.#queue = [];
    this.#wire.outbox.discard(this.#queuedBytes);
    this.#queuedBytes = 0;
    this.roomAgain();
    const events = this.#events;
    this.#events = null;
    events?.closed();
  }

  /** Half a window at a time: each costs a frame. */
  #giveCredit(): void {
    if (this.#isPaused || this.#isOver || this.#receiveEnded || this.#consumed < this.#windowBytes / 2)
      return;
    this.#receiveWindow += this.#consumed;
    const credit = Buffer.allocUnsafe(4);
    credit.writeUInt32BE(this.#consumed);
    this.#consumed = 0;
    this.#wire.frame(FrameType.windowUpdate, 0, this.id, credit);
  }

  #end(headers: Uint8Array): void {
    this.#wire.frame(FrameType.headers, Flag.endHeaders | Flag.endStream, this.id, headers);
    // What the client still wants to say has nowhere to go.
    this.#wire.over(this, this.#receiveEnded ? null : ErrorCode.noError);
  }
}
