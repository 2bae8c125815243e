import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import type { CallHandler } from "./calls.ts";
import { Http2Exchange } from "./http2-exchange.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { GrpcSettings } from "./settings.ts";

/** Of all headers of a request, as for HTTP/1.1. */
const MAX_HEADER_BYTES = 16 << 10;
/** What a client may send before it is read: of one call, and of all on a connection. */
const CALL_WINDOW_BYTES = 256 << 10;
const CONNECTION_WINDOW_BYTES = 1 << 20;
/** Megabytes that one connection's calls and unsent answers may take before new calls are refused. */
const MAX_SESSION_MEGABYTES = 64;

/** HTTP/2 connections that carry gRPC. They come from a listener that speaks other protocols too. */
export class GrpcSessions {
  readonly #server: Http2Server;
  readonly #sessions = new Map<ServerHttp2Session, KeepAlive>();

  constructor(handle: CallHandler, settings: GrpcSettings) {
    this.#server = createServer({
      maxSessionMemory: MAX_SESSION_MEGABYTES,
      settings: {
        maxConcurrentStreams: settings.maxConcurrentStreams,
        maxHeaderListSize: MAX_HEADER_BYTES,
        initialWindowSize: CALL_WINDOW_BYTES,
        enablePush: false,
      },
    });
    this.#server.on("session", (session) => {
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      this.#sessions.set(session, new KeepAlive(session, settings));
      session.on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, headers) => this.#begin(stream, headers, handle));
  }

  take(socket: Duplex): void {
    // An HTTP/1.1 server answers clients that have said their last; one that hangs up here has gone.
    socket.allowHalfOpen = false;
    this.#server.emit("connection", socket);
  }

  /** Takes no more calls, lets those under way finish for up to `graceMs`, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    const sessions = [...this.#sessions.keys()];
    const closed = sessions.map(
      (session) => new Promise<void>((resolve) => session.once("close", () => resolve())),
    );
    for (const session of sessions) session.close();
    const rest = setTimeout(() => {
      for (const session of sessions) session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(rest);
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, handle: CallHandler): void {
    // It is told by `close`, too.
    stream.on("error", () => undefined);
    const refusal = refusalOf(headers);
    if (refusal !== null) {
      stream.respond({ ":status": refusal }, { endStream: true });
      stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    const keepAlive =
      stream.session === undefined ? undefined : this.#sessions.get(stream.session as ServerHttp2Session);
    // The connection has gone in the meantime.
    if (keepAlive === undefined) {
      stream.close(constants.NGHTTP2_CANCEL);
      return;
    }
    keepAlive.callBegun();
    stream.on("close", () => keepAlive.callEnded());
    handle(new Http2Exchange(stream, headers, keepAlive));
  }
}

/** The HTTP status for what is no call of gRPC; null for one that is. */
function refusalOf(headers: IncomingHttpHeaders): number | null {
  if (!/^application\/grpc(?:$|[+;])/.test(headers["content-type"] ?? ""))
    return constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE;
  return headers[":method"] === "POST" ? null : constants.HTTP_STATUS_METHOD_NOT_ALLOWED;
}
