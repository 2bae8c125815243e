import type { Socket } from "node:net";
import { ACKNOWLEDGE_AFTER_MS, PREFIX_BYTES } from "./stream-pieces.ts";

/** Up to this size a copy costs less than a second buffer in the system call. */
const COPY_BYTES = 16 << 10;

/**
 * The sending end of a connection to a member that has changed over from HTTP: nothing but sealed envelopes, without
 * a request and an answer around each. Those cost half of the processor time of a write that nobody shares, and three
 * tenths of it at 64 clients (npm run bench, three members on two processors).
 */
export class PeerStream {
  readonly #socket: Socket;
  readonly #idleTimeoutMs: number;
  readonly #onClose: (problem: Error | null) => void;
  #sent = 0;
  #acknowledged = 0;
  #partialCount: Buffer = Buffer.alloc(0);
  #problem: Error | null = null;
  readonly #watchdog: NodeJS.Timeout;

  /**
   * @param idleTimeoutMs gives up when something was sent, and nothing is heard for this long.
   * @param onClose with a problem if something that was sent may be lost.
   */
  constructor(socket: Socket, idleTimeoutMs: number, onClose: (problem: Error | null) => void) {
    this.#socket = socket;
    this.#idleTimeoutMs = idleTimeoutMs + ACKNOWLEDGE_AFTER_MS;
    this.#onClose = onClose;
    // Only what is under way keeps the process alive, and the socket does that.
    this.#watchdog = setTimeout(() => this.#bark(), this.#idleTimeoutMs).unref();
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#hear(chunk));
    socket.on("error", (error) => (this.#problem ??= error));
    socket.on("close", () => this.#closed());
  }

  /** Resolves when the operating system has taken it; rejects when the connection is gone. */
  send(envelope: Uint8Array): Promise<void> {
    // Nothing was owed until now: the time begins.
    if (this.#sent === this.#acknowledged) this.#watchdog.refresh();
    this.#sent = (this.#sent + 1) >>> 0;
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve());
      if (envelope.length <= COPY_BYTES) {
        const piece = Buffer.allocUnsafe(PREFIX_BYTES + envelope.length);
        piece.writeUInt32LE(envelope.length);
        piece.set(envelope, PREFIX_BYTES);
        this.#socket.write(piece, done);
        return;
      }
      const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
      prefix.writeUInt32LE(envelope.length);
      this.#socket.cork();
      this.#socket.write(prefix);
      this.#socket.write(envelope, done);
      this.#socket.uncork();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Counts; the latest says everything. */
  #hear(chunk: Buffer): void {
    const bytes = this.#partialCount.length === 0 ? chunk : Buffer.concat([this.#partialCount, chunk]);
    const whole = bytes.length - (bytes.length % PREFIX_BYTES);
    if (whole > 0) this.#acknowledged = bytes.readUInt32LE(whole - PREFIX_BYTES);
    this.#partialCount = bytes.subarray(whole);
    this.#watchdog.refresh();
  }

  #bark(): void {
    if (this.#sent === this.#acknowledged) return;
    this.#socket.destroy(new Error(`nothing heard for ${this.#idleTimeoutMs} ms`));
  }

  #closed(): void {
    clearTimeout(this.#watchdog);
    const lost = this.#sent !== this.#acknowledged;
    this.#onClose(lost ? (this.#problem ?? new Error("the connection broke off")) : null);
  }
}
