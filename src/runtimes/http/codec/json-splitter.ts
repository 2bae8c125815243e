import { EngineError } from "../../../core/errors/index.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * Cuts a stream of JSON objects, with nothing or white space between them, into one text for each. It only counts
 * brackets: what is inside is the parser's business.
 */
export class JsonSplitter {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder();
  /** What has arrived of an object that is not complete. */
  #parts: Uint8Array[] = [];
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @param maxBytes of one object. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The objects that are complete now.
   *
   * @throws EngineError `requestTooLarge` for one that is too long; `invalidArgument` for anything between objects.
   */
  *push(chunk: Uint8Array): Generator<string, void, undefined> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.#depth === 0) {
        if (isSpace(byte)) {
          start = at + 1;
          continue;
        }
        if (byte !== OPEN_BRACE) throw notAnObject();
        start = at;
      }
      this.#follow(byte);
      if (this.#depth === 0) {
        yield this.#take(chunk.subarray(start, at + 1));
        start = at + 1;
      }
    }
    // A copy: the chunk is the caller's.
    if (this.#depth > 0) this.#keep(chunk.slice(start));
  }

  /** There is no more. @throws EngineError `invalidArgument` in the middle of an object. */
  end(): void {
    if (this.#depth > 0)
      throw new EngineError("invalidArgument", { detail: "the body breaks off in an object" });
  }

  #follow(byte: number): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
      return;
    }
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth--;
  }

  #keep(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#maxBytes) {
      throw new EngineError("requestTooLarge", { detail: `a message has more than ${this.#maxBytes} bytes` });
    }
    this.#parts.push(part);
  }

  #take(last: Uint8Array): string {
    this.#keep(last);
    const parts = this.#parts;
    this.#parts = [];
    this.#length = 0;
    let text = "";
    for (const part of parts) text += this.#decoder.decode(part, { stream: true });
    return text + this.#decoder.decode();
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function notAnObject(): EngineError {
  return new EngineError("invalidArgument", { detail: "the body is not a sequence of JSON objects" });
}
