import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface PostOptions {
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Gives up. */
  readonly signal?: AbortSignal;
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

/** The head of an answer, and its body as it comes. */
export interface StreamedReply {
  readonly status: number;
  readonly body: IncomingMessage;
}

/**
 * One POST of JSON on a connection of its own. `fetch` would do, but it can neither be given a private authority nor
 * say whether a request that failed had been sent.
 */
export async function postJson(url: string, body: string, options: PostOptions): Promise<PostReply> {
  const post = new Post(url, body, options);
  try {
    const { status, body: answer } = await post.reply;
    return { status, text: await text(answer) };
  } catch (error) {
    throw post.failure(error);
  } finally {
    post.answered();
  }
}

/** A POST whose answer goes on for as long as the server likes: only its beginning is waited for with patience. */
export async function postForStream(url: string, body: string, options: PostOptions): Promise<StreamedReply> {
  const post = new Post(url, body, options);
  try {
    return await post.reply;
  } catch (error) {
    throw post.failure(error);
  } finally {
    post.answered();
  }
}

const KEEP_ALIVE_MS = 15_000;

class Post {
  readonly reply: Promise<StreamedReply>;
  readonly #timer: NodeJS.Timeout;
  #maybeSent = false;

  constructor(url: string, body: string, { timeoutMs, headers, signal, tls }: PostOptions) {
    const secure = url.startsWith("https:");
    const content = Buffer.from(body);
    const settings = {
      method: "POST",
      agent: false as const,
      ...(signal === undefined ? {} : { signal }),
      headers: { ...headers, "content-type": "application/json", "content-length": content.length },
    };
    const request = secure ? httpsRequest(url, { ...settings, ...pem(tls) }) : httpRequest(url, settings);
    this.#timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    this.reply = new Promise((resolve, reject) => {
      request.on("socket", (socket: Socket) => {
        // A server whose machine has gone would otherwise be listened to for ever.
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
        // Nothing is written before the connection stands, with TLS included.
        socket.once(secure ? "secureConnect" : "connect", () => (this.#maybeSent = true));
      });
      request.on("error", reject);
      request.on("response", (response: IncomingMessage) => {
        resolve({ status: response.statusCode ?? 0, body: response });
      });
    });
    request.end(content);
  }

  /** From now on it may take as long as it likes. */
  answered(): void {
    clearTimeout(this.#timer);
  }

  failure(error: unknown): PostError {
    return new PostError(describe(error as Error), this.#maybeSent);
  }
}

function pem(tls: PostOptions["tls"]): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(tls).map(([name, content]) => [name, Buffer.from(content)]));
}

function describe(error: Error): string {
  if (error.message !== "") return error.message;
  return (error as NodeJS.ErrnoException).code ?? error.name;
}
