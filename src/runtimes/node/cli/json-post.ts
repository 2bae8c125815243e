import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface PostOptions {
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: { readonly ca?: Uint8Array; readonly cert?: Uint8Array; readonly key?: Uint8Array };
}

export interface PostReply {
  readonly status: number;
  readonly text: string;
}

/** No answer came back. */
export class PostError extends Error {
  override readonly name = "PostError";
  /** The request may have reached the server; if not, it certainly has not. */
  readonly maybeSent: boolean;

  constructor(message: string, maybeSent: boolean) {
    super(message);
    this.maybeSent = maybeSent;
  }
}

/**
 * One POST of JSON on a connection of its own. `fetch` would do, but it can neither be given a private authority nor
 * say whether a request that failed had been sent.
 */
export function postJson(url: string, body: string, options: PostOptions): Promise<PostReply> {
  const secure = url.startsWith("https:");
  const { timeoutMs, headers, tls } = options;
  const content = Buffer.from(body);
  const settings = {
    method: "POST",
    agent: false as const,
    headers: { ...headers, "content-type": "application/json", "content-length": content.length },
  };
  return new Promise((resolve, reject) => {
    let maybeSent = false;
    const fail = (error: Error): void => reject(new PostError(describe(error), maybeSent));
    const request = secure ? httpsRequest(url, { ...settings, ...pem(tls) }) : httpRequest(url, settings);
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.on("socket", (socket: Socket) => {
      // Nothing is written before the connection stands, with TLS included.
      socket.once(secure ? "secureConnect" : "connect", () => (maybeSent = true));
    });
    request.on("error", fail);
    request.on("close", () => clearTimeout(timer));
    request.on("response", (response: IncomingMessage) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, text: answer }), fail);
    });
    request.end(content);
  });
}

function pem(tls: PostOptions["tls"]): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(tls).map(([name, content]) => [name, Buffer.from(content)]));
}

function describe(error: Error): string {
  if (error.message !== "") return error.message;
  return (error as NodeJS.ErrnoException).code ?? error.name;
}
