import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { CallEvents, Exchange, Metadata } from "./exchange.ts";
import { encodeMessage, type GrpcStatus } from "./status.ts";

const HEAD: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const ALONE = { endStream: true, sendDate: false };

/** A call on one of node:http2's streams. */
export class Http2Exchange implements Exchange {
  readonly path: string;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  #trailers: OutgoingHttpHeaders | null = null;
  #drained: Promise<void> | null = null;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.path = (headers[":path"] as string | undefined) ?? "";
    this.#stream = stream;
    this.#headers = headers;
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
    const trailers: OutgoingHttpHeaders = { ...metadata, "grpc-status": String(code) };
    if (message !== "") trailers["grpc-message"] = encodeMessage(message);
    if (stream.headersSent) {
      this.#trailers = trailers;
      stream.end();
    } else {
      stream.respond({ ...HEAD, ...trailers }, ALONE);
      stream.end();
    }
    // What the client still sends has nowhere to go; the stream is over once all of it has come, or here and now.
    stream.resume();
  }

  #respond(metadata: Metadata | undefined): void {
    const stream = this.#stream;
    stream.respond(metadata === undefined ? HEAD : { ...HEAD, ...metadata }, WITH_TRAILERS);
    stream.on("wantTrailers", () => stream.sendTrailers(this.#trailers ?? {}));
  }
}
