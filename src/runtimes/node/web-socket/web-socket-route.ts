import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { SocketServer } from "../../http/index.ts";
import type { ConnectionTaker } from "../peer-stream-route.ts";
import { ServerWebSocket, type WebSocketLimits } from "./web-socket.ts";

/** RFC 6455, section 1.3. */
const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";

/**
 * Takes connections that clients want to be WebSockets.
 *
 * @param certify notes who sends a request.
 */
export function webSockets(
  serverOf: (request: Request) => SocketServer | Response,
  certify: (request: Request, incoming: IncomingMessage) => void,
  limits: WebSocketLimits,
): ConnectionTaker {
  return {
    wants: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    take: (request, connection, head) => {
      // An HTTP server's connections are sockets, with or without TLS.
      const socket = connection as Socket;
      socket.on("error", () => socket.destroy());
      const serverFor = (): SocketServer | Response => {
        const asked = asRequest(request);
        certify(asked, request);
        return serverOf(asked);
      };
      take(request, socket, head, serverFor, limits).catch(() => socket.destroy());
    },
  };
}

async function take(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  serverFor: () => SocketServer | Response,
  limits: WebSocketLimits,
): Promise<void> {
  const { "sec-websocket-key": key, "sec-websocket-version": version } = request.headers;
  if (request.method !== "GET" || key === undefined || version !== VERSION) {
    return refuse(
      socket,
      400,
      `Sec-WebSocket-Version: ${VERSION}\r\n`,
      "this is no request for a WebSocket\n",
    );
  }
  const server = serverFor();
  if (server instanceof Response) {
    return refuse(socket, server.status, "Content-Type: application/json\r\n", await server.text());
  }
  const accept = createHash("sha1")
    .update(key + MAGIC)
    .digest("base64");
  const protocol = firstProtocol(request);
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n${protocol === null ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
  );
  await server(new ServerWebSocket(socket, head, limits));
}

function refuse(socket: Socket, status: number, headers: string, body: string): void {
  const length = Buffer.byteLength(body);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: ${length}\r\n${headers}\r\n${body}`,
  );
}

/** A client that names protocols wants one of them to be chosen; the token that stands behind the first is none. */
function firstProtocol({ headers }: IncomingMessage): string | null {
  const first = headers["sec-websocket-protocol"]?.split(",")[0]?.trim();
  return first !== undefined && /^[\w.-]{1,64}$/.test(first) ? first : null;
}

/** What the app decides by: the path and the headers. */
function asRequest(request: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  const path = request.url?.startsWith("/") === true ? request.url : "/";
  return new Request(`http://localhost${path}`, { headers });
}
