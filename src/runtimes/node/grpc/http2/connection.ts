import type { Socket } from "node:net";
import type { Exchange } from "../exchange.ts";
import { KeepAlive } from "../keep-alive.ts";
import type { GrpcSettings } from "../settings.ts";
import { type CallWire, Http2Call } from "./call.ts";
import { FrameReader, type ReceivedFrame } from "./frame-reader.ts";
import { HeaderDecoder, type HeaderList } from "./header-decoder.ts";
import { httpStatus } from "./header-encoder.ts";
import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  Http2Problem,
  MAX_WINDOW_BYTES,
  Setting,
  words,
} from "./protocol.ts";
import { ResetBudget } from "./reset-budget.ts";
import { FrameWriter } from "./frame-writer.ts";

/** Of all headers of a request, as for HTTP/1.1; as they come, and as HPACK counts them. */
const MAX_HEADER_BYTES = 16 << 10;
/** What a client may send before it is read: of one call, and of all on a connection. */
const CALL_WINDOW_BYTES = 256 << 10;
const CONNECTION_WINDOW_BYTES = 1 << 20;
/** What one connection's calls may have waiting to be sent before new calls are refused. */
const MAX_QUEUED_BYTES = 64 << 20;

/** A connection's calls over HTTP/2, as far as gRPC needs it (RFC 9113; no pushes, no priorities). */
export class Http2Connection implements CallWire {
  readonly #socket: Socket;
  readonly #handle: (exchange: Exchange) => void;
  readonly #maxCalls: number;
  readonly #reader = new FrameReader();
  readonly #writer: FrameWriter;
  readonly #headers = new HeaderDecoder(MAX_HEADER_BYTES);
  readonly #calls = new Map<number, Http2Call>();
  readonly #keepAlive: KeepAlive;
  readonly #resets = new ResetBudget();
  #lastStream = 0;
  #settingsSeen = false;
  /** A header block that goes on in the next frame. */
  #block: {
    readonly stream: number;
    readonly endStream: boolean;
    parts: Uint8Array[];
    bytes: number;
  } | null = null;
  #receiveWindow = CONNECTION_WINDOW_BYTES;
  #sendWindow = DEFAULT_WINDOW_BYTES;
  #callSendWindow = DEFAULT_WINDOW_BYTES;
  #maxFrameBytes = DEFAULT_FRAME_BYTES;
  #queuedBytes = 0;
  #isClosing = false;

  /** @param closed called once, when the connection has gone. */
  constructor(
    socket: Socket,
    handle: (exchange: Exchange) => void,
    settings: GrpcSettings,
    closed: () => void,
  ) {
    this.#socket = socket;
    this.#handle = handle;
    this.#maxCalls = settings.maxConcurrentStreams;
    this.#writer = new FrameWriter(socket, () => this.#pumpAll());
    this.#keepAlive = new KeepAlive(
      {
        received: () => socket.bytesRead,
        ping: () => this.#writer.frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
        sendAway: (why) => this.#goAway(ErrorCode.enhanceYourCalm, why),
        hangUp: () => socket.destroy(),
      },
      settings,
    );
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#keepAlive.stop();
      for (const call of this.#calls.values()) call.closed();
      this.#calls.clear();
      closed();
    });
    this.#greet();
  }

  // What calls need

  get isWritable(): boolean {
    return this.#writer.isWritable;
  }

  get window(): number {
    return this.#sendWindow;
  }

  get maxFrameBytes(): number {
    return this.#maxFrameBytes;
  }

  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    // Clients may ask for the round trip's time as often as they are sent something.
    if (type === FrameType.data || type === FrameType.headers) this.#keepAlive.answered();
    this.#writer.frame(type, flags, stream, payload);
  }

  spend(bytes: number): void {
    this.#sendWindow -= bytes;
  }

  queued(bytes: number): void {
    this.#queuedBytes += bytes;
  }

  over(call: Http2Call, code: ErrorCode | null): void {
    if (!this.#calls.delete(call.id)) return;
    if (code !== null) this.#reset(call.id, code);
    this.#keepAlive.callEnded();
    call.closed();
    if (this.#isClosing && this.#calls.size === 0) this.#writer.end();
  }

  /** Takes no more calls, and hangs up after the last. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#writer.frame(FrameType.goaway, 0, 0, words(this.#lastStream, ErrorCode.noError));
    if (this.#calls.size === 0) this.#writer.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #greet(): void {
    const settings = Buffer.alloc(18);
    const rows = [
      [Setting.maxConcurrentStreams, this.#maxCalls],
      [Setting.initialWindowSize, CALL_WINDOW_BYTES],
      [Setting.maxHeaderListSize, MAX_HEADER_BYTES],
    ] as const;
    rows.forEach(([name, value], i) => {
      settings.writeUInt16BE(name, 6 * i);
      settings.writeUInt32BE(value, 6 * i + 2);
    });
    this.#writer.frame(FrameType.settings, 0, 0, settings);
    this.#writer.frame(FrameType.windowUpdate, 0, 0, words(CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (this.#socket.destroyed || this.#writer.hasEnded) return;
        this.#take(frame);
      }
    } catch (error) {
      if (!(error instanceof Http2Problem)) throw error;
      this.#goAway(error.code, error.message);
    }
  }

  /** Says why, and hangs up. */
  #goAway(code: ErrorCode, why: string): void {
    const said = Buffer.concat([words(this.#lastStream, code), Buffer.from(why, "latin1")]);
    this.#writer.frame(FrameType.goaway, 0, 0, said);
    this.#writer.end();
  }

  #take(frame: ReceivedFrame): void {
    const { type, stream } = frame;
    if (this.#block !== null && (type !== FrameType.continuation || stream !== this.#block.stream))
      throw broken("a header block is interrupted");
    if (!this.#settingsSeen && type !== FrameType.settings) throw broken("settings come first");
    switch (type) {
      case FrameType.data:
        return this.#data(frame);
      case FrameType.headers:
        return this.#beginHeaders(frame);
      case FrameType.continuation:
        return this.#continueHeaders(frame);
      case FrameType.resetStream:
        return this.#wasReset(frame);
      case FrameType.settings:
        return this.#settings(frame);
      case FrameType.ping:
        return this.#ping(frame);
      case FrameType.windowUpdate:
        return this.#windowUpdate(frame);
      case FrameType.pushPromise:
        throw broken("clients do not push");
      case FrameType.priority:
        if (stream === 0) throw broken("a priority of nothing");
        if (frame.payload.length !== 5) throw wrongSize();
        return;
      case FrameType.goaway:
        if (stream !== 0) throw broken("a goodbye of one stream");
        return this.close();
      // Others are for those who know them.
    }
  }

  #data(frame: ReceivedFrame): void {
    const { stream, flags, payload } = frame;
    if (stream === 0 || stream > this.#lastStream) throw broken("data of no stream");
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw overflow();
    const content = unpadded(frame);
    const call = this.#calls.get(stream);
    if (call !== undefined) {
      if (!call.received(content, payload.length)) return this.over(call, ErrorCode.flowControlError);
      if ((flags & Flag.endStream) !== 0 && !call.ended()) this.over(call, ErrorCode.streamClosed);
    }
    // What a call has not looked at yet is held up by its own window, and so by no other's.
    if (this.#receiveWindow > CONNECTION_WINDOW_BYTES / 2) return;
    this.#writer.frame(FrameType.windowUpdate, 0, 0, words(CONNECTION_WINDOW_BYTES - this.#receiveWindow));
    this.#receiveWindow = CONNECTION_WINDOW_BYTES;
  }

  #beginHeaders(frame: ReceivedFrame): void {
    const { stream, flags } = frame;
    if (stream % 2 === 0) throw broken("a client's streams have odd numbers");
    let block = unpadded(frame);
    if ((flags & Flag.priority) !== 0) {
      if (block.length < 5) throw wrongSize();
      block = block.subarray(5);
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) return this.#headersOf(stream, block, endStream);
    this.#block = { stream, endStream, parts: [block.slice()], bytes: block.length };
  }

  #continueHeaders({ flags, payload }: ReceivedFrame): void {
    const block = this.#block;
    if (block === null) throw broken("a header block goes on that has not begun");
    block.parts.push(payload.slice());
    block.bytes += payload.length;
    // Frames without content count as well.
    if (block.bytes > MAX_HEADER_BYTES || block.parts.length > 64)
      throw new Http2Problem(ErrorCode.enhanceYourCalm, "too many headers");
    if ((flags & Flag.endHeaders) === 0) return;
    this.#block = null;
    this.#headersOf(block.stream, Buffer.concat(block.parts), block.endStream);
  }

  #headersOf(stream: number, block: Uint8Array, endStream: boolean): void {
    // Whatever becomes of it, the table must follow.
    const headers = this.#headers.decode(block);
    const known = this.#calls.get(stream);
    if (known !== undefined) {
      if (!endStream || !known.ended()) this.over(known, ErrorCode.protocolError);
      return;
    }
    // Of a stream that is over: the client did not know that yet.
    if (stream <= this.#lastStream) return;
    this.#lastStream = stream;
    if (this.#isClosing || this.#calls.size >= this.#maxCalls || this.#queuedBytes > MAX_QUEUED_BYTES) {
      this.#countReset();
      return this.#reset(stream, ErrorCode.refusedStream);
    }
    if (headers === null) return this.#reset(stream, ErrorCode.enhanceYourCalm);
    this.#begin(stream, headers, endStream);
  }

  #begin(stream: number, headers: HeaderList, endStream: boolean): void {
    const call = new Http2Call(stream, headers, this, {
      send: this.#callSendWindow,
      receive: CALL_WINDOW_BYTES,
    });
    this.#calls.set(stream, call);
    this.#keepAlive.callBegun();
    if (endStream) call.ended();
    const refusal = refusalOf(call);
    if (refusal === null) this.#handle(call);
    else call.refuse(httpStatus(refusal));
  }

  #wasReset({ stream, payload }: ReceivedFrame): void {
    if (payload.length !== 4) throw wrongSize();
    if (stream === 0 || stream > this.#lastStream) throw broken("a reset of no stream");
    this.#countReset();
    const call = this.#calls.get(stream);
    if (call !== undefined) this.over(call, null);
  }

  /** Who begins and ends calls without end makes work for nothing (CVE-2023-44487). */
  #countReset(): void {
    if (!this.#resets.take()) throw new Http2Problem(ErrorCode.enhanceYourCalm, "too many resets");
  }

  #settings({ stream, flags, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("settings of one stream");
    if ((flags & Flag.ack) !== 0) {
      if (payload.length !== 0) throw wrongSize();
      return;
    }
    if (payload.length % 6 !== 0) throw wrongSize();
    this.#settingsSeen = true;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    for (let at = 0; at < payload.length; at += 6) this.#set(view.getUint16(at), view.getUint32(at + 2));
    this.#writer.frame(FrameType.settings, Flag.ack, 0, new Uint8Array(0));
  }

  #set(name: number, value: number): void {
    switch (name) {
      case Setting.enablePush:
        if (value > 1) throw broken("a switch is on or off");
        return;
      case Setting.initialWindowSize: {
        if (value > MAX_WINDOW_BYTES) throw overflow();
        const more = value - this.#callSendWindow;
        this.#callSendWindow = value;
        for (const call of this.#calls.values()) if (!call.widen(more)) throw overflow();
        return;
      }
      case Setting.maxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > 0xffffff) throw broken("frames of no such size");
        this.#maxFrameBytes = value;
        return;
    }
  }

  #ping({ stream, flags, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("a ping of one stream");
    if (payload.length !== 8) throw wrongSize();
    if ((flags & Flag.ack) !== 0) return this.#keepAlive.pingAnswered();
    this.#writer.frame(FrameType.ping, Flag.ack, 0, payload);
    this.#keepAlive.pinged();
  }

  #windowUpdate({ stream, payload }: ReceivedFrame): void {
    if (payload.length !== 4) throw wrongSize();
    const bytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0) & MAX_WINDOW_BYTES;
    if (stream === 0) {
      this.#sendWindow += bytes;
      if (bytes === 0) throw broken("a window of nothing");
      if (this.#sendWindow > MAX_WINDOW_BYTES) throw overflow();
      return this.#pumpAll();
    }
    if (stream > this.#lastStream) throw broken("a window of no stream");
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    if (bytes === 0) this.over(call, ErrorCode.protocolError);
    else if (!call.widen(bytes)) this.over(call, ErrorCode.flowControlError);
  }

  #pumpAll(): void {
    for (const call of this.#calls.values()) call.pump();
  }

  #reset(stream: number, code: ErrorCode): void {
    this.#writer.frame(FrameType.resetStream, 0, stream, words(code));
  }
}

/** The HTTP status for what is no call of gRPC; null for one that is. */
function refusalOf(call: Http2Call): number | null {
  if (!/^application\/grpc(?:$|[+;])/.test(call.get("content-type") ?? "")) return 415;
  return call.get(":method") === "POST" ? null : 405;
}

function unpadded({ flags, payload }: ReceivedFrame): Uint8Array {
  if ((flags & Flag.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) throw broken("more padding than content");
  return payload.subarray(1, payload.length - padding);
}

function broken(message: string): Http2Problem {
  return new Http2Problem(ErrorCode.protocolError, message);
}

function wrongSize(): Http2Problem {
  return new Http2Problem(ErrorCode.frameSizeError, "a frame of the wrong size");
}

function overflow(): Http2Problem {
  return new Http2Problem(ErrorCode.flowControlError, "a window is too small or too large");
}
