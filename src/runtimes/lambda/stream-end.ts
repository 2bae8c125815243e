import { EngineError } from "../../core/errors/index.ts";

/** Where a stream may be cut: after these. */
type Separator = "\n\n" | "\n";

/** A piece that has not ended yet; longer ones no node sends. */
const MAX_PIECE_BYTES = 64 << 20;

const ENCODER = new TextEncoder();
/** An EventSource connects anew after so long, and says what the last event was that it saw. */
const RECONNECT: Uint8Array = ENCODER.encode("retry: 100\n\n");

/**
 * A reply that goes on, made to end by itself after `leftMs`, between two of its messages: what has been sent is whole,
 * and the client goes on where it was, by the last event's id or the last revision. Cut off by the platform, it would
 * end in the middle. Other replies are given back as they are.
 */
export function endingInTime(response: Response, leftMs: number): Response {
  const separator = separatorOf(response);
  if (separator === null || response.body === null) return response;
  const last = separator === "\n\n" ? RECONNECT : null;
  const body = wholeMessages(response.body, separator, leftMs, last);
  return new Response(body, { status: response.status, headers: response.headers });
}

/** Server-sent events, or JSON a line each; of the latter only streams come in chunks of unknown number. */
function separatorOf({ headers, status }: Response): Separator | null {
  if (status !== 200) return null;
  const type = headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) return "\n\n";
  return headers.has("Content-Length") || !type.startsWith("application/json") ? null : "\n";
}

function wholeMessages(
  source: ReadableStream<Uint8Array>,
  separator: Separator,
  leftMs: number,
  last: Uint8Array | null,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const { promise: timeIsUp, resolve: end } = Promise.withResolvers<"end">();
  const timer = setTimeout(() => end("end"), leftMs);
  const pieces = new Pieces(separator);
  const close = async (): Promise<void> => {
    clearTimeout(timer);
    await reader.cancel().catch(() => undefined);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const next = await Promise.race([timeIsUp, reader.read()]);
          if (next === "end") {
            await close();
            if (last !== null) controller.enqueue(last);
            return controller.close();
          }
          if (next.done) {
            clearTimeout(timer);
            const rest = pieces.rest();
            if (rest.length > 0) controller.enqueue(rest);
            return controller.close();
          }
          const whole = pieces.push(next.value);
          if (whole.length > 0) return controller.enqueue(whole);
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}

/** Cuts a stream of bytes after separators. */
class Pieces {
  readonly #separator: Separator;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #newlines = 0;

  constructor(separator: Separator) {
    this.#separator = separator;
  }

  /** What is whole by now. */
  push(chunk: Uint8Array): Uint8Array {
    const end = this.#lastEnd(chunk);
    this.#held.push(end === 0 ? chunk : chunk.subarray(0, end));
    this.#heldBytes += this.#held.at(-1)!.length;
    if (end === 0) {
      if (this.#heldBytes <= MAX_PIECE_BYTES) return new Uint8Array(0);
      throw new EngineError("replyTooLarge", { detail: `a message of more than ${MAX_PIECE_BYTES} bytes` });
    }
    const whole = this.rest();
    if (end < chunk.length) {
      this.#held = [chunk.subarray(end)];
      this.#heldBytes = chunk.length - end;
    }
    return whole;
  }

  rest(): Uint8Array {
    const whole = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return whole;
  }

  /** Behind the last separator that ends in the chunk; 0: none does. */
  #lastEnd(chunk: Uint8Array): number {
    let end = 0;
    for (let i = 0; i < chunk.length; i++) {
      this.#newlines = chunk[i] === 0x0a ? this.#newlines + 1 : 0;
      if (this.#newlines >= this.#separator.length) end = i + 1;
    }
    return end;
  }
}
