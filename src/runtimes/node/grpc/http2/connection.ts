import type { Socket } from "node:net";
import type { Exchange } from "../exchange.ts";
import { KeepAlive } from "../keep-alive.ts";
import type { GrpcSettings } from "../settings.ts";
import { Budget } from "./budget.ts";
import { type CallWire, Http2Call } from "./call.ts";
import { CutOffStreams } from "./cut-off-streams.ts";
import { FrameReader, type ReceivedFrame } from "./frame-reader.ts";
import { HeaderDecoder, type HeaderList } from "./header-decoder.ts";
import { httpStatus } from "./header-encoder.ts";
import { Outbox } from "./outbox.ts";
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
import { FrameWriter } from "./frame-writer.ts";
import { areTrailers, isRequest } from "./header-check.ts";

/** Of all headers of a request, as for HTTP/1.1; as they come, and as HPACK counts them. */
const MAX_HEADER_BYTES = 16 << 10;
/** What a client may send before it is read: of one call, and of all on a connection. */
const CALL_WINDOW_BYTES = 256 << 10;
const CONNECTION_WINDOW_BYTES = 1 << 20;
/** How long a client may take to begin. */
const GREETING_MS = 20_000;
/** Calls that come to nothing, and frames that say nothing, at once and how many more each second. */
const RESETS = [1000, 100] as const;
const CHATTER = [1000, 100] as const;
/** Settings concern every call. */
const SETTINGS_COST = 10;

/** What a connection tells whoever keeps it. */
export interface ConnectionEvents {
  /** So many bytes more, or less, wait to be sent. */
  readonly queued: (bytes: number) => void;
  /** Called once: it has gone. */
  readonly closed: () => void;
}

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
  readonly #resets = new Budget(...RESETS);
  readonly #chatter = new Budget(...CHATTER);
  /** Until the client has begun. */
  readonly #greeting: NodeJS.Timeout;
  readonly #cutOff = new CutOffStreams();
  readonly outbox: Outbox;
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
  #callSendWindow = DEFAULT_WINDOW_BYTES;
  #isClosing = false;

  constructor(
    socket: Socket,
    handle: (exchange: Exchange) => void,
    settings: GrpcSettings,
    events: ConnectionEvents,
  ) {
    this.#socket = socket;
    this.#handle = handle;
    this.#maxCalls = settings.maxConcurrentStreams;
    this.#writer = new FrameWriter(socket, () => this.outbox.pump());
    this.outbox = new Outbox(() => this.#writer.isWritable, events.queued);
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
      clearTimeout(this.#greeting);
      this.#letGo();
      events.closed();
    });
    this.#greeting = setTimeout(() => socket.destroy(), GREETING_MS);
    this.#greet();
  }

  // What calls need

  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    // Clients may ask for the round trip's time as often as they are sent something.
    if (type === FrameType.data || type === FrameType.headers) this.#keepAlive.answered();
    this.#writer.frame(type, flags, stream, payload);
  }

  over(call: Http2Call, code: ErrorCode | null): void {
    if (!this.#calls.delete(call.id)) return;
    if (code !== null) {
      if (!call.hasReceivedAll) this.#cutOff.add(call.id);
      this.#reset(call.id, code);
    }
    this.outbox.forget(call);
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

  /** Lets go at once of all that waits to be sent. */
  drop(): void {
    this.#letGo();
    this.#socket.destroy();
  }

  #letGo(): void {
    for (const call of this.#calls.values()) {
      this.outbox.forget(call);
      call.closed();
    }
    this.#calls.clear();
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
    if (this.#writer.hasEnded) return;
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
        return this.#chat();
      case FrameType.goaway:
        if (stream !== 0) throw broken("a goodbye of one stream");
        return this.close();
      default:
        // Others are for those who know them.
        return this.#chat();
    }
  }

  #data(frame: ReceivedFrame): void {
    const { stream, flags, payload } = frame;
    if (stream === 0 || stream > this.#lastStream) throw broken("data of no stream");
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw overflow();
    const content = unpadded(frame);
    const isLast = (flags & Flag.endStream) !== 0;
    if (content.length === 0 && !isLast) this.#chat();
    const call = this.#calls.get(stream);
    if (call === undefined) this.#tooLate(stream, isLast);
    else {
      const problem = call.received(content, payload.length, isLast);
      if (problem !== null) this.#fault(call, problem);
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
    if (known !== undefined) return this.#trailers(known, headers, endStream);
    if (stream <= this.#lastStream) return this.#tooLate(stream, endStream);
    this.#lastStream = stream;
    const problem = this.#problemOf(headers);
    if (headers !== null && problem === null) return this.#begin(stream, headers, endStream);
    this.#countReset();
    if (!endStream) this.#cutOff.add(stream);
    this.#reset(stream, problem ?? ErrorCode.enhanceYourCalm);
  }

  /** Why a call cannot begin. */
  #problemOf(headers: HeaderList | null): ErrorCode | null {
    if (this.#isClosing || this.#calls.size >= this.#maxCalls || this.outbox.isFull)
      return ErrorCode.refusedStream;
    if (headers === null) return ErrorCode.enhanceYourCalm;
    return isRequest(headers) ? null : ErrorCode.protocolError;
  }

  #trailers(call: Http2Call, headers: HeaderList | null, endStream: boolean): void {
    const isFit = endStream && headers !== null && areTrailers(headers);
    const problem = isFit || call.hasReceivedAll ? call.ended() : ErrorCode.protocolError;
    if (problem !== null) this.#fault(call, problem);
  }

  /** Something of a stream that is over. */
  #tooLate(stream: number, isLast: boolean): void {
    if (!this.#cutOff.has(stream))
      throw new Http2Problem(ErrorCode.streamClosed, "a stream goes on that has ended");
    if (isLast) this.#cutOff.delete(stream);
  }

  /** The client has spoilt a call, which is as good as a reset by itself (CVE-2025-8671). */
  #fault(call: Http2Call, code: ErrorCode): void {
    this.#countReset();
    this.over(call, code);
  }

  #begin(stream: number, headers: HeaderList, endStream: boolean): void {
    const call = new Http2Call(stream, headers, this, {
      send: this.#callSendWindow,
      receive: CALL_WINDOW_BYTES,
    });
    this.#calls.set(stream, call);
    this.#keepAlive.callBegun();
    const problem = endStream ? call.ended() : null;
    if (problem !== null) return this.#fault(call, problem);
    const refusal = refusalOf(call);
    if (refusal === null) this.#handle(call);
    else call.refuse(httpStatus(refusal));
  }

  #wasReset({ stream, payload }: ReceivedFrame): void {
    if (payload.length !== 4) throw wrongSize();
    if (stream === 0 || stream > this.#lastStream) throw broken("a reset of no stream");
    this.#countReset();
    this.#cutOff.delete(stream);
    const call = this.#calls.get(stream);
    if (call !== undefined) this.over(call, null);
  }

  /** Who begins and ends calls without end makes work for nothing (CVE-2023-44487). */
  #countReset(): void {
    if (!this.#resets.take()) throw new Http2Problem(ErrorCode.enhanceYourCalm, "too many resets");
  }

  /** What says little is cheap to send, and is not for nothing here (CVE-2019-9515, CVE-2019-9518). */
  #chat(cost = 1): void {
    if (!this.#chatter.take(cost))
      throw new Http2Problem(ErrorCode.enhanceYourCalm, "too much about nothing");
  }

  #settings({ stream, flags, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("settings of one stream");
    if ((flags & Flag.ack) !== 0) {
      if (payload.length !== 0) throw wrongSize();
      return;
    }
    if (payload.length % 6 !== 0) throw wrongSize();
    this.#chat(SETTINGS_COST);
    this.#settingsSeen = true;
    clearTimeout(this.#greeting);
    const before = this.#callSendWindow;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    for (let at = 0; at < payload.length; at += 6) this.#set(view.getUint16(at), view.getUint32(at + 2));
    this.#widenAll(this.#callSendWindow - before);
    this.#writer.frame(FrameType.settings, Flag.ack, 0, new Uint8Array(0));
  }

  #set(name: number, value: number): void {
    switch (name) {
      case Setting.enablePush:
        if (value > 1) throw broken("a switch is on or off");
        return;
      case Setting.initialWindowSize:
        if (value > MAX_WINDOW_BYTES) throw overflow();
        this.#callSendWindow = value;
        return;
      case Setting.maxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > 0xffffff) throw broken("frames of no such size");
        this.outbox.maxFrameBytes = value;
        return;
    }
  }

  #widenAll(bytes: number): void {
    if (bytes === 0) return;
    for (const call of this.#calls.values()) if (!call.widen(bytes)) throw overflow();
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
      if (bytes === 0) throw broken("a window of nothing");
      if (!this.outbox.widen(bytes)) throw overflow();
      return;
    }
    if (stream > this.#lastStream) throw broken("a window of no stream");
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    if (bytes === 0) this.#fault(call, ErrorCode.protocolError);
    else if (!call.widen(bytes)) this.#fault(call, ErrorCode.flowControlError);
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
