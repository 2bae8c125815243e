import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { CliError, ExitCode } from "./exit-codes.ts";
import { isFailure, type UserLogin } from "./user-login.ts";
import { postForStream, postJson, PostError, type PostOptions } from "./json-post.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export interface ApiOptions extends PostOptions {
  /** Tried in turn. */
  readonly endpoints: readonly string[];
  /** On whose behalf. */
  readonly login?: UserLogin;
}

/** The longest that a timer takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** gRPC's UNAVAILABLE: nobody to do it, or nobody knows whether it was done. */
const UNAVAILABLE = 14;

/** etcd's JSON API of a running cluster. */
export class ApiClient {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  get endpoints(): readonly string[] {
    return this.#options.endpoints;
  }

  /** Asks one endpoint after the other until one can answer. */
  async read(path: string, request: JsonObject): Promise<JsonObject> {
    const problems: string[] = [];
    let reached = false;
    for (const endpoint of this.endpoints) {
      const result = await this.#call(endpoint, path, request);
      if (result.ok) return result.reply;
      if (!result.elsewhere) throw new CliError(result.problem, ExitCode.failed);
      problems.push(`${endpoint}: ${result.problem}`);
      reached ||= result.code !== null;
    }
    throw new CliError(problems.join("\n"), reached ? ExitCode.failed : ExitCode.unreachable);
  }

  /** Sends a write to the first endpoint that takes it; never again once it may have been sent. */
  async write(path: string, request: JsonObject): Promise<JsonObject> {
    const problems: string[] = [];
    for (const endpoint of this.endpoints) {
      const result = await this.#call(endpoint, path, request);
      if (result.ok) return result.reply;
      const problem = `${endpoint}: ${result.problem}`;
      if (!result.maybeDone) {
        if (result.code !== null) throw new CliError(result.problem, ExitCode.failed);
        problems.push(problem);
        continue;
      }
      throw new CliError(`${problem}\nThe write may or may not have taken effect.`, ExitCode.unknown);
    }
    throw new CliError(problems.join("\n"), ExitCode.unreachable);
  }

  /**
   * Sends a request that takes as long as it takes to one endpoint. Null: another may be able to answer it; this one may
   * have begun to do what was asked, and may yet take it back when it notices that nobody waits.
   *
   * @throws CliError when it is refused, or when `signal` aborts.
   */
  async attempt(
    endpoint: string,
    path: string,
    request: JsonObject,
    signal: AbortSignal,
  ): Promise<JsonObject | null> {
    const result = await this.#call(endpoint, path, request, { signal, timeoutMs: MAX_TIMEOUT_MS });
    if (result.ok) return result.reply;
    if (signal.aborted) throw new CliError("given up while waiting", ExitCode.failed);
    if (!result.elsewhere) throw new CliError(result.problem, ExitCode.failed);
    return null;
  }

  /** Asks one endpoint. */
  async ask(endpoint: string, path: string, request: JsonObject): Promise<JsonObject> {
    const result = await this.#call(endpoint, path, request);
    if (result.ok) return result.reply;
    throw new CliError(result.problem, result.code === null ? ExitCode.unreachable : ExitCode.failed);
  }

  /**
   * Asks one endpoint for a stream of results.
   *
   * @param isBusy it always has something to say: when nothing comes for as long as an endpoint is waited for, it ends.
   * @throws StreamEnd with why there are no more.
   */
  async *stream(
    endpoint: string,
    path: string,
    request: JsonObject,
    isBusy = false,
  ): AsyncGenerator<JsonObject, never, undefined> {
    const body = await this.#openStream(endpoint, path, request);
    const { timeoutMs } = this.#options;
    if (isBusy) body.setTimeout(timeoutMs, () => body.destroy(new Error(`nothing came for ${timeoutMs} ms`)));
    try {
      for await (const line of createInterface({ input: body, crlfDelay: Infinity })) {
        const message = parseObject(line);
        if (message === null) throw new StreamEnd("this is no d-engine or etcd", true);
        if (message["error"] !== undefined) throw streamEnd(message);
        yield (message["result"] ?? {}) as JsonObject;
      }
      throw new StreamEnd("the server ended the stream", true);
    } catch (error) {
      if (error instanceof StreamEnd) throw error;
      throw new StreamEnd((error as Error).message, true);
    } finally {
      body.destroy();
    }
  }

  async #openStream(endpoint: string, path: string, request: JsonObject): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt++) {
      const options = await this.#signed(endpoint, this.#options);
      if (!("timeoutMs" in options)) throw new StreamEnd(options.problem, options.elsewhere);
      try {
        const { status, body } = await postForStream(`${endpoint}${path}`, JSON.stringify(request), options);
        if (status === 200) return body;
        const result = interpret(status, await text(body));
        if (result.ok) throw new StreamEnd("no stream", true);
        if (attempt === 1 && this.#options.login?.mayRenew(result.code, result.problem) === true) continue;
        throw new StreamEnd(result.problem, result.elsewhere);
      } catch (error) {
        if (error instanceof PostError) throw new StreamEnd(error.message, true);
        throw error;
      }
    }
  }

  async #call(
    endpoint: string,
    path: string,
    request: JsonObject,
    patience: Partial<PostOptions> = {},
  ): Promise<CallResult> {
    const given = { ...this.#options, ...patience };
    for (let attempt = 1; ; attempt++) {
      const options = await this.#signed(endpoint, given);
      if (!("timeoutMs" in options)) return options;
      const result = await this.#post(`${endpoint}${path}`, request, options);
      if (result.ok || attempt > 1) return result;
      // What a token was refused for has not been done.
      if (this.#options.login?.mayRenew(result.code, result.problem) !== true) return result;
    }
  }

  /** The options with the user's token, or why there is none. */
  async #signed(endpoint: string, options: PostOptions): Promise<PostOptions | Failure> {
    const headers = await this.#options.login?.headers(endpoint, options);
    if (headers === undefined) return options;
    if (!isFailure(headers)) return { ...options, headers: { ...options.headers, ...headers } };
    const { problem, code } = headers;
    const elsewhere = code === null || code === UNAVAILABLE;
    return { ok: false, code, problem: `logging in: ${problem}`, elsewhere, maybeDone: false };
  }

  async #post(url: string, request: JsonObject, options: PostOptions): Promise<CallResult> {
    try {
      const { status, text } = await postJson(url, JSON.stringify(request), options);
      return interpret(status, text);
    } catch (error) {
      if (!(error instanceof PostError)) throw error;
      return { ok: false, code: null, problem: error.message, elsewhere: true, maybeDone: error.maybeSent };
    }
  }
}

/** Why a stream has ended. */
export class StreamEnd extends Error {
  override readonly name = "StreamEnd";
  /** Another member, or this one later, may go on. */
  readonly elsewhere: boolean;

  constructor(message: string, elsewhere: boolean) {
    super(message);
    this.elsewhere = elsewhere;
  }
}

/** A stream's last line. */
function streamEnd({ error }: JsonObject): StreamEnd {
  const { message, grpc_code: code } = error as JsonObject;
  return new StreamEnd(typeof message === "string" ? message : "the stream has failed", code === UNAVAILABLE);
}

type CallResult = { readonly ok: true; readonly reply: JsonObject } | Failure;

interface Failure {
  readonly ok: false;
  /** gRPC code; null when no answer came. */
  readonly code: number | null;
  readonly problem: string;
  /** Another member may be able to answer. */
  readonly elsewhere: boolean;
  /** As a write it may have taken effect. */
  readonly maybeDone: boolean;
}

function interpret(status: number, text: string): CallResult {
  const reply = parseObject(text);
  if (status === 200 && reply !== null) return { ok: true, reply };
  if (reply === null || typeof reply["message"] !== "string") {
    const problem = `this is no d-engine or etcd: status ${status}, ${JSON.stringify(text.slice(0, 200))}`;
    return { ok: false, code: status, problem, elsewhere: true, maybeDone: status >= 500 };
  }
  const code = typeof reply["code"] === "number" ? reply["code"] : 2;
  const detail = reply["detail"];
  const message = reply["message"];
  const problem =
    typeof detail === "string" && !message.includes(detail) ? `${message} (${detail})` : message;
  return { ok: false, code, problem, elsewhere: code === UNAVAILABLE, maybeDone: code === UNAVAILABLE };
}

function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : null;
  } catch {
    return null;
  }
}
