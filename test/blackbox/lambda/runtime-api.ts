import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/*
 * Where AWS's Runtime Interface Emulator can be had it stands here instead (emulator.ts). This one stays for what the
 * emulator cannot do: it collects an answer that is streamed and gives it out in one piece, so that nobody could tell
 * whether it left as it came. And for machines where the emulator cannot be had.
 */

/** What a handler that streams has sent. */
export interface Streamed {
  /** What came before the body: the status, the headers. */
  readonly prelude: { readonly statusCode: number; readonly headers?: Readonly<Record<string, string>> };
  /** With the moment at which it was here, in milliseconds since the invocation. */
  readonly pieces: readonly { readonly text: string; readonly afterMs: number }[];
}

interface Invocation {
  readonly id: string;
  readonly event: object;
  readonly deadlineMs: number;
  readonly take: (body: IncomingMessage) => Promise<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Between the prelude and the body. */
const DELIMITER = "\0".repeat(8);

/**
 * The Lambda Runtime API for one environment, as AWS documents it: the runtime asks for the next invocation and waits,
 * and posts what came of it.
 */
export class RuntimeApi {
  readonly #server: Server;
  /** The runtime, waiting for something to do; it may be frozen. */
  #waiting: ServerResponse | null = null;
  #queued: Invocation | null = null;
  #running: Invocation | null = null;
  /** Tells the invoker what came of it, once the runtime is idle. */
  #tell: () => void = () => {};
  #failure: Error | null = null;

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

  /** One at a time. Resolves when the runtime has asked for the next one. */
  invoke(event: object, timeoutMs: number): Promise<unknown> {
    return this.#invoke(event, timeoutMs, async (body) => JSON.parse(await text(body)) as unknown);
  }

  /** As `invoke`, of a handler that streams. */
  async invokeStreaming(event: object, timeoutMs: number): Promise<Streamed> {
    const startedMs = performance.now();
    return (await this.#invoke(event, timeoutMs, (body) => streamed(body, startedMs))) as Streamed;
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

  #invoke(event: object, timeoutMs: number, take: Invocation["take"]): Promise<unknown> {
    if (this.#running !== null || this.#queued !== null) throw new Error("an invocation is under way");
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#queued = { id: randomUUID(), event, deadlineMs: Date.now() + timeoutMs, take, resolve, reject };
    this.#hand();
    return promise;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, rest = ""] = /^\/2018-06-01\/runtime\/(.*)$/.exec(request.url ?? "") ?? [];
    if (request.method === "GET" && rest === "invocation/next") {
      this.#waiting = response;
      this.#running = null;
      this.#tell();
      this.#tell = () => {};
      this.#hand();
      return;
    }
    const [, id, kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(rest) ?? [];
    if (rest === "init/error") this.fail(new Error(`the function did not start: ${await text(request)}`));
    else if (kind === undefined || id !== this.#running?.id) {
      response.writeHead(400).end();
      return;
    } else await this.#end(kind, request);
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

  async #end(kind: string, body: IncomingMessage): Promise<void> {
    const { take, resolve, reject } = this.#running!;
    if (kind === "response") {
      const result = await take(body);
      this.#tell = () => resolve(result);
    } else {
      const error = new Error(`the function failed: ${await text(body)}`);
      this.#tell = () => reject(error);
    }
  }
}

async function streamed(body: IncomingMessage, startedMs: number): Promise<Streamed> {
  let prelude: Streamed["prelude"] | null = null;
  let before = "";
  const pieces: { text: string; afterMs: number }[] = [];
  for await (const chunk of body.setEncoding("utf8")) {
    let piece = chunk as string;
    if (prelude === null) {
      before += piece;
      const end = before.indexOf(DELIMITER);
      if (end === -1) continue;
      prelude = JSON.parse(before.slice(0, end)) as Streamed["prelude"];
      piece = before.slice(end + DELIMITER.length);
    }
    if (piece !== "") pieces.push({ text: piece, afterMs: performance.now() - startedMs });
  }
  if (prelude === null) throw new Error(`an answer without a prelude: ${before.slice(0, 200)}`);
  return { prelude, pieces };
}
