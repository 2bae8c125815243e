import { EngineError } from "../../../core/errors/index.ts";
import type { Logger } from "../../../core/node/index.ts";
import type { Accounts } from "../auth/accounts.ts";
import type { Base64 } from "../base64.ts";
import type { Guard } from "../client-auth.ts";
import { decodeJsonBody, JsonDecoders, JsonEncoders } from "../codec/index.ts";
import { errorReply, streamError } from "../errors.ts";
import { rawPath } from "../raw-path.ts";
import { SocketCode } from "./session.ts";
import { requiresLeader, streamPaths } from "./stream-call.ts";
import { STREAM_METHODS, type StreamMethod } from "./stream-methods.ts";

/** A connection that carries texts both ways: a WebSocket, on whichever platform. */
export interface TextSocket {
  /** What the other side says, as it comes; ends when it says no more. */
  readonly incoming: AsyncIterable<string>;
  /** Resolves when there is room for more; false when nobody listens any more. */
  send(text: string): Promise<boolean>;
  /** Says goodbye with one of RFC 6455's status codes. */
  close(code: number): void;
}

/** Talks to a client until one of both has had enough. Never rejects. */
export type SocketServer = (socket: TextSocket) => Promise<void>;

export interface SocketOptions {
  readonly accounts: Accounts;
  readonly base64: Base64;
  readonly guard: Guard;
  readonly logger: Logger;
}

/** What a client says to hear whether anybody is there, and what it hears. On Workers that wakes nobody. */
export const PING = "ping";
export const PONG = "pong";

/**
 * The streaming methods over WebSockets, on the paths on which they take a POST: every message is one JSON object,
 * and the same that it would be in a body (etcd's gateway does it by grpc-websocket-proxy).
 *
 * @returns who serves a request to open one, or the reply that refuses it.
 */
export function streamSockets({
  accounts,
  base64,
  guard,
  logger,
}: SocketOptions): (request: Request) => SocketServer | Response {
  const decoders = new JsonDecoders(base64);
  const encoders = new JsonEncoders(base64);
  const methods = new Map<string, StreamMethod>();
  for (const method of STREAM_METHODS) for (const path of streamPaths(method)) methods.set(path, method);
  return (request) => {
    const asked = withProtocolToken(request);
    const refusal = guard(asked);
    if (refusal !== null) return refusal;
    const method = methods.get(rawPath(request));
    if (method === undefined) {
      return errorReply({ message: "d-engine: there is no WebSocket here", code: 5, reason: "notFound" });
    }
    const decode = decoders.of<unknown>(method.request);
    const encode = encoders.of<unknown>(method.response);
    const requireLeader = requiresLeader(request.headers);
    return async (socket) => {
      const over = new AbortController();
      const messages = decoded(socket, (text) => decodeJsonBody(text, decode, method.root), over);
      try {
        const engine = await accounts.engineFor(request, asked.headers);
        const call = { signal: over.signal, requireLeader };
        for await (const reply of method.open(engine, messages, call)) {
          if (!(await socket.send(`{"result":${encode(reply)}}`))) break;
        }
        socket.close(SocketCode.normal);
      } catch (error) {
        if (!over.signal.aborted) await socket.send(streamError(error, logger).trimEnd());
        socket.close(error instanceof EngineError ? SocketCode.refused : SocketCode.failed);
      } finally {
        over.abort();
      }
    };
  };
}

/** Unlike a body, a socket that has nothing more to say has nobody who listens. */
async function* decoded(
  socket: TextSocket,
  decode: (text: string) => unknown,
  over: AbortController,
): AsyncGenerator<unknown, void, undefined> {
  for await (const text of socket.incoming) {
    if (text === PING) await socket.send(PONG);
    else yield decode(text);
  }
  over.abort();
}

/**
 * Browsers cannot set headers; they can name protocols: `new WebSocket(url, ["bearer", token])`. Where the client token
 * and a user's are both needed, `["bearer", clientToken, "user", userToken]`.
 */
export function withProtocolToken(request: Request): Request {
  const [scheme, token, other, userToken] = (request.headers.get("Sec-WebSocket-Protocol") ?? "").split(
    /, */,
  );
  if (scheme?.toLowerCase() !== "bearer" || token === undefined || request.headers.has("Authorization"))
    return request;
  const headers = new Headers(request.headers);
  headers.set("Authorization", `Bearer ${token}`);
  if (other?.toLowerCase() === "user" && userToken !== undefined) headers.set("Token", userToken);
  return new Request(request.url, { headers });
}
