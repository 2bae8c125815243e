import { EngineError } from "../../core/errors/index.ts";
import type { Clock, KvEngine, Logger, SavedWatches } from "../../core/node/index.ts";
import type { Accounts } from "../http/auth/accounts.ts";
import { type LastingSocket, type Session, type SessionSocket, SocketCode } from "../http/etcd/session.ts";
import { PING, PONG, withProtocolToken } from "../http/etcd/stream-socket.ts";
import type { SocketSessions } from "../http/etcd/socket-sessions.ts";
import { replyToError } from "../http/errors.ts";
import { type HibernatingSocket, type ObjectState, platform } from "./platform.ts";
import { type Attached, SocketAttachments } from "./socket-attachments.ts";
import {
  decodeCaller,
  decodeObservation,
  decodeWatches,
  encodeCaller,
  encodeObservation,
  encodeWatches,
} from "./watches-codec.ts";

/**
 * Characters sent to one connection before a pause: nobody tells how much of it has been taken, and what has not is in
 * the memory that all objects here share.
 */
const MAX_SENT_AT_ONCE = 1 << 20;
const PAUSE_MS = 100;
/** Of one message; what clients ask for is short. */
const MAX_MESSAGE_LENGTH = 4 << 20;
/** As many as the platform has. */
const MAX_SOCKETS = 32_768;
const OPEN = 1;

export interface ObjectSocketsOptions {
  readonly state: ObjectState;
  readonly engine: KvEngine;
  readonly sessions: SocketSessions;
  readonly accounts: Accounts;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * An object's WebSockets by the hibernation API: they stay while it loses its memory, and what is attached to each says
 * how to go on.
 */
export class ObjectSockets {
  readonly #options: ObjectSocketsOptions;
  readonly #attachments: SocketAttachments;
  readonly #open: Map<HibernatingSocket, Session> = new Map();

  constructor(options: ObjectSocketsOptions) {
    this.#options = options;
    const { state } = options;
    this.#attachments = new SocketAttachments(state.storage);
    const { WebSocketRequestResponsePair } = platform();
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    const sockets = state.getWebSockets();
    this.#attachments.sweep(sockets);
    for (const socket of sockets) this.#resume(socket);
  }

  /** A request to open one. */
  async open(request: Request): Promise<Response> {
    try {
      return await this.#accept(request);
    } catch (error) {
      return replyToError(error, this.#options.logger);
    }
  }

  /** Something has come on one. Resolves when it has been answered as far as it can be now. */
  async message(socket: HibernatingSocket, message: string | ArrayBuffer): Promise<void> {
    const session = this.#open.get(socket);
    if (session === undefined) return close(socket, SocketCode.failed);
    if (typeof message !== "string" || message.length > MAX_MESSAGE_LENGTH) {
      this.closed(socket);
      return close(socket, SocketCode.refused);
    }
    await session.receive(message);
  }

  closed(socket: HibernatingSocket): void {
    this.#open.get(socket)?.close();
    this.#open.delete(socket);
    this.#attachments.forget(socket);
  }

  /** Writes down how far each has got: an object that is about to sleep may forget it. */
  keep(): void {
    for (const session of this.#open.values()) session.keep();
  }

  async #accept(request: Request): Promise<Response> {
    const { state, engine, sessions, accounts } = this.#options;
    const topic = sessions.topicOf(request);
    if (topic instanceof Response) return topic;
    const caller = await accounts.callerOf(withProtocolToken(request).headers);
    if (this.#open.size >= MAX_SOCKETS) throw new EngineError("tooManyRequests");
    const { about, requireLeader } = topic;
    // First, since it may refuse.
    const stream = about === "watch" ? engine.watch({ requireLeader, caller }) : null;
    const { WebSocketPair } = platform();
    const { 0: client, 1: socket } = new WebSocketPair();
    state.acceptWebSocket(socket);
    const saved =
      stream !== null
        ? encodeWatches(stream.save())
        : about === "observe"
          ? encodeObservation({ name: null, toldRevision: 0, caller })
          : encodeCaller(caller);
    this.#attachments.attach(socket, { about, saved });
    this.#open.set(
      socket,
      stream === null
        ? this.#session(socket, { about, saved })
        : sessions.watch(stream, this.#watcher(socket)),
    );
    const protocol = firstProtocol(request.headers);
    const init = {
      status: 101,
      webSocket: client,
      headers: protocol === null ? {} : { "Sec-WebSocket-Protocol": protocol },
    };
    return new Response(null, init);
  }

  #resume(socket: HibernatingSocket): void {
    const { logger } = this.#options;
    if (socket.readyState !== OPEN) return;
    try {
      const attached = this.#attachments.attached(socket);
      if (attached === null) return close(socket, SocketCode.failed);
      this.#open.set(socket, this.#session(socket, attached));
    } catch (error) {
      // Its client connects anew, and goes on from what it has seen.
      logger.log("warn", "a connection cannot be gone on with", { error: String(error) });
      this.closed(socket);
      close(socket, SocketCode.failed);
    }
  }

  /** Goes on with what is attached. */
  #session(socket: HibernatingSocket, { about, saved }: Attached): Session {
    const { sessions, engine } = this.#options;
    switch (about) {
      case "watch":
        return sessions.watch(engine.resumeWatch(decodeWatches(saved)), this.#watcher(socket));
      case "observe":
        return sessions.observe(
          decodeObservation(saved),
          this.#lasting(socket, (now) => ({ about, saved: encodeObservation(now) })),
        );
      case "leaseKeepAlive":
        return sessions.leaseKeepAlive(this.#plain(socket), decodeCaller(saved));
      default:
        // Of a version of the program that knew more.
        throw new EngineError("unimplemented", { detail: String(about satisfies never) });
    }
  }

  #watcher(socket: HibernatingSocket): LastingSocket<SavedWatches> {
    return this.#lasting(socket, (saved) => ({ about: "watch", saved: encodeWatches(saved) }));
  }

  #plain(socket: HibernatingSocket): SessionSocket {
    return {
      send: (text) => this.#send(socket, text),
      close: (code) => {
        this.closed(socket);
        close(socket, code);
      },
    };
  }

  #lasting<Saved>(socket: HibernatingSocket, attached: (saved: Saved) => Attached): LastingSocket<Saved> {
    const plain = this.#plain(socket);
    let sent = 0;
    return {
      close: (code) => plain.close(code),
      send: (text) => {
        sent += text.length;
        plain.send(text);
      },
      keep: (saved) => this.#keep(socket, attached(saved)),
      room: async () => {
        if (sent < MAX_SENT_AT_ONCE) return;
        sent = 0;
        await new Promise<void>((resolve) => this.#options.clock.setTimer(PAUSE_MS, resolve));
      },
    };
  }

  #keep(socket: HibernatingSocket, attached: Attached): void {
    if (this.#attachments.attach(socket, attached)) return;
    this.#options.logger.log("info", "a connection has more to remember than can be kept", {});
    this.closed(socket);
    close(socket, SocketCode.refused);
  }

  #send(socket: HibernatingSocket, text: string): void {
    try {
      socket.send(text);
    } catch {
      // It is closed, and its end will be told.
      this.closed(socket);
    }
  }
}

function close(socket: HibernatingSocket, code: number): void {
  try {
    socket.close(code);
  } catch {
    // It is closed already.
  }
}

/** As on Node: a client that names protocols wants one of them to be chosen. */
function firstProtocol(headers: Headers): string | null {
  const first = headers.get("Sec-WebSocket-Protocol")?.split(",")[0]?.trim();
  return first !== undefined && /^[\w.-]{1,64}$/.test(first) ? first : null;
}
