import type { GrpcStatus } from "./status.ts";

/** What happens to a call; one method at a time. */
export interface CallEvents {
  /** More of the request. */
  received(chunk: Uint8Array): void;
  /** The client has said all that it had to say. */
  ended(): void;
  /** Nobody listens any more: answered, reset, or the connection is gone. */
  closed(): void;
}

/** One call as the protocol below carries it: its head, and the ways to answer. */
export interface Exchange {
  readonly path: string;
  /** A request header, or metadata; null when there is none. */
  get(name: string): string | null;
  /** From now on what comes is told; `closed` at once when it is over already. */
  listen(events: CallEvents): void;
  /** Lets the client send no more than what it has been allowed already, or more again. */
  pause(): void;
  resume(): void;
  /**
   * Sets room aside for an answer that is to be made, instead of what was set aside before.
   *
   * @returns false when there is none: `drained` tells when to try again.
   */
  reserve(bytes: number): boolean;
  /** False when the client does not keep up, and nothing more is to be written out for it. */
  readonly hasRoom: boolean;
  /** Resolves when it is worth while to look again whether there is room. */
  drained(): Promise<void>;
  /**
   * Sends a message, prefix and all; the response's head goes before the first. Its bytes are no longer the caller's.
   *
   * @param metadata for the head.
   */
  send(message: Uint8Array, metadata?: Metadata): void;
  /** Ends the call. What the client still sends is not read. */
  finish(status: GrpcStatus, metadata?: Metadata): void;
}

export type Metadata = Readonly<Record<string, string>>;
