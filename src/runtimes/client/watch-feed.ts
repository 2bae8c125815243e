import { EngineError } from "../../core/errors/index.ts";
import type { Clock, WatchCreateRequest } from "../../core/node/index.ts";
import { JsonSplitter } from "../http/codec/json-splitter.ts";
import type { WatchReply } from "../http/etcd/watch-messages.ts";
import type { Caller } from "./caller.ts";
import { type Calls, readMessage } from "./calls.ts";
import { type Exchange, failureOf, type OpenReply } from "./exchange.ts";

export interface WatchFeedOptions {
  readonly exchange: Exchange;
  readonly caller: Caller;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly maxReplyBytes: number;
  /** How long an endpoint may take to begin, and to say that it lives. */
  readonly attemptTimeoutMs: number;
  /** How long it may be silent before it is asked whether it lives. */
  readonly idleMs: number;
}

/**
 * How long a connection may be silent although its endpoint lives: something between may have forgotten it. Servers
 * tell of progress more often than that if anything has happened to the store.
 */
const MAX_SILENCE_MS = 15 * 60_000;

/** A member that is cut off from the others must end the stream, so that it can be had elsewhere. */
const REQUIRE_LEADER = { "Grpc-Metadata-Hasleader": "true" };

/**
 * The replies to watch requests, from one endpoint, read when they are asked for.
 *
 * @throws EngineError when it fails, goes away, or does not answer any more.
 */
export async function* watchFeed(
  options: WatchFeedOptions,
  url: string,
  requests: readonly WatchCreateRequest[],
  signal: AbortSignal,
): AsyncGenerator<WatchReply, void, undefined> {
  const { exchange, calls, attemptTimeoutMs: timeoutMs, maxReplyBytes } = options;
  const body = requests.map((request) => calls.encodeWatch({ type: "create", request })).join("\n");
  const reply = await exchange.open(`${url}/v3/watch`, body, REQUIRE_LEADER, { signal, timeoutMs });
  const splitter = new JsonSplitter(maxReplyBytes);
  try {
    for (;;) {
      const chunk = await read(options, url, reply, signal);
      if (chunk === null) return;
      for (const line of pieces(splitter, chunk)) {
        const message = readMessage(line, calls.decodeWatch);
        if (message.header.memberId === undefined) {
          throw new EngineError("badReply", { detail: "a watch response has no header" });
        }
        yield message;
      }
    }
  } finally {
    reply.close();
  }
}

function pieces(splitter: JsonSplitter, chunk: Uint8Array): readonly string[] {
  try {
    return [...splitter.push(chunk)];
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const code = error.code === "requestTooLarge" ? "replyTooLarge" : "badReply";
    throw new EngineError(code, { detail: error.detail ?? error.message });
  }
}

/** What comes next; null at the end. While nothing comes, the endpoint is asked from time to time whether it lives. */
async function read(
  options: WatchFeedOptions,
  url: string,
  reply: OpenReply,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const { clock, idleMs } = options;
  const next = reply.body.read().then(
    ({ done, value }) => (done ? null : value),
    (error: unknown) => {
      throw failureOf(url, error, signal);
    },
  );
  // It is read below or, when the endpoint has been found dead, not at all.
  next.catch(() => undefined);
  for (let silentMs = 0; silentMs < MAX_SILENCE_MS; silentMs += idleMs) {
    const chunk = await before(next, idleMs, clock);
    if (chunk !== SILENCE) return chunk;
    await prove(options, url, signal);
  }
  throw new EngineError("connectionLost", { detail: `${url} has been silent for ${MAX_SILENCE_MS} ms` });
}

const SILENCE: unique symbol = Symbol("silence");

async function before<T>(next: Promise<T>, delayMs: number, clock: Clock): Promise<T | typeof SILENCE> {
  let cancel = (): void => undefined;
  const silence = new Promise<typeof SILENCE>((resolve) => {
    cancel = clock.setTimer(delayMs, () => resolve(SILENCE));
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    cancel();
  }
}

async function prove(
  { caller, calls, attemptTimeoutMs: timeoutMs }: WatchFeedOptions,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await caller.ask(url, calls.status, {}, { signal, timeoutMs });
  } catch (error) {
    // Any answer is a sign of life, but for those of something that is no server of ours.
    if (!(error instanceof EngineError) || error.retryable) throw error;
  }
}
