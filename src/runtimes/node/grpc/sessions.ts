import { constants, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import type { CallHandler } from "./calls.ts";
import { Http2Exchange } from "./http2-exchange.ts";

/** HTTP/2 connections that carry gRPC. They come from a listener that speaks other protocols too. */
export class GrpcSessions {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(handle: CallHandler) {
    this.#server = createServer({ maxSessionMemory: 64 });
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, headers) => {
      // It is told by `close`, too.
      stream.on("error", () => undefined);
      if (!/^application\/grpc(?:$|[+;])/.test(headers["content-type"] ?? "")) {
        stream.respond({ ":status": 415 }, { endStream: true });
        return;
      }
      handle(new Http2Exchange(stream, headers));
    });
  }

  take(socket: Duplex): void {
    this.#server.emit("connection", socket);
  }

  /** Takes no more calls, lets those under way finish for up to `graceMs`, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    const closed = [...this.#sessions].map(
      (session) => new Promise<void>((resolve) => session.once("close", () => resolve())),
    );
    for (const session of this.#sessions) session.close();
    const rest = setTimeout(() => {
      for (const session of this.#sessions) session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(rest);
  }
}
