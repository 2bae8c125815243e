import type { Socket } from "node:net";
import type { Cancel, Clock } from "../../../core/node/index.ts";
import { nodeClock } from "../node-clock.ts";

/** Begun and not done, on one listener. */
const MAX_HANDSHAKES = 1000;
/** How long one may take. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

interface Handshake {
  readonly socket: Socket;
  readonly stopWaiting: Cancel;
}

/**
 * Handshakes under way. Whoever begins thousands and ends none shall not fill the listener: past a bound the oldest is
 * dropped for the newest, and after a time each is. One that is meant takes milliseconds.
 */
export class Handshakes {
  readonly #clock: Clock;
  /** By the other end's address: TLS hands on another socket than it was given. */
  readonly #under = new Map<string, Handshake>();

  constructor(clock: Clock = nodeClock) {
    this.#clock = clock;
  }

  begun(socket: Socket): void {
    const other = otherEnd(socket);
    if (this.#under.size >= MAX_HANDSHAKES) {
      const [oldest] = this.#under;
      this.#end(oldest![0]);
      oldest![1].socket.destroy();
    }
    this.#end(other);
    const stopWaiting = this.#clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
    this.#under.set(other, { socket, stopWaiting });
    socket.on("close", () => {
      if (this.#under.get(other)?.socket === socket) this.#end(other);
    });
  }

  done(socket: Socket): void {
    this.#end(otherEnd(socket));
  }

  /** Drops them all. */
  close(): void {
    for (const [other, { socket }] of this.#under) {
      this.#end(other);
      socket.destroy();
    }
  }

  #end(other: string): void {
    this.#under.get(other)?.stopWaiting();
    this.#under.delete(other);
  }
}

function otherEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
