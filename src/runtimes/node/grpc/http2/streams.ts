import type { Http2Call } from "./call.ts";
import { CutOffStreams } from "./cut-off-streams.ts";
import { ErrorCode, Http2Problem } from "./protocol.ts";

/** What has become of a client's streams (RFC 9113, section 5.1). */
export class Streams {
  readonly #calls = new Map<number, Http2Call>();
  readonly #cutOff = new CutOffStreams();
  #last = 0;

  /** The last that the client has begun. */
  get last(): number {
    return this.#last;
  }

  /** Calls under way. */
  get calls(): ReadonlyMap<number, Http2Call> {
    return this.#calls;
  }

  /** Whether nobody has begun it; those of even numbers would be ours to begin. */
  isIdle(stream: number): boolean {
    return stream > this.#last || stream % 2 === 0;
  }

  /** The client has begun it, and all before it are used up. */
  reached(stream: number): void {
    this.#last = stream;
  }

  begin(call: Http2Call): void {
    this.#calls.set(call.id, call);
  }

  /** @returns false when it had ended before. */
  end(call: Http2Call): boolean {
    return this.#calls.delete(call.id);
  }

  endAll(): void {
    this.#calls.clear();
  }

  /** It was ended from here, while the client may still be sending. */
  cutOff(stream: number): void {
    this.#cutOff.add(stream);
  }

  /** The client has ended it, and knows. */
  forget(stream: number): void {
    this.#cutOff.delete(stream);
  }

  /** Something of a stream that is over. @throws Http2Problem unless the client could not know. */
  late(stream: number, isLast: boolean): void {
    if (!this.#cutOff.has(stream))
      throw new Http2Problem(ErrorCode.streamClosed, "a stream goes on that has ended");
    if (isLast) this.#cutOff.delete(stream);
  }
}
