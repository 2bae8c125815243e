import type { Socket } from "node:net";

/** Begun and not done, on one listener. */
const MAX_HANDSHAKES = 1000;
/** How long one may take. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Handshakes under way. Whoever begins thousands and ends none shall not fill the listener: past a bound the oldest is
 * dropped for the newest, and one that is meant takes milliseconds.
 */
export class Handshakes {
  /** By the other end's address: TLS hands on another socket than it was given. */
  readonly #under = new Map<string, Socket>();

  begun(socket: Socket): void {
    const other = otherEnd(socket);
    if (this.#under.size >= MAX_HANDSHAKES) {
      const [oldest] = this.#under;
      this.#under.delete(oldest![0]);
      oldest![1].destroy();
    }
    this.#under.set(other, socket);
    socket.on("close", () => {
      if (this.#under.get(other) === socket) this.#under.delete(other);
    });
  }

  done(socket: Socket): void {
    this.#under.delete(otherEnd(socket));
  }

  /** Drops them all. */
  close(): void {
    for (const socket of this.#under.values()) socket.destroy();
    this.#under.clear();
  }
}

function otherEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
