import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

interface Invocation {
  readonly id: string;
  readonly event: object;
  readonly deadlineMs: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The Lambda Runtime API for one environment, as AWS documents it: the runtime asks for the next invocation and waits,
 * and posts what came of it. This is what the Runtime Interface Emulator serves as well.
 */
export class RuntimeApi {
  readonly #server: Server;
  /** The runtime, waiting for something to do; it may be frozen. */
  #waiting: ServerResponse | null = null;
  #queued: Invocation | null = null;
  #running: Invocation | null = null;
  #failure: Error | null = null;
  /** Called when the runtime has nothing to do: from then on it may be frozen. */
  onIdle: () => void = () => {};

  constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  /** Where it listens, as `AWS_LAMBDA_RUNTIME_API` has it. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** One at a time. */
  invoke(event: object, timeoutMs: number): Promise<unknown> {
    if (this.#running !== null || this.#queued !== null) throw new Error("an invocation is under way");
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#queued = { id: randomUUID(), event, deadlineMs: Date.now() + timeoutMs, resolve, reject };
    this.#hand();
    return promise;
  }

  /** The process has ended, or is taken for hung. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#queued?.reject(error);
    this.#running?.reject(error);
  }

  async close(): Promise<void> {
    this.fail(new Error("closed"));
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, rest = ""] = /^\/2018-06-01\/runtime\/(.*)$/.exec(request.url ?? "") ?? [];
    if (request.method === "GET" && rest === "invocation/next") {
      this.#waiting = response;
      if (this.#queued === null) this.onIdle();
      else this.#hand();
      return;
    }
    const body = await text(request);
    const [, id, kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(rest) ?? [];
    if (rest === "init/error") this.fail(new Error(`the function did not start: ${body}`));
    else if (kind === undefined || id !== this.#running?.id) {
      response.writeHead(400).end();
      return;
    } else this.#end(kind, body);
    response.writeHead(202, { "Content-Type": "application/json" }).end('{"status":"OK"}');
  }

  #hand(): void {
    if (this.#queued === null || this.#waiting === null) return;
    const { id, event, deadlineMs } = this.#queued;
    this.#waiting.writeHead(200, {
      "Content-Type": "application/json",
      "Lambda-Runtime-Aws-Request-Id": id,
      "Lambda-Runtime-Deadline-Ms": String(deadlineMs),
      "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:012345678912:function:d-engine",
      "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
    });
    this.#waiting.end(JSON.stringify(event));
    this.#waiting = null;
    this.#running = this.#queued;
    this.#queued = null;
  }

  #end(kind: string, body: string): void {
    const { resolve, reject } = this.#running!;
    this.#running = null;
    if (kind === "response") resolve(JSON.parse(body));
    else reject(new Error(`the function failed: ${body}`));
  }
}
