import { EngineError } from "../../core/errors/index.ts";

/** A request or a response. */
type Body = Pick<Request, "headers" | "body" | "text" | "arrayBuffer">;

const DECODER = new TextDecoder();

/**
 * A body as text, at most `maxBytes` of it.
 *
 * @throws EngineError `requestTooLarge` as soon as it is known to be longer; `canceled` when it breaks off.
 */
export async function readText(request: Body, maxBytes: number): Promise<string> {
  try {
    // The platform holds a body to its declared length, so reading it whole, which is quickest, is bounded too.
    if (isDeclaredWithin(request, maxBytes)) return await request.text();
    return DECODER.decode(await readStream(request, maxBytes));
  } catch (error) {
    throw brokenOff(error);
  }
}

/** A body as bytes; see {@link readText}. */
export async function readBytes(request: Body, maxBytes: number): Promise<Uint8Array> {
  try {
    if (isDeclaredWithin(request, maxBytes)) return new Uint8Array(await request.arrayBuffer());
    return await readStream(request, maxBytes);
  } catch (error) {
    throw brokenOff(error);
  }
}

/** Whether the length is declared. Too large a one is refused before anything is read. */
function isDeclaredWithin(request: Body, maxBytes: number): boolean {
  const declared = request.headers.get("Content-Length");
  if (declared === null || request.headers.has("Transfer-Encoding")) return false;
  if (!/^[0-9]+$/.test(declared))
    throw new EngineError("invalidArgument", { detail: "Content-Length: not a number" });
  if (Number(declared) > maxBytes) throw tooLarge(maxBytes);
  return true;
}

async function readStream(request: Body, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) break;
    length += next.value.length;
    if (length > maxBytes) {
      // Nobody waits for it: the sender may go on for ever.
      reader?.cancel().catch(() => undefined);
      throw tooLarge(maxBytes);
    }
    chunks.push(next.value);
  }
  return joined(chunks, length);
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function tooLarge(maxBytes: number): EngineError {
  return new EngineError("requestTooLarge", { detail: `the body has more than ${maxBytes} bytes` });
}

/** A client that hung up in the middle is no failure of ours. */
function brokenOff(error: unknown): EngineError {
  return error instanceof EngineError ? error : new EngineError("canceled", { cause: error });
}
