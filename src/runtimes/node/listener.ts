import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerOptions,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { EngineError } from "../../core/errors/index.ts";
import type { TlsConfig } from "./config/server-config.ts";
import { hostAndPort, isHttps } from "./config/urls.ts";
import type { ConnectionTaker } from "./peer-stream-route.ts";

export interface ListenerOptions {
  readonly url: string;
  /** Needed for https. */
  readonly tls: TlsConfig | null;
  readonly handle: RequestListener;
  /** Takes over connections that are to change their protocol; absent: none does. */
  readonly connections?: ConnectionTaker;
}

/** Sockets that one listener holds at the same time. */
const MAX_CONNECTIONS = 10_000;

const IDLE_CHECK_MS = 20;

const LIMITS: ServerOptions = {
  // A client that sends its head or body a byte at a time does not hold a socket for long.
  headersTimeout: 20_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5000,
  // Longer than load balancers and pools commonly keep idle connections, so that they are the ones to close.
  keepAliveTimeout: 75_000,
  maxHeaderSize: 16 << 10,
  noDelay: true,
};

/** One listening socket, with or without TLS. */
export class Listener {
  readonly url: string;
  readonly #server: Server;
  /** Connections that are no longer the HTTP server's. */
  readonly #takenOver = new Set<Duplex>();

  private constructor({ url, connections }: ListenerOptions, server: Server) {
    this.url = url;
    this.#server = server;
    if (connections === undefined) return;
    server.on("upgrade", (request, connection, head) => {
      this.#takenOver.add(connection);
      connection.on("close", () => this.#takenOver.delete(connection));
      connections.take(request, connection, head);
    });
  }

  /** Rejects with `invalidConfig` when the address cannot be listened on, or the certificate is none. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const server = createServer(options);
    server.maxConnections = MAX_CONNECTIONS;
    const { host, port } = hostAndPort(options.url);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(cannotListen(options.url, error)));
      // etcd's clients and ours mean the IPv4 address by this name; which one a resolver gives first is its own affair.
      server.listen({ host: host === "localhost" ? "127.0.0.1" : host, port }, () => {
        server.removeAllListeners("error");
        // From now on it is about one connection that could not be accepted: no reason for the process to end.
        server.on("error", () => undefined);
        resolve();
      });
    });
    return new Listener(options, server);
  }

  /** Takes no more connections, lets requests under way finish for up to `graceMs`, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#takenOver) connection.destroy();
    // A connection falls idle when its last answer is out, and would then be kept for the next request.
    const idle = setInterval(() => this.#server.closeIdleConnections(), IDLE_CHECK_MS);
    const rest = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(rest);
  }
}

function createServer({ url, tls, handle, connections }: ListenerOptions): Server {
  const options: ServerOptions =
    connections === undefined
      ? LIMITS
      : { ...LIMITS, shouldUpgradeCallback: (request) => connections.wants(request) };
  if (!isHttps(url)) return createHttpServer(options, handle);
  if (tls === null) throw new EngineError("invalidConfig", { detail: `${url} has no certificate` });
  try {
    return createHttpsServer({ ...options, ...serverTls(tls) }, handle);
  } catch (cause) {
    const detail = `${url}: the certificate or its key is unusable: ${(cause as Error).message}`;
    throw new EngineError("invalidConfig", { detail, cause });
  }
}

function serverTls({ cert, key, ca, requireClientCert }: TlsConfig): Record<string, unknown> {
  return {
    minVersion: "TLSv1.2",
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    ...(ca === null ? {} : { ca: Buffer.from(ca) }),
    requestCert: requireClientCert,
    rejectUnauthorized: requireClientCert,
  };
}

function cannotListen(url: string, cause: Error): EngineError {
  const code = (cause as NodeJS.ErrnoException).code;
  const reason = code === "EADDRINUSE" ? "another process uses this port" : cause.message;
  return new EngineError("invalidConfig", { detail: `cannot listen on ${url}: ${reason}`, cause });
}
