import type { Socket } from "node:net";
import type { CallHandler } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import { Http2Connection } from "./http2/connection.ts";
import { ReceiveBudget } from "./receive-buffer.ts";
import type { GrpcSettings } from "./settings.ts";

/** What may wait to be sent on all connections. */
const MAX_QUEUED_BYTES = 512 << 20;
/** What the heads of calls under way may have, as HPACK counts: those that are usual have some hundred bytes each. */
const MAX_HEAD_BYTES = 128 << 20;

/** HTTP/2 connections that carry gRPC. They come from a listener that speaks other protocols too. */
export class GrpcSessions {
  readonly #handle: CallHandler;
  readonly #settings: GrpcSettings;
  readonly #connections = new Set<Http2Connection>();
  readonly #heads = new ReceiveBudget(MAX_HEAD_BYTES);
  #queuedBytes = 0;
  #wake = (): void => undefined;

  constructor(handle: CallHandler, settings: GrpcSettings) {
    this.#handle = handle;
    this.#settings = settings;
  }

  /** @param certifiedUser who the client is by its certificate. */
  take(socket: Socket, certifiedUser: string | null): void {
    // An HTTP/1.1 server answers clients that have said their last; one that hangs up here has gone.
    socket.allowHalfOpen = false;
    const handle = (exchange: Exchange): void => this.#handle(exchange, certifiedUser);
    const connection = new Http2Connection(socket, handle, this.#settings, this.#heads, {
      queued: (bytes) => this.#queued(bytes),
      closed: () => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#wake();
      },
    });
    this.#connections.add(connection);
  }

  /** Takes no more calls, lets those under way finish for up to `graceMs`, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    for (const connection of this.#connections) connection.close();
    const rest = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, graceMs);
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    clearTimeout(rest);
  }

  /** Whoever keeps the most waiting must go before it is too much for all. */
  #queued(bytes: number): void {
    this.#queuedBytes += bytes;
    if (bytes < 0 || this.#queuedBytes <= MAX_QUEUED_BYTES) return;
    let worst: Http2Connection | null = null;
    for (const connection of this.#connections)
      if (connection.outbox.queuedBytes > (worst?.outbox.queuedBytes ?? 0)) worst = connection;
    worst?.drop();
  }
}
