import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerOptions,
} from "node:http";
import {
  createServer as createHttpsServer,
  Server as HttpsServer,
  type ServerOptions as HttpsOptions,
} from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { EngineError } from "../../core/errors/index.ts";
import type { Clock } from "../../core/node/index.ts";
import { hostAndPort, isHttps } from "./config/urls.ts";
import type { CallHandler } from "./grpc/calls.ts";
import { tellProtocols } from "./grpc/preface.ts";
import { GrpcSessions } from "./grpc/sessions.ts";
import type { GrpcSettings } from "./grpc/settings.ts";
import type { ConnectionTaker } from "./peer-stream-route.ts";
import type { Certificates } from "./tls/certificates.ts";
import { certifiedUser, commonName } from "./tls/common-name.ts";
import { Handshakes } from "./tls/handshakes.ts";
import { secureContext } from "./tls/pem.ts";

export interface ListenerOptions {
  readonly url: string;
  /** Needed for https. */
  readonly tls: Certificates | null;
  readonly handle: RequestListener;
  /** Takes over connections that are to change their protocol; absent: none does. */
  readonly connections?: ConnectionTaker;
  /** Answers calls of gRPC; absent: HTTP/2 is not spoken. */
  readonly grpc?: { readonly handle: CallHandler; readonly settings: GrpcSettings };
  /** By which handshakes are given up. */
  readonly clock?: Clock;
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
  /** Connections that have not said yet what they speak. */
  readonly #silent = new Set<Duplex>();
  readonly #handshakes: Handshakes;
  readonly #grpc: GrpcSessions | null;

  private constructor({ url, tls, connections, grpc, clock }: ListenerOptions, server: Server) {
    this.url = url;
    this.#handshakes = new Handshakes(clock);
    this.#server = server;
    this.#grpc = grpc === undefined ? null : new GrpcSessions(grpc.handle, grpc.settings);
    if (server instanceof HttpsServer && tls !== null) this.#secure(server, tls);
    else if (this.#grpc !== null) this.#divert(server, this.#grpc);
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
    const listener = new Listener(options, server);
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
    return listener;
  }

  /** Takes no more connections, lets requests under way finish for up to `graceMs`, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of [...this.#takenOver, ...this.#silent]) connection.destroy();
    this.#handshakes.close();
    const callsClosed = this.#grpc?.close(graceMs);
    // A connection falls idle when its last answer is out, and would then be kept for the next request.
    const idle = setInterval(() => this.#server.closeIdleConnections(), IDLE_CHECK_MS);
    const rest = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await Promise.all([closed, callsClosed]);
    clearInterval(idle);
    clearTimeout(rest);
  }

  /** Stands between the server and its connections: those that speak HTTP/2 are not for it. */
  #divert(server: Server, grpc: GrpcSessions): void {
    const http1 = takeOver(server, "connection");
    const takers = { http1, http2: (socket: Socket) => grpc.take(socket, null) };
    server.on("connection", (socket: Socket) => {
      this.#silent.add(socket);
      tellProtocols(socket, takers, () => this.#silent.delete(socket));
    });
  }

  /** The same where the handshake has told what is spoken. */
  #secure(server: HttpsServer, tls: Certificates): void {
    const { allowedCn } = tls.config;
    const http1 = takeOver(server, "secureConnection");
    server.on("connection", (socket: Socket) => this.#handshakes.begun(socket));
    server.on("secureConnection", (socket: TLSSocket) => {
      this.#handshakes.done(socket);
      if (allowedCn !== null && commonName(socket) !== allowedCn) socket.destroy();
      else if (socket.alpnProtocol === "h2" && this.#grpc !== null)
        this.#grpc.take(socket, certifiedUser(socket, tls.config));
      else http1(socket);
    });
    tls.onChange((pem) =>
      server.setSecureContext({ ...secureContext(pem), minVersion: tls.config.minVersion }),
    );
  }
}

/** Takes an event away from those who listened, and gives what tells them all the same. */
function takeOver(server: Server, event: "connection" | "secureConnection"): (socket: Socket) => void {
  const listeners = server.listeners(event) as ((socket: Socket) => void)[];
  server.removeAllListeners(event);
  return (socket) => {
    for (const listener of listeners) listener.call(server, socket);
  };
}

function createServer({ url, tls, handle, connections, grpc }: ListenerOptions): Server {
  const options: ServerOptions =
    connections === undefined
      ? LIMITS
      : { ...LIMITS, shouldUpgradeCallback: (request) => connections.wants(request) };
  if (!isHttps(url)) return createHttpServer(options, handle);
  if (tls === null) throw new EngineError("invalidConfig", { detail: `${url} has no certificate` });
  // Who offers both speaks JSON: gRPC's clients offer HTTP/2 alone, and over that there is nothing else here.
  const ALPNProtocols = grpc === undefined ? ["http/1.1"] : ["http/1.1", "h2"];
  return createHttpsServer({ ...options, ...serverTls(tls), ALPNProtocols }, handle);
}

function serverTls({ current, config }: Certificates): HttpsOptions {
  const { minVersion, requireClientCert } = config;
  return {
    ...secureContext(current),
    minVersion,
    requestCert: requireClientCert,
    rejectUnauthorized: requireClientCert,
  };
}

function cannotListen(url: string, cause: Error): EngineError {
  const code = (cause as NodeJS.ErrnoException).code;
  const reason = code === "EADDRINUSE" ? "another process uses this port" : cause.message;
  return new EngineError("invalidConfig", { detail: `cannot listen on ${url}: ${reason}`, cause });
}
