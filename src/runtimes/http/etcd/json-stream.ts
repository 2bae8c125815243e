import type { Logger } from "../../../core/node/index.ts";
import { decodeJsonBody, type JsonDecoder, JsonSplitter } from "../codec/index.ts";
import { streamError } from "../errors.ts";

const ENCODER = new TextEncoder();

/** How the messages of one stream are read. */
export interface JsonMessages<T> {
  readonly decode: JsonDecoder<T>;
  /** Names a message in complaints about it. */
  readonly root: string;
  readonly maxMessageBytes: number;
}

/** The messages in a request's body, as they arrive; none after `signal` has aborted. */
export async function* jsonMessages<T>(
  body: ReadableStream<Uint8Array> | null,
  { decode, root, maxMessageBytes }: JsonMessages<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  if (body === null) return;
  const splitter = new JsonSplitter(maxMessageBytes);
  const reader = body.getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", stop);
  try {
    for (;;) {
      const next = await reader.read();
      if (next.done || signal.aborted) break;
      for (const text of splitter.push(next.value)) yield decodeJsonBody(text, decode, root);
    }
    splitter.end();
  } finally {
    signal.removeEventListener("abort", stop);
    // Whoever still sends does it for nobody.
    stop();
  }
}

/**
 * The replies as newline-delimited `{"result": ...}`, each made when the client can take it. What goes wrong before
 * the first is thrown, and becomes an ordinary error; later on it is the last line.
 *
 * @param closed called once nobody listens any more, or all has been said.
 */
export async function jsonReplies<T>(
  replies: AsyncGenerator<T, void, undefined>,
  encode: (reply: T) => string,
  logger: Logger,
  closed: () => void,
): Promise<Response> {
  let ready: IteratorResult<T, void> | null;
  try {
    ready = await replies.next();
  } catch (error) {
    closed();
    throw error;
  }
  let isGone = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = ready ?? (await replies.next());
          ready = null;
          if (isGone) return;
          if (next.done !== true)
            return controller.enqueue(ENCODER.encode(`{"result":${encode(next.value)}}\n`));
        } catch (error) {
          if (isGone) return;
          controller.enqueue(ENCODER.encode(streamError(error, logger)));
        }
        controller.close();
        closed();
      },
      async cancel() {
        isGone = true;
        closed();
        await replies.return();
      },
    },
    // Nothing ahead of what is asked for.
    { highWaterMark: 0 },
  );
  return new Response(stream, { status: 200, headers: { "Content-Type": "application/json" } });
}
