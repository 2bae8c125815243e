import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { EngineError } from "../../core/errors/index.ts";

export interface OutgoingRequest {
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | null;
  /** For the beginning of the reply. */
  readonly signal: AbortSignal;
  /** How long the whole reply may take from its beginning on; it breaks off then. */
  readonly replyMs: number;
}

/** Of one connection, or said by the one who made it: not passed on. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Servers commonly hang up after five seconds without a request; after this a connection is not trusted any more. */
const IDLE_MS = 2000;

/**
 * Requests to the nodes over connections that are kept between them, as long as this process was not asleep: one that
 * was frozen finds its sockets open, while the other side may have closed them long ago; and a write that is sent into
 * such a socket ends as unknown. So connections that were idle for a while, by the wall clock, are let go of first.
 */
export class NodeRequests {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });
  #lastUsedMs = 0;

  /**
   * The reply as soon as it begins.
   *
   * @throws EngineError `unreachable`: nothing was sent. `connectionLost`: nobody knows what became of it. `timeout`:
   * the signal aborted after it was sent.
   */
  async send(url: string, outgoing: OutgoingRequest): Promise<Response> {
    this.#letGoOfIdle();
    const answer = await this.#exchange(url, outgoing);
    this.#lastUsedMs = Date.now();
    return responseOf(answer, outgoing.replyMs);
  }

  #exchange(url: string, { method, headers, body, signal }: OutgoingRequest): Promise<IncomingMessage> {
    const isSecure = url.startsWith("https:");
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    let isConnected = false;
    const fail = (cause: unknown): void => {
      const detail = `${new URL(url).origin}: ${signal.aborted ? "no answer in time" : messageOf(cause)}`;
      const code = isConnected ? (signal.aborted ? "timeout" : "connectionLost") : "unreachable";
      reject(new EngineError(code, { detail, retryAfterMs: 1000, cause }));
    };
    try {
      const request = (isSecure ? httpsRequest : httpRequest)(url, {
        method,
        headers: passedOn(headers, body),
        agent: isSecure ? this.#https : this.#http,
        signal,
      });
      request.on("socket", (socket: Socket) => {
        if (!socket.connecting) isConnected = true;
        else socket.once(isSecure ? "secureConnect" : "connect", () => (isConnected = true));
      });
      request.on("response", resolve);
      request.on("error", fail);
      request.end(body ?? undefined);
    } catch (error) {
      fail(error);
    }
    return promise;
  }

  #letGoOfIdle(): void {
    const nowMs = Date.now();
    if (Math.abs(nowMs - this.#lastUsedMs) < IDLE_MS) return;
    this.#lastUsedMs = nowMs;
    // Only those that nobody uses: several invocations may share this process.
    for (const agent of [this.#http, this.#https]) {
      for (const sockets of Object.values(agent.freeSockets))
        for (const socket of sockets ?? []) socket.destroy();
    }
  }
}

function passedOn(headers: Headers, body: Uint8Array | null): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of headers) if (!HOP_BY_HOP.has(name)) passed[name] = value;
  if (body !== null) passed["content-length"] = String(body.length);
  return passed;
}

function responseOf(answer: IncomingMessage, replyMs: number): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value === undefined || HOP_BY_HOP.has(name)) continue;
    for (const each of Array.isArray(value) ? value : [value]) headers.append(name, each);
  }
  const status = answer.statusCode ?? 502;
  const isEmpty = status === 204 || status === 304;
  if (isEmpty) answer.resume();
  const timer = setTimeout(() => answer.destroy(new Error("the invocation's time is up")), replyMs);
  answer.once("close", () => clearTimeout(timer));
  const body = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
}

/** An AggregateError of Node's sockets has no message of its own. */
function messageOf(error: unknown): string {
  const { message, code } = error as { readonly message?: string; readonly code?: string };
  return message !== undefined && message !== "" ? message : (code ?? String(error));
}
