import type { Socket } from "node:net";
import { frame } from "./protocol.ts";

/** A client that makes the server talk, and does not read, is let go at so many bytes. */
const MAX_UNSENT_BYTES = 4 << 20;
/** Of one turn; whoever always has more to say shall not fill the memory with it. */
const MAX_TURN_BYTES = 64 << 10;
/** How long a client may take to let the last words be sent, and then to read them. */
const LAST_WORDS_MS = 20_000;
const GOODBYE_MS = 1000;

/** Frames on their way out: those that one event brings about leave together, as soon as all of them are there. */
export class FrameWriter {
  readonly #socket: Socket;
  readonly #writable: () => void;
  /** Somebody has been told to wait. */
  #isBlocked = false;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #flushing = false;
  #makesRoom = false;
  #hasEnded = false;

  /** @param writable called when the client has made room. */
  constructor(socket: Socket, writable: () => void) {
    this.#socket = socket;
    this.#writable = writable;
    socket.on("drain", () => this.#unblock());
  }

  /** Whether the client, and this turn, take more. */
  get isWritable(): boolean {
    const isWritable = this.#bytes < MAX_TURN_BYTES && !this.#socket.writableNeedDrain;
    if (!isWritable) this.#isBlocked = true;
    return isWritable;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    if (this.#hasEnded) return;
    const bytes = frame(type, flags, stream, payload);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#flushing) return;
    this.#flushing = true;
    const flush = (): void => {
      this.#flushing = false;
      this.#flush();
    };
    // What is sent because there is room again waits for a turn: others have something to say as well.
    if (this.#makesRoom) setImmediate(flush);
    else process.nextTick(flush);
  }

  /** Says goodbye: nothing is sent after what is on its way. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#flush();
    const socket = this.#socket;
    let patience = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
    socket.once("finish", () => {
      clearTimeout(patience);
      // Not hung up on at once: what still comes would make the system throw away what the client has not read.
      if (!socket.destroyed) patience = setTimeout(() => socket.destroy(), GOODBYE_MS);
    });
    socket.once("close", () => clearTimeout(patience));
    socket.end();
  }

  #flush(): void {
    const parts = this.#parts;
    if (parts.length === 0) return;
    const bytes = this.#bytes;
    this.#parts = [];
    this.#bytes = 0;
    const socket = this.#socket;
    if (!socket.writable) return;
    socket.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts, bytes));
    if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy();
    else this.#unblock();
  }

  #unblock(): void {
    if (!this.#isBlocked || this.#socket.writableNeedDrain) return;
    this.#isBlocked = false;
    this.#makesRoom = true;
    this.#writable();
    this.#makesRoom = false;
  }
}
