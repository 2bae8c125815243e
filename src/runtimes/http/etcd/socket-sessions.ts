import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import { ANONYMOUS, type Caller } from "../../../core/kv/index.ts";
import type { Engine, Logger, ResumableWatchStream, SavedWatches } from "../../../core/node/index.ts";
import type { Base64 } from "../base64.ts";
import type { Guard } from "../client-auth.ts";
import { decodeJsonBody, JsonDecoders, JsonEncoders } from "../codec/index.ts";
import { errorReply, streamError } from "../errors.ts";
import { rawPath } from "../raw-path.ts";
import { leaseIdRequest, leaseReply, leaseReplyOf } from "./lease-messages.ts";
import { leaderReply, leaderRequest } from "./lock-messages.ts";
import { ObserveSession, type SavedObservation } from "./observe-session.ts";
import { type LastingSocket, type Session, SocketCode, type SessionSocket } from "./session.ts";
import { requiresLeader, streamPaths } from "./stream-call.ts";
import { STREAM_METHODS } from "./stream-methods.ts";
import { withProtocolToken } from "./stream-socket.ts";
import { watchReply, watchRequest } from "./watch-messages.ts";
import { WatchSession } from "./watch-session.ts";

/** What is talked about on a socket, and what the client said about that when it connected. */
export interface SocketTopic {
  readonly about: "watch" | "leaseKeepAlive" | "observe";
  readonly requireLeader: boolean;
}

export interface SocketSessionsOptions {
  readonly engine: Engine;
  readonly base64: Base64;
  readonly guard: Guard;
  readonly logger: Logger;
}

/** Replies on their way to the client on one connection. */
const MAX_PENDING = 64;

/** The streams of etcd's API over connections that outlast the memory of their server. Their JSON is that of Node's. */
export class SocketSessions {
  readonly #options: SocketSessionsOptions;
  readonly #decoders: JsonDecoders;
  readonly #encoders: JsonEncoders;

  constructor(options: SocketSessionsOptions) {
    this.#options = options;
    this.#decoders = new JsonDecoders(options.base64);
    this.#encoders = new JsonEncoders(options.base64);
  }

  /** What a request to open a socket is for, or the reply that refuses it. */
  topicOf(request: Request): SocketTopic | Response {
    const refusal = this.#options.guard(withProtocolToken(request));
    if (refusal !== null) return refusal;
    const path = rawPath(request);
    const method = STREAM_METHODS.find((each) => streamPaths(each).includes(path));
    const requireLeader = requiresLeader(request.headers);
    if (method?.path === "/watch") return { about: "watch", requireLeader };
    if (method?.path === "/lease/keepalive") return { about: "leaseKeepAlive", requireLeader };
    if (method?.path === "/election/observe") return { about: "observe", requireLeader };
    return method === undefined
      ? errorReply({ message: "d-engine: there is no WebSocket here", code: 5, reason: "notFound" })
      : errorReply({
          message: `d-engine: not implemented: a WebSocket at ${path}: POST there instead`,
          code: GrpcCode.unimplemented,
          reason: "unimplemented",
        });
  }

  watch(stream: ResumableWatchStream, socket: LastingSocket<SavedWatches>): Session {
    const decode = this.#decoders.of(watchRequest);
    const encode = this.#encoders.of(watchReply);
    return new WatchSession({
      stream,
      socket,
      decode: (text) => decodeJsonBody(text, decode, "watch"),
      encode: (response) => `{"result":${encode(response)}}`,
      fail: (error) => this.#fail(socket, error),
    });
  }

  /** @param saved where to go on; at first with neither a name nor anything told. */
  observe(saved: SavedObservation, socket: LastingSocket<SavedObservation>): Session {
    const decode = this.#decoders.of(leaderRequest);
    const encode = this.#encoders.of(leaderReply);
    return new ObserveSession({
      engine: this.#options.engine,
      saved,
      socket,
      decode: (text) => decodeJsonBody(text, decode, "observe").name,
      encode: (reply) => `{"result":${encode(reply)}}`,
      fail: (error) => this.#fail(socket, error),
    });
  }

  leaseKeepAlive(socket: SessionSocket, caller: Caller = ANONYMOUS): Session {
    const { engine } = this.#options;
    const decode = this.#decoders.of(leaseIdRequest);
    const encode = this.#encoders.of(leaseReply);
    const over = new AbortController();
    let last = Promise.resolve();
    let pending = 0;
    const answer = async (text: string, before: Promise<void>): Promise<void> => {
      try {
        const { id } = decodeJsonBody(text, decode, "leaseKeepAlive");
        await before;
        if (over.signal.aborted) return;
        const reply = leaseReplyOf(await engine.leaseKeepAlive(id, { signal: over.signal, caller }));
        socket.send(`{"result":${encode(reply)}}`);
      } catch (error) {
        if (over.signal.aborted) return;
        over.abort();
        this.#fail(socket, error);
      } finally {
        pending--;
      }
    };
    return {
      receive: async (text) => {
        if (over.signal.aborted) return;
        if (pending++ >= MAX_PENDING) {
          over.abort();
          return this.#fail(socket, new EngineError("tooManyRequests"));
        }
        last = answer(text, last);
        await last;
      },
      keep: () => undefined,
      close: () => over.abort(),
    };
  }

  #fail(socket: SessionSocket, error: unknown): void {
    socket.send(streamError(error, this.#options.logger).trimEnd());
    socket.close(error instanceof EngineError ? SocketCode.refused : SocketCode.failed);
  }
}
