import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { EngineError } from "../../core/errors/index.ts";
import { PEER_PATH, type PeerHandler } from "../http/peer/index.ts";
import {
  ACKNOWLEDGE_AFTER_MS,
  PEER_STREAM_PROTOCOL,
  PieceReader,
  PREFIX_BYTES,
} from "./peers/stream-pieces.ts";

/** Takes over a connection that is to change its protocol: an HTTP server's `upgrade` event. */
export interface ConnectionTaker {
  /** Other offers to change the protocol are not taken up, and the request is answered over HTTP. */
  wants(request: IncomingMessage): boolean;
  take(request: IncomingMessage, connection: Duplex, head: Buffer): void;
}

/** How long strangers and silent members are borne with. */
export interface StreamPatience {
  /** Until something authentic has come. */
  readonly proveWithinMs: number;
  /** A member that has something to say says it more often; one that has not can come back. */
  readonly idleTimeoutMs: number;
}

const PATIENCE: StreamPatience = { proveWithinMs: 10_000, idleTimeoutMs: 120_000 };

const ACCEPT = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PEER_STREAM_PROTOCOL}\r\n\r\n`;
const REFUSE = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/** The peer route's receiving end for members that send many envelopes over one connection. */
export function peerStreams(
  receive: PeerHandler,
  maxBodyBytes: number,
  patience: StreamPatience = PATIENCE,
): ConnectionTaker {
  const wants = ({ url, headers }: IncomingMessage): boolean =>
    url === PEER_PATH && headers.upgrade === PEER_STREAM_PROTOCOL;
  return {
    wants,
    take: (request, connection, head) => {
      // An HTTP server's connections are sockets, with or without TLS.
      const socket = connection as Socket;
      // Whoever sent it learns of it by the connection's end.
      socket.on("error", () => socket.destroy());
      if (!wants(request)) return void socket.end(REFUSE);
      socket.write(ACCEPT);
      new IncomingStream(socket, receive, maxBodyBytes, patience).push(head);
    },
  };
}

class IncomingStream {
  readonly #socket: Socket;
  readonly #receive: PeerHandler;
  readonly #pieces: PieceReader;
  #taken = 0;
  #acknowledging: NodeJS.Timeout | null = null;
  #draining = false;
  #proof: NodeJS.Timeout | null;

  constructor(socket: Socket, receive: PeerHandler, maxBodyBytes: number, patience: StreamPatience) {
    this.#socket = socket;
    this.#receive = receive;
    this.#pieces = new PieceReader(maxBodyBytes);
    this.#proof = setTimeout(() => socket.destroy(), patience.proveWithinMs);
    socket.setNoDelay(true);
    socket.setTimeout(patience.idleTimeoutMs, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.push(chunk));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#close());
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#pieces.push(chunk);
    if (this.#draining) this.#socket.pause();
    else void this.#drain();
  }

  /** One envelope after the other, so that frames stay in order. */
  async #drain(): Promise<void> {
    this.#draining = true;
    for (let piece = this.#next(); piece !== null; piece = this.#next()) {
      const { status } = await this.#receive(piece);
      // The sender finds out by POST why; here the receiver has logged it.
      if (status >= 300) return void this.#socket.destroy();
      this.#take();
    }
    this.#draining = false;
    this.#socket.resume();
  }

  #next(): Uint8Array | null {
    if (this.#socket.destroyed) return null;
    try {
      return this.#pieces.next();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      this.#socket.destroy();
      return null;
    }
  }

  #take(): void {
    this.#taken = (this.#taken + 1) >>> 0;
    if (this.#proof !== null) clearTimeout(this.#proof);
    this.#proof = null;
    this.#acknowledging ??= setTimeout(() => {
      this.#acknowledging = null;
      const count = Buffer.allocUnsafe(PREFIX_BYTES);
      count.writeUInt32LE(this.#taken);
      this.#socket.write(count);
    }, ACKNOWLEDGE_AFTER_MS);
  }

  #close(): void {
    if (this.#proof !== null) clearTimeout(this.#proof);
    if (this.#acknowledging !== null) clearTimeout(this.#acknowledging);
  }
}
