import type { Clock } from "../../../core/node/index.ts";
import type { Poster, PosterReply } from "../../http/peer/index.ts";
import type { PeerPoster } from "./peer-poster.ts";
import { PeerStream } from "./peer-stream.ts";
import { PEER_STREAM_PROTOCOL } from "./stream-pieces.ts";

/** After a connection could not be changed over, or broke: how long only POSTs are used. */
const RETRY_BROKEN_MS = 1000;
/** When the other side does not know what is meant. It may be replaced by one that does. */
const RETRY_UNSUPPORTED_MS = 60_000;

const SENT: PosterReply = { status: 204, body: new Uint8Array() };

/**
 * How envelopes get to one member: by POST, which every runtime understands and which says what was wrong; and once
 * that has worked, over a {@link PeerStream} for as long as it holds, if the member knows how.
 */
export class PeerWay implements Poster {
  readonly #poster: PeerPoster;
  readonly #clock: Clock;
  readonly #idleTimeoutMs: number;
  #stream: { readonly url: string; readonly stream: PeerStream } | null = null;
  #opening = false;
  #retryAtMs = 0;
  /** What was sent before is perhaps lost, and nobody has been told yet. */
  #loss: Error | null = null;
  #closed = false;

  constructor(poster: PeerPoster, clock: Clock, idleTimeoutMs: number) {
    this.#poster = poster;
    this.#clock = clock;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** As {@link PeerPoster.post}. Over a stream it resolves once sent, and a loss is reported by the next call. */
  async post(url: string, envelope: Uint8Array): Promise<PosterReply> {
    if (this.#loss !== null) {
      const loss = this.#loss;
      this.#loss = null;
      throw loss;
    }
    const current = this.#stream;
    if (current !== null && current.url === url) return await this.#send(current.stream, envelope);
    this.#abandon();
    const reply = await this.#poster.post(url, envelope);
    if (reply.status >= 200 && reply.status < 300) this.#changeOver(url);
    return reply;
  }

  close(): void {
    this.#closed = true;
    this.#abandon();
  }

  async #send(stream: PeerStream, envelope: Uint8Array): Promise<PosterReply> {
    try {
      await stream.send(envelope);
      return SENT;
    } catch (error) {
      // With this the loss has been reported.
      this.#abandon();
      this.#retryLater(RETRY_BROKEN_MS);
      throw error;
    }
  }

  #abandon(): void {
    const stream = this.#stream?.stream;
    this.#stream = null;
    stream?.close();
  }

  #changeOver(url: string): void {
    if (this.#opening || this.#closed || this.#clock.nowMs() < this.#retryAtMs) return;
    this.#opening = true;
    this.#poster.upgrade(url, PEER_STREAM_PROTOCOL).then(
      (socket) => {
        this.#opening = false;
        if (socket === null) this.#retryLater(RETRY_UNSUPPORTED_MS);
        else if (this.#closed) socket.destroy();
        else this.#stream = { url, stream: this.#open(socket) };
      },
      () => {
        this.#opening = false;
        this.#retryLater(RETRY_BROKEN_MS);
      },
    );
  }

  #open(socket: ConstructorParameters<typeof PeerStream>[0]): PeerStream {
    const stream = new PeerStream(socket, this.#idleTimeoutMs, (problem) => {
      if (this.#stream?.stream !== stream) return;
      this.#stream = null;
      this.#loss = problem;
      this.#retryLater(RETRY_BROKEN_MS);
    });
    return stream;
  }

  #retryLater(afterMs: number): void {
    this.#retryAtMs = this.#clock.nowMs() + afterMs;
  }
}
