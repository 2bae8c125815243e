import { EngineError } from "../../core/errors/index.ts";
import { Patience, reasonOf } from "../../core/node/client/index.ts";
import type { Clock } from "../../core/node/index.ts";
import type { Login } from "./login.ts";
import { wasNotSent } from "./not-sent.ts";
import type { Fetch } from "./options.ts";
import { errorOfReply } from "./reply-error.ts";

export interface ExchangeOptions {
  readonly fetch: Fetch;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Of one reply. */
  readonly maxReplyBytes: number;
  /** Whose token goes with every request. */
  readonly login?: Login;
}

export interface ExchangeLimits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** A reply that goes on, and the way to have no more of it. */
export interface OpenReply {
  readonly body: ReadableStreamDefaultReader<Uint8Array>;
  close(): void;
}

/** Enough for any error; what is longer is no error of ours. */
const MAX_ERROR_BYTES = 64 << 10;

/**
 * Single requests, each to one endpoint, without a second attempt. Failures are EngineErrors: `unreachable` when
 * certainly nothing was sent, `connectionLost`, `timeout` and `badReply` when nobody knows what became of it,
 * `canceled`, and what the server says.
 */
export class Exchange {
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** The text of a reply that is no error. */
  async post(
    url: string,
    body: string,
    headers: Readonly<Record<string, string>>,
    limits: ExchangeLimits,
  ): Promise<string> {
    const patience = new Patience(this.#options.clock, [limits.signal], limits.timeoutMs);
    try {
      const { signal } = patience;
      return await this.#sign(url, signal, async (signed) => {
        const response = await this.#fetch(url, body, { ...headers, ...signed }, signal);
        return await this.#textOf(url, response, signal);
      });
    } finally {
      patience.end();
    }
  }

  /** A reply as it comes; `timeoutMs` is for its beginning, `signal` for all of it. */
  async open(
    url: string,
    body: string,
    headers: Readonly<Record<string, string>>,
    { signal, timeoutMs }: ExchangeLimits,
  ): Promise<OpenReply> {
    const whole = new Patience(this.#options.clock, [signal]);
    const cancelTimer = this.#options.clock.setTimer(timeoutMs, () =>
      whole.abort(new EngineError("timeout", { detail: `${url}: no reply within ${timeoutMs} ms` })),
    );
    let isOpen = false;
    try {
      const response = await this.#sign(url, whole.signal, async (signed) => {
        const reply = await this.#fetch(url, body, { ...headers, ...signed }, whole.signal);
        if (reply.status === 200) return reply;
        await this.#textOf(url, reply, whole.signal);
        throw new EngineError("badReply", { detail: `${url}: status ${reply.status}` });
      });
      if (response.body === null) throw new EngineError("badReply", { detail: `${url}: an empty reply` });
      const reader = response.body.getReader();
      isOpen = true;
      const close = (): void => {
        whole.end();
        reader.cancel().catch(() => undefined);
      };
      return { body: reader, close };
    } finally {
      cancelTimer();
      if (!isOpen) whole.end();
    }
  }

  async #sign<T>(
    url: string,
    signal: AbortSignal,
    attempt: (headers: Readonly<Record<string, string>>) => Promise<T>,
  ): Promise<T> {
    const { login } = this.#options;
    return login === undefined ? await attempt({}) : await login.send(url, signal, attempt);
  }

  async #fetch(
    url: string,
    body: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    if (signal.aborted) throw reasonOf(signal);
    try {
      // A redirect would lead the token somewhere else, and none is expected.
      const init: RequestInit = {
        method: "POST",
        redirect: "manual",
        headers: { ...this.#options.headers, ...headers },
        body,
        signal,
      };
      return await this.#options.fetch(url, init);
    } catch (error) {
      throw failureOf(url, error, signal);
    }
  }

  async #textOf(url: string, response: Response, signal: AbortSignal): Promise<string> {
    const { status, headers } = response;
    const isError = status !== 200;
    const maxBytes = isError ? MAX_ERROR_BYTES : this.#options.maxReplyBytes;
    const text = await readBounded(url, response, maxBytes, signal);
    if (isError) throw errorOfReply(status, headers, text);
    return text;
  }
}

/** Why a request or a reply broke off. */
export function failureOf(url: string, error: unknown, signal: AbortSignal): EngineError {
  if (error instanceof EngineError) return error;
  if (signal.aborted) return reasonOf(signal);
  const detail = `${url}: ${describe(error)}`;
  return new EngineError(wasNotSent(error) ? "unreachable" : "connectionLost", { detail, cause: error });
}

/** `fetch` says what happened only in its error's cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  return cause instanceof Error && cause.message !== "" ? `${message}: ${cause.message}` : message;
}

async function readBounded(
  url: string,
  response: Response,
  maxBytes: number,
  signal: AbortSignal,
): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  try {
    for (;;) {
      const next = await reader.read();
      if (next.done) return text + decoder.decode();
      length += next.value.length;
      if (length > maxBytes) {
        throw new EngineError("replyTooLarge", { detail: `${url}: more than ${maxBytes} bytes` });
      }
      text += decoder.decode(next.value, { stream: true });
    }
  } catch (error) {
    reader.cancel().catch(() => undefined);
    throw failureOf(url, error, signal);
  }
}
