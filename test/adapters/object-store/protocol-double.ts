// A server in this process that speaks a little of a store's protocol, and fails where it is told to.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface DoubleRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface DoubleReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/**
 * - `reply`: this instead of the true one; the request is done all the same if `done`.
 * - `drop`: the connection breaks before or after the request is done.
 * - `hang`: no reply ever.
 * - `cut`: the reply breaks off in the middle of its body; so does a reply that promises another length than it has.
 */
export type Fault =
  | { readonly type: "reply"; readonly reply: DoubleReply; readonly done?: boolean }
  | { readonly type: "drop"; readonly done: boolean }
  | { readonly type: "hang"; readonly done: boolean }
  | { readonly type: "cut" };

export class ProtocolDouble {
  /** Whether a request fails, and how; asked once for each. Default: none does. */
  fault: (request: DoubleRequest) => Fault | null = () => null;
  /** Requests so far, whatever became of them. */
  requests = 0;
  readonly #server: Server;
  readonly #serve: (request: DoubleRequest) => DoubleReply;

  private constructor(serve: (request: DoubleRequest) => DoubleReply) {
    this.#serve = serve;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @param serve does what is asked, in one turn of the event loop: that makes conditions atomic. */
  static async start(serve: (request: DoubleRequest) => DoubleReply): Promise<ProtocolDouble> {
    const double = new ProtocolDouble(serve);
    double.#server.listen(0, "127.0.0.1");
    await once(double.#server, "listening");
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next requests fail so, that many. */
  failNext(fault: Fault, times = 1): void {
    let left = times;
    this.fault = () => (left-- > 0 ? fault : null);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // The client has gone away.
    }
    const { method = "", headers } = incoming;
    const url = new URL(incoming.url ?? "/", this.endpoint);
    const request: DoubleRequest = { method, url, headers, body: Buffer.concat(chunks) };
    this.requests++;
    const fault = this.fault(request);
    const reply = fault === null || fault.type === "cut" || fault.done === true ? this.#serve(request) : null;
    if (fault?.type === "hang") return;
    if (fault?.type === "drop") {
      incoming.socket.destroy();
      return;
    }
    const { status, headers: replyHeaders = {}, body = "" } = fault?.type === "reply" ? fault.reply : reply!;
    const bytes = Buffer.from(body as string);
    response.writeHead(status, { "content-length": String(bytes.length), ...replyHeaders });
    if (fault?.type === "cut" || replyHeaders["content-length"] !== undefined) {
      response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => incoming.socket.destroy());
    } else {
      response.end(bytes);
    }
  }
}
