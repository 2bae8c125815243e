import type { IncomingMessage, RequestListener } from "node:http";
import { getRequestListener, type Http2Bindings, type HttpBindings } from "@hono/node-server";
import type { AppOptions } from "../http/index.ts";
import { APP_LIMITS, createApp, createSockets } from "../http/index.ts";
import type { PeerHandler } from "../http/peer/index.ts";
import type { Logger } from "../../core/node/index.ts";
import type { ServerConfig, TlsConfig } from "./config/server-config.ts";
import { type CallHandler, grpcCalls, startingCalls } from "./grpc/calls.ts";
import { Listener } from "./listener.ts";
import { peerListener } from "./peer-route.ts";
import { type ConnectionTaker, peerStreams } from "./peer-stream-route.ts";
import { Certificates } from "./tls/certificates.ts";
import { certifiedUser } from "./tls/common-name.ts";
import { WEB_SOCKET_LIMITS } from "./web-socket/web-socket.ts";
import { webSockets } from "./web-socket/web-socket-route.ts";

/** What a gRPC message may have beside what the engine counts (etcd: server/etcdserver/api/v3rpc/grpc.go). */
const GRPC_OVERHEAD = 512 << 10;

export interface DoorsOptions {
  readonly config: ServerConfig;
  /** Largest body taken from a peer. */
  readonly maxPeerBytes: number;
  /**
   * Let the HTTP server put its own, quicker Request and Response classes in the place of the process's global ones
   * (measured: a third of the time for a small request). For processes of our own.
   */
  readonly replaceGlobals: boolean;
  readonly logger: Logger;
}

/**
 * The listening sockets of one node. They open before the node starts, so that a port in use is known before
 * anything else has happened, and turn everything away until they are told whom to serve.
 */
export class Doors {
  readonly #options: DoorsOptions;
  readonly #clientTls: Certificates | null;
  /** What members show each other, both ways. */
  readonly peerTls: Certificates | null;
  readonly #forClients: Listener[] = [];
  /** Those for members, or for both. */
  readonly #forPeers: Listener[] = [];
  #clients: RequestListener = starting;
  #peers: RequestListener = starting;
  #both: RequestListener = starting;
  #calls: CallHandler = startingCalls;
  #streams: ConnectionTaker | null = null;
  #webSockets: ConnectionTaker | null = null;

  private constructor(options: DoorsOptions) {
    this.#options = options;
    const { config, logger } = options;
    const certificates = (tls: TlsConfig | null, of: "clients" | "peers"): Certificates | null =>
      tls === null ? null : new Certificates({ config: tls, of, logger });
    this.#clientTls = certificates(config.clientTls, "clients");
    this.peerTls = certificates(config.peerTls, "peers");
  }

  static async open(options: DoorsOptions): Promise<Doors> {
    const doors = new Doors(options);
    const { listenClientUrls, listenPeerUrls } = options.config;
    const handleCall: CallHandler = (exchange, certified) => doors.#calls(exchange, certified);
    const grpc = { handle: handleCall, settings: options.config.grpc };
    try {
      for (const url of listenClientUrls.filter((each) => !listenPeerUrls.includes(each))) {
        const handle: RequestListener = (request, response) => doors.#clients(request, response);
        const connections = takenBy(() => [doors.#webSockets]);
        doors.#forClients.push(
          await Listener.open({ url, tls: doors.#clientTls, handle, connections, grpc }),
        );
      }
      for (const url of listenPeerUrls) {
        const isForBoth = listenClientUrls.includes(url);
        const handle: RequestListener = isForBoth
          ? (request, response) => doors.#both(request, response)
          : (request, response) => doors.#peers(request, response);
        const connections = takenBy(() => [doors.#streams, isForBoth ? doors.#webSockets : null]);
        const shared = isForBoth ? { grpc } : {};
        doors.#forPeers.push(
          await Listener.open({ url, tls: doors.peerTls, handle, connections, ...shared }),
        );
      }
    } catch (error) {
      await doors.close(0);
      throw error;
    }
    return doors;
  }

  get urls(): readonly string[] {
    return [...this.#forClients, ...this.#forPeers].map(({ url }) => url);
  }

  /** Lets other members in. */
  servePeers(receive: PeerHandler): void {
    const { maxPeerBytes } = this.#options;
    this.#peers = peerListener(receive, maxPeerBytes);
    this.#streams = peerStreams(receive, maxPeerBytes);
    this.#both = peerListener(receive, maxPeerBytes, (request, response) => this.#clients(request, response));
  }

  /** Lets clients in. */
  serveClients(clients: AppOptions): void {
    const { clientTls } = this.#options.config;
    const users = new WeakMap<Request, string>();
    const options = { ...clients, certifiedUser: (request: Request) => users.get(request) ?? null };
    const certify = (request: Request, { socket }: IncomingMessage): void => {
      const user = clientTls === null ? null : certifiedUser(socket, clientTls);
      if (user !== null) users.set(request, user);
    };
    const app = createApp(options);
    const fetch = (request: Request, env: HttpBindings | Http2Bindings): Response | Promise<Response> => {
      certify(request, (env as HttpBindings).incoming);
      return app.fetch(request);
    };
    const { replaceGlobals } = this.#options;
    const listener = getRequestListener(fetch, { overrideGlobalObjects: replaceGlobals });
    this.#clients = (request, response) => void listener(request, response);
    const maxMessageBytes = options.limits?.maxRequestBytes ?? APP_LIMITS.maxRequestBytes;
    this.#calls = grpcCalls({
      ...options,
      maxMessageBytes: this.#options.config.maxRequestBytes + GRPC_OVERHEAD,
    });
    this.#webSockets = webSockets(createSockets(options), certify, { ...WEB_SOCKET_LIMITS, maxMessageBytes });
  }

  /** Takes no more requests of clients, except where members come in too, and lets those under way finish. */
  async closeToClients(graceMs: number): Promise<void> {
    await closeAll(this.#forClients, graceMs);
  }

  /** Takes no more requests and lets those under way finish for up to `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#clientTls?.stop();
    this.peerTls?.stop();
    await closeAll([...this.#forClients, ...this.#forPeers], graceMs);
  }
}

/** Whoever of several wants a connection gets it. */
function takenBy(takers: () => readonly (ConnectionTaker | null)[]): ConnectionTaker {
  const taker = (request: IncomingMessage): ConnectionTaker | null =>
    takers().find((each) => each?.wants(request) === true) ?? null;
  return {
    wants: (request) => taker(request) !== null,
    take: (request, connection, head) => {
      const chosen = taker(request);
      if (chosen === null) connection.destroy();
      else chosen.take(request, connection, head);
    },
  };
}

async function closeAll(listeners: readonly Listener[], graceMs: number): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close(graceMs)));
}

const starting: RequestListener = (_request, response) => {
  const message = "d-engine: this member is starting";
  response.writeHead(503, { "content-type": "application/json", "retry-after": "1" });
  response.end(JSON.stringify({ error: message, message, code: 14, reason: "unhealthy" }));
};
