import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { CallEvents, Exchange, Metadata } from "./exchange.ts";
import type { KeepAlive } from "./keep-alive.ts";
import { encodeMessage, type GrpcStatus } from "./status.ts";

const HEAD: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const ALONE = { endStream: true, sendDate: false };

/** A call on one of node:http2's streams. */
export class Http2Exchange implements Exchange {
  readonly path: string;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #keepAlive: KeepAlive;
  #trailers: OutgoingHttpHeaders | null = null;
  #drained: Promise<void> | null = null;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, keepAlive: KeepAlive) {
    this.path = (headers[":path"] as string | undefined) ?? "";
    this.#stream = stream;
    this.#headers = headers;
    this.#keepAlive = keepAlive;
  }

  get(name: string): string | null {
    const value = this.#headers[name.toLowerCase()];
    return value === undefined ? null : Array.isArray(value) ? value.join(",") : value;
  }

  listen(events: CallEvents): void {
    const stream = this.#stream;
    stream.on("data", (chunk: Buffer) => events.received(chunk));
    stream.on("end", () => events.ended());
    stream.on("close", () => events.closed());
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  send(message: Uint8Array, metadata?: Metadata): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return true;
    this.#keepAlive.answered();
    if (!stream.headersSent) this.#respond(metadata);
    return stream.write(message);
  }

  drained(): Promise<void> {
    const stream = this.#stream;
    if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
    this.#drained ??= new Promise((resolve) => {
      const done = (): void => {
        stream.off("drain", done);
        stream.off("close", done);
        this.#drained = null;
        resolve();
      };
      stream.on("drain", done);
      stream.on("close", done);
    });
    return this.#drained;
  }

  finish({ code, message }: GrpcStatus, metadata?: Metadata): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    this.#keepAlive.answered();
    const trailers: OutgoingHttpHeaders = { ...metadata, "grpc-status": String(code) };
    if (message !== "") trailers["grpc-message"] = encodeMessage(message);
    if (stream.headersSent) {
      this.#trailers = trailers;
      stream.end();
    } else {
      stream.respond({ ...HEAD, ...trailers }, ALONE);
      this.#sendNoMore();
    }
  }

  #respond(metadata: Metadata | undefined): void {
    const stream = this.#stream;
    stream.respond(metadata === undefined ? HEAD : { ...HEAD, ...metadata }, WITH_TRAILERS);
    stream.on("wantTrailers", () => {
      stream.sendTrailers(this.#trailers ?? {});
      // Which are sent in the next turn, before this.
      setImmediate(() => this.#sendNoMore());
    });
  }

  /** What the client may still want to say has nowhere to go. */
  #sendNoMore(): void {
    const stream = this.#stream;
    stream.resume();
    if (!stream.readableEnded && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
  }
}
