import type { CallEvents, Exchange, Metadata } from "../exchange.ts";
import type { GrpcStatus } from "../status.ts";
import type { HeaderList } from "./header-decoder.ts";
import { answerAlone, answerHead, answerTrailers } from "./header-encoder.ts";
import { ErrorCode, Flag, FrameType, MAX_WINDOW_BYTES } from "./protocol.ts";

/** With so much unsent the sender is to wait. */
const HIGH_WATER_BYTES = 64 << 10;

/** What a call needs of its connection. */
export interface CallWire {
  /** Whether the client's machine takes more at the moment. */
  readonly isWritable: boolean;
  /** What may be sent before the client says that there is room for more. */
  readonly window: number;
  readonly maxFrameBytes: number;
  frame(type: number, flags: number, stream: number, payload: Uint8Array): void;
  /** Counts data against the window. */
  spend(bytes: number): void;
  /** Counts what waits in calls. */
  queued(bytes: number): void;
  /** It is over, with what the client is to be told, if anything. */
  over(call: Http2Call, code: ErrorCode | null): void;
}

/** One call on a connection: an HTTP/2 stream. */
export class Http2Call implements Exchange {
  readonly id: number;
  readonly path: string;
  readonly #headers: HeaderList;
  readonly #wire: CallWire;
  readonly #windowBytes: number;
  #events: CallEvents | null = null;
  /** What came before anybody listened. */
  #early: Uint8Array[] = [];
  #receiveEnded = false;
  #endTold = false;
  /** How much the client may still send, and how much of what it has sent may be asked for again. */
  #receiveWindow: number;
  #consumed = 0;
  #isPaused = false;
  #sendWindow: number;
  #headSent = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #trailers: Uint8Array | null = null;
  #isOver = false;
  #drained: PromiseWithResolvers<void> | null = null;

  constructor(
    id: number,
    headers: HeaderList,
    wire: CallWire,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.id = id;
    this.#headers = headers;
    this.#wire = wire;
    this.#sendWindow = windows.send;
    this.#receiveWindow = windows.receive;
    this.#windowBytes = windows.receive;
    this.path = this.get(":path") ?? "";
  }

  get(name: string): string | null {
    const wanted = name.toLowerCase();
    const headers = this.#headers;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === wanted) return headers[i + 1]!;
    return null;
  }

  listen(events: CallEvents): void {
    this.#events = events;
    for (const chunk of this.#early) this.#tell(chunk);
    this.#early = [];
    this.#tellEnd();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#giveCredit();
  }

  send(message: Uint8Array, metadata?: Metadata): boolean {
    if (this.#isOver) return true;
    if (!this.#headSent) {
      this.#headSent = true;
      this.#wire.frame(FrameType.headers, Flag.endHeaders, this.id, answerHead(metadata));
    }
    this.#queue.push(message);
    this.#count(message.length);
    this.pump();
    return this.#queuedBytes < HIGH_WATER_BYTES;
  }

  drained(): Promise<void> {
    if (this.#isOver || this.#queuedBytes < HIGH_WATER_BYTES) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  finish(status: GrpcStatus, metadata?: Metadata): void {
    if (this.#isOver || this.#trailers !== null) return;
    if (!this.#headSent) {
      this.#end(answerAlone(status, metadata));
      return;
    }
    this.#trailers = answerTrailers(status);
    this.pump();
  }

  /** Refuses what is no call. */
  refuse(head: Uint8Array): void {
    this.#end(head);
  }

  /** Sends what may be sent. */
  pump(): void {
    const wire = this.#wire;
    while (this.#queue.length > 0) {
      const message = this.#queue[0]!;
      const room = wire.isWritable ? Math.min(this.#sendWindow, wire.window, wire.maxFrameBytes) : 0;
      if (room <= 0) return;
      const part = message.length <= room ? message : message.subarray(0, room);
      if (part === message) this.#queue.shift();
      else this.#queue[0] = message.subarray(room);
      this.#sendWindow -= part.length;
      wire.spend(part.length);
      this.#count(-part.length);
      wire.frame(FrameType.data, 0, this.id, part);
    }
    if (this.#trailers !== null) this.#end(this.#trailers);
  }

  /** @returns false when the client sends more than it may. */
  received(chunk: Uint8Array, flowBytes: number): boolean {
    this.#receiveWindow -= flowBytes;
    if (this.#receiveWindow < 0) return false;
    this.#consumed += flowBytes;
    if (chunk.length > 0) {
      if (this.#events === null) this.#early.push(chunk);
      else this.#tell(chunk);
    }
    this.#giveCredit();
    return true;
  }

  /** The client has said all that it had to say. @returns false when it had done so before. */
  ended(): boolean {
    if (this.#receiveEnded) return false;
    this.#receiveEnded = true;
    this.#tellEnd();
    return true;
  }

  /** The client lets more be sent, or, by a setting, less. @returns false for more than there can be. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > MAX_WINDOW_BYTES) return false;
    this.pump();
    return true;
  }

  /** Nobody listens any more. */
  closed(): void {
    this.#isOver = true;
    this.#count(-this.#queuedBytes);
    this.#queue = [];
    this.#early = [];
    this.#drained?.resolve();
    const events = this.#events;
    this.#events = null;
    events?.closed();
  }

  #tell(chunk: Uint8Array): void {
    this.#events?.received(chunk);
  }

  #tellEnd(): void {
    if (!this.#receiveEnded || this.#endTold || this.#events === null) return;
    this.#endTold = true;
    this.#events.ended();
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

  #count(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#wire.queued(bytes);
    if (this.#drained !== null && this.#queuedBytes < HIGH_WATER_BYTES) {
      this.#drained.resolve();
      this.#drained = null;
    }
  }

  #end(headers: Uint8Array): void {
    this.#wire.frame(FrameType.headers, Flag.endHeaders | Flag.endStream, this.id, headers);
    // What the client still wants to say has nowhere to go.
    this.#wire.over(this, this.#receiveEnded ? null : ErrorCode.noError);
  }
}
