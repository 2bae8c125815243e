import type { Caller, Revision } from "../../../core/kv/index.ts";
import { actAs, type Engine, observe } from "../../../core/node/index.ts";
import type { LeaderReply } from "./lock-messages.ts";
import { type LastingSocket, type Session, SocketCode } from "./session.ts";

/** What the next life of a session that observes an election begins with. */
export interface SavedObservation {
  /** Of the election; null until it is asked for. */
  readonly name: Uint8Array | null;
  /** The modification that was told last; 0: none was. */
  readonly toldRevision: Revision;
  readonly caller: Caller;
}

export interface ObserveSessionOptions {
  readonly engine: Engine;
  readonly saved: SavedObservation;
  readonly socket: LastingSocket<SavedObservation>;
  /** The name of the election that is asked for. */
  readonly decode: (text: string) => Uint8Array;
  readonly encode: (reply: LeaderReply) => string;
  /** Says what was wrong, and ends the connection. */
  readonly fail: (error: unknown) => void;
}

/**
 * One election, observed on one connection. How far it has been told is kept in the turn in which it is sent, so that
 * whoever goes on from there does not tell the same again.
 */
export class ObserveSession implements Session {
  readonly #options: ObserveSessionOptions;
  readonly #over: AbortController = new AbortController();
  #saved: SavedObservation;

  constructor(options: ObserveSessionOptions) {
    this.#options = options;
    this.#saved = options.saved;
    const { name } = options.saved;
    if (name !== null) void this.#run(name);
  }

  receive(text: string): Promise<void> {
    // etcd's takes one request.
    if (this.#over.signal.aborted || this.#saved.name !== null) return Promise.resolve();
    try {
      const name = this.#options.decode(text);
      this.#saved = { ...this.#saved, name };
      this.keep();
      void this.#run(name);
    } catch (error) {
      this.#fail(error);
    }
    return Promise.resolve();
  }

  keep(): void {
    if (!this.#over.signal.aborted) this.#options.socket.keep(this.#saved);
  }

  close(): void {
    this.#over.abort();
  }

  async #run(name: Uint8Array): Promise<void> {
    const { engine, socket, encode } = this.#options;
    const { signal } = this.#over;
    const { caller, toldRevision } = this.#saved;
    try {
      for await (const reply of observe(actAs(engine, caller), name, signal, toldRevision)) {
        if (signal.aborted) return;
        socket.send(encode(reply));
        this.#saved = { ...this.#saved, toldRevision: reply.kv.modRevision };
        this.keep();
        await socket.room();
      }
      if (!signal.aborted) socket.close(SocketCode.normal);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.close();
    this.#options.fail(error);
  }
}
