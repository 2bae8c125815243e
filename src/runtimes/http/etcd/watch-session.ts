import type { ResumableWatchStream, SavedWatches, WatchResponse } from "../../../core/node/index.ts";
import { type LastingSocket, type Session, SocketCode } from "./session.ts";
import type { WatchRequest } from "./watch-messages.ts";
import { obey } from "./watch-method.ts";

export interface WatchSessionOptions {
  readonly stream: ResumableWatchStream;
  readonly socket: LastingSocket<SavedWatches>;
  readonly decode: (text: string) => WatchRequest;
  readonly encode: (response: WatchResponse) => string;
  /** Says what was wrong, and ends the connection. */
  readonly fail: (error: unknown) => void;
}

/**
 * Watches on one connection. What has been sent and what is kept are always the same: both are done in one turn, and
 * nobody is made to forget in the middle of a turn. So whoever goes on from what was kept tells nothing twice and
 * leaves nothing out.
 */
export class WatchSession implements Session {
  readonly #options: WatchSessionOptions;
  /** Parts of revisions, which are sent when all of them is there; and the watches whose revisions they are. */
  #parts: string[] = [];
  readonly #split: Set<bigint> = new Set();
  #isClosed = false;

  constructor(options: WatchSessionOptions) {
    this.#options = options;
    void this.#run();
  }

  async receive(text: string): Promise<void> {
    const { stream, decode } = this.#options;
    if (this.#isClosed) return;
    try {
      const request = decode(text);
      // Who does not read the answers may not ask for more.
      await stream.room();
      if (!this.#isClosed) obey(stream, request);
    } catch (error) {
      this.#fail(error);
    }
  }

  keep(): void {
    const { stream, socket } = this.#options;
    if (!this.#isClosed && this.#split.size === 0) socket.keep(stream.save());
  }

  close(): void {
    this.#isClosed = true;
    this.#options.stream.close();
  }

  async #run(): Promise<void> {
    const { stream, socket } = this.#options;
    try {
      for (let next = await stream.next(); next !== null; next = await stream.next()) {
        if (this.#isClosed) return;
        this.#tell(next);
        await socket.room();
      }
      if (!this.#isClosed) socket.close(SocketCode.normal);
    } catch (error) {
      this.#fail(error);
    }
  }

  #tell(response: WatchResponse): void {
    const { socket, encode } = this.#options;
    const { watchId, fragment, initial } = response;
    this.#parts.push(encode(response));
    if (fragment && !initial) this.#split.add(watchId);
    else this.#split.delete(watchId);
    if (this.#split.size > 0) return;
    for (const text of this.#parts) socket.send(text);
    this.#parts = [];
    this.keep();
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.fail(error);
  }
}
