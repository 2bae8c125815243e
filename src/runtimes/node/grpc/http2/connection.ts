import type { Socket } from "node:net";
import type { Exchange } from "../exchange.ts";
import { KeepAlive } from "../keep-alive.ts";
import type { ReceiveBudget } from "../receive-buffer.ts";
import type { GrpcSettings } from "../settings.ts";
import { type CallWire, Http2Call } from "./call.ts";
import { ClientSettings } from "./client-settings.ts";
import { FrameReader, type ReceivedFrame } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { HeaderBlocks, type ReceivedHeaders } from "./header-blocks.ts";
import { areTrailers, isRequest } from "./header-check.ts";
import type { HeaderList } from "./header-decoder.ts";
import { httpStatus } from "./header-encoder.ts";
import { Outbox } from "./outbox.ts";
import { Patience } from "./patience.ts";
import {
  broken,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  Http2Problem,
  MAX_WINDOW_BYTES,
  overflow,
  Setting,
  unpadded,
  words,
  wrongSize,
} from "./protocol.ts";
import { Streams } from "./streams.ts";

/** Of all headers of a request, as for HTTP/1.1; as they come, and as HPACK counts them. */
const MAX_HEADER_BYTES = 16 << 10;
/** What a client may send before it is read: of one call, and of all on a connection. */
const CALL_WINDOW_BYTES = 256 << 10;
const CONNECTION_WINDOW_BYTES = 1 << 20;
/** How long a client may take to begin. */
const GREETING_MS = 20_000;
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
  readonly #heads: ReceiveBudget;
  readonly #reader = new FrameReader();
  readonly #writer: FrameWriter;
  readonly #headers = new HeaderBlocks(MAX_HEADER_BYTES);
  readonly #streams = new Streams();
  readonly #clientSettings = new ClientSettings();
  readonly #keepAlive: KeepAlive;
  readonly #patience: Patience;
  /** Until the client has begun. */
  readonly #greeting: NodeJS.Timeout;
  readonly outbox: Outbox;
  #settingsSeen = false;
  #receiveWindow = CONNECTION_WINDOW_BYTES;
  #isClosing = false;

  /** @param heads for those of the calls under way, on all connections. */
  constructor(
    socket: Socket,
    handle: (exchange: Exchange) => void,
    settings: GrpcSettings,
    heads: ReceiveBudget,
    events: ConnectionEvents,
  ) {
    this.#socket = socket;
    this.#heads = heads;
    this.#handle = handle;
    this.#maxCalls = settings.maxConcurrentStreams;
    this.#patience = new Patience(this.#maxCalls);
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
    const before = type === FrameType.headers ? this.#clientSettings.takeTableSize() : null;
    this.#writer.frame(type, flags, stream, before === null ? payload : Buffer.concat([before, payload]));
  }

  over(call: Http2Call, code: ErrorCode | null): void {
    if (!this.#streams.end(call)) return;
    this.#heads.giveBack(call.headBytes);
    if (code !== null) {
      if (!call.hasReceivedAll) this.#streams.cutOff(call.id);
      this.#reset(call.id, code);
    }
    this.outbox.forget(call);
    this.#keepAlive.callEnded();
    call.closed();
    this.#endIfDone();
  }

  /** Takes no more calls, and hangs up after the last. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#writer.frame(FrameType.goaway, 0, 0, words(this.#streams.last, ErrorCode.noError));
    this.#endIfDone();
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
    for (const call of this.#streams.calls.values()) {
      this.outbox.forget(call);
      this.#heads.giveBack(call.headBytes);
      call.closed();
    }
    this.#streams.endAll();
  }

  #endIfDone(): void {
    if (this.#isClosing && this.#streams.calls.size === 0) this.#writer.end();
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
    const said = Buffer.concat([words(this.#streams.last, code), Buffer.from(why, "latin1")]);
    this.#writer.frame(FrameType.goaway, 0, 0, said);
    this.#writer.end();
  }

  #take(frame: ReceivedFrame): void {
    this.#headers.expect(frame);
    const isSettings = frame.type === FrameType.settings && (frame.flags & Flag.ack) === 0;
    if (!this.#settingsSeen && !isSettings) throw broken("settings come first");
    switch (frame.type) {
      case FrameType.data:
        return this.#data(frame);
      case FrameType.headers:
        return this.#received(this.#headers.begin(frame));
      case FrameType.continuation:
        return this.#received(this.#headers.goOn(frame));
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
        if (frame.stream === 0) throw broken("a priority of nothing");
        if (frame.payload.length !== 5) throw wrongSize();
        return this.#patience.chat();
      case FrameType.goaway:
        return this.#goodbye(frame);
      default:
        // Others are for those who know them.
        return this.#patience.chat();
    }
  }

  #data(frame: ReceivedFrame): void {
    const { stream, flags, payload } = frame;
    if (this.#streams.isIdle(stream)) throw broken("data of no stream");
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw overflow();
    const content = unpadded(frame);
    const isLast = (flags & Flag.endStream) !== 0;
    if (content.length === 0 && !isLast) this.#patience.chat();
    const call = this.#streams.calls.get(stream);
    if (call === undefined) this.#streams.late(stream, isLast);
    else this.#judge(call, call.received(content, payload.length, isLast));
    // What a call has not looked at yet is held up by its own window, and so by no other's.
    if (this.#receiveWindow > CONNECTION_WINDOW_BYTES / 2) return;
    this.#writer.frame(FrameType.windowUpdate, 0, 0, words(CONNECTION_WINDOW_BYTES - this.#receiveWindow));
    this.#receiveWindow = CONNECTION_WINDOW_BYTES;
  }

  #received(received: ReceivedHeaders | null): void {
    if (received === null) return;
    const { stream, endStream, headers, listBytes } = received;
    const known = this.#streams.calls.get(stream);
    if (known !== undefined) return this.#trailers(known, headers, endStream);
    if (!this.#streams.isIdle(stream)) {
      this.#patience.chat();
      return this.#streams.late(stream, endStream);
    }
    this.#streams.reached(stream);
    const problem = this.#problemOf(headers);
    if (headers !== null && problem === null && this.#heads.take(listBytes))
      return this.#begin(received, headers);
    const code = problem ?? ErrorCode.refusedStream;
    if (code === ErrorCode.refusedStream) this.#patience.refusal();
    else this.#patience.reset();
    if (!endStream) this.#streams.cutOff(stream);
    this.#reset(stream, code);
  }

  /** Why a call cannot begin. */
  #problemOf(headers: HeaderList | null): ErrorCode | null {
    if (this.#isClosing || this.#streams.calls.size >= this.#maxCalls || this.outbox.isFull)
      return ErrorCode.refusedStream;
    if (headers === null) return ErrorCode.enhanceYourCalm;
    return isRequest(headers) ? null : ErrorCode.protocolError;
  }

  #trailers(call: Http2Call, headers: HeaderList | null, endStream: boolean): void {
    const isFit = endStream && headers !== null && areTrailers(headers);
    this.#judge(call, isFit || call.hasReceivedAll ? call.ended() : ErrorCode.protocolError);
  }

  /** Resets a call that the client has spoilt, which is as good as a reset by itself. */
  #judge(call: Http2Call, problem: ErrorCode | null): void {
    if (problem === null) return;
    this.#patience.reset();
    this.over(call, problem);
  }

  #begin({ stream, endStream, listBytes }: ReceivedHeaders, headers: HeaderList): void {
    const call = new Http2Call(stream, headers, listBytes, this, {
      send: this.#clientSettings.callWindowBytes,
      receive: CALL_WINDOW_BYTES,
    });
    this.#streams.begin(call);
    this.#keepAlive.callBegun();
    const problem = endStream ? call.ended() : null;
    if (problem !== null) return this.#judge(call, problem);
    const refusal = refusalOf(call);
    if (refusal === null) this.#handle(call);
    else call.refuse(httpStatus(refusal));
  }

  #wasReset({ stream, payload }: ReceivedFrame): void {
    if (payload.length !== 4) throw wrongSize();
    if (this.#streams.isIdle(stream)) throw broken("a reset of no stream");
    this.#patience.reset();
    this.#streams.forget(stream);
    const call = this.#streams.calls.get(stream);
    if (call !== undefined) this.over(call, null);
  }

  #settings({ stream, flags, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("settings of one stream");
    if ((flags & Flag.ack) !== 0) {
      if (payload.length !== 0) throw wrongSize();
      return this.#patience.chat();
    }
    const settings = this.#clientSettings;
    const before = settings.callWindowBytes;
    this.#patience.chat(SETTINGS_COST);
    settings.read(payload);
    const widenedBytes = settings.callWindowBytes - before;
    const calls = [...this.#streams.calls.values()];
    // Before any of them says more: settings hold for all of them or for none.
    if (!calls.every((call) => call.canWiden(widenedBytes))) throw overflow();
    this.#settingsSeen = true;
    clearTimeout(this.#greeting);
    // Said first: with more room the last call may end, and the connection with it.
    this.#writer.frame(FrameType.settings, Flag.ack, 0, new Uint8Array(0));
    this.outbox.maxFrameBytes = settings.maxFrameBytes;
    if (widenedBytes !== 0) for (const call of calls) call.widen(widenedBytes);
  }

  #ping({ stream, flags, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("a ping of one stream");
    if (payload.length !== 8) throw wrongSize();
    if ((flags & Flag.ack) !== 0) {
      this.#keepAlive.pingAnswered();
      return this.#patience.chat();
    }
    this.#writer.frame(FrameType.ping, Flag.ack, 0, payload);
    this.#keepAlive.pinged();
  }

  #goodbye({ stream, payload }: ReceivedFrame): void {
    if (stream !== 0) throw broken("a goodbye of one stream");
    if (payload.length < 8) throw wrongSize();
    this.#patience.chat();
    this.close();
  }

  #windowUpdate({ stream, payload }: ReceivedFrame): void {
    if (payload.length !== 4) throw wrongSize();
    const bytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0) & MAX_WINDOW_BYTES;
    if (stream === 0) {
      if (bytes === 0) throw broken("a window of nothing");
      if (!this.outbox.widen(bytes)) throw overflow();
      return;
    }
    if (this.#streams.isIdle(stream)) throw broken("a window of no stream");
    const call = this.#streams.calls.get(stream);
    if (call === undefined) return;
    if (bytes === 0) this.#judge(call, ErrorCode.protocolError);
    else if (!call.widen(bytes)) this.#judge(call, ErrorCode.flowControlError);
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
