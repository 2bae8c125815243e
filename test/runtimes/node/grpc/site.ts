import { connect as connectSocket, type Socket } from "node:net";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import type { Engine, LogLevel } from "../../../../src/core/node/index.ts";
import { type CallHandler, type GrpcOptions, grpcCalls } from "../../../../src/runtimes/node/grpc/calls.ts";
import { GRPC_DEFAULTS, type GrpcSettings } from "../../../../src/runtimes/node/grpc/settings.ts";
import { Listener } from "../../../../src/runtimes/node/listener.ts";
import { memoryEngine } from "../../http/memory-engine.ts";
import { freePorts } from "../free-ports.ts";
import { definition } from "./definitions.ts";

export interface SiteOptions extends Partial<GrpcOptions> {
  readonly settings?: Partial<GrpcSettings>;
  /** Takes the calls instead of those who serve the engine. */
  readonly handle?: CallHandler;
}

/** A listener that serves an engine over gRPC, and answers HTTP/1.1 with "http/1.1". */
export interface Site {
  readonly address: string;
  readonly engine: Engine;
  readonly listener: Listener;
  readonly log: readonly { readonly level: LogLevel; readonly message: string }[];
  readonly client: () => GrpcClient;
  /** A connection that says whatever a test wants it to. */
  readonly socket: () => Promise<Socket>;
}

export async function openSite(options: SiteOptions = {}): Promise<Site> {
  const log: { level: LogLevel; message: string }[] = [];
  const engine = options.engine ?? memoryEngine();
  const handle =
    options.handle ??
    grpcCalls({
      engine,
      auth: { allowInsecure: true },
      logger: { log: (level, message) => log.push({ level, message }) },
      maxMessageBytes: 1 << 20,
      ...options,
    });
  const [port = 0] = await freePorts(1);
  const listener = await Listener.open({
    url: `http://127.0.0.1:${port}`,
    tls: null,
    handle: (_request, response) => response.end("http/1.1"),
    grpc: { handle, settings: { ...GRPC_DEFAULTS, ...options.settings } },
  });
  onTestFinished(() => listener.close(0));
  const address = `127.0.0.1:${port}`;
  return {
    address,
    engine,
    listener,
    log,
    client: () => new GrpcClient(address),
    socket: () =>
      new Promise((resolve, reject) => {
        const socket = connectSocket(port, "127.0.0.1", () => resolve(socket));
        socket.on("error", reject);
        onTestFinished(() => void socket.destroy());
      }),
  };
}

/** What protobuf.js has read, for which it has no types. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Reply = any;

/** A real client: @grpc/grpc-js, with messages as protobuf.js has them. */
export class GrpcClient {
  readonly #client: Client;

  constructor(address: string, by: ChannelCredentials = credentials.createInsecure()) {
    this.#client = new Client(address, by, {
      "grpc.max_receive_message_length": -1,
      // Each has a connection of its own.
      "grpc.use_local_subchannel_pool": 1,
    });
    onTestFinished(() => this.#client.close());
  }

  /** @param name as in `KV/Range`. */
  call(
    name: string,
    request: object,
    options: { readonly metadata?: Readonly<Record<string, string>>; readonly deadlineMs?: number } = {},
  ): Promise<Reply> {
    const { path, requestSerialize, responseDeserialize } = definition(name);
    const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadataOf(options.metadata),
        deadline,
        (error, reply) => (error === null ? resolve(reply) : reject(error)),
      );
    });
  }

  stream(name: string, metadata: Readonly<Record<string, string>> = {}): Duplex {
    const { path, requestSerialize, responseDeserialize } = definition(name);
    const call = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadataOf(metadata),
    );
    return new Duplex(call);
  }

  close(): void {
    this.#client.close();
  }
}

type Call = ClientDuplexStream<object, object>;

/** What happens on a stream, in order, to be waited for. */
export class Duplex {
  readonly call: Call;
  readonly #messages: AsyncIterator<Reply>;
  /** How it ended. */
  readonly status: Promise<{ readonly code: number; readonly details: string }>;

  constructor(call: Call) {
    this.call = call;
    // Errors are in the status, too.
    call.on("error", () => undefined);
    this.status = new Promise((resolve) => call.on("status", resolve));
    this.#messages = call[Symbol.asyncIterator]();
  }

  write(message: object): void {
    this.call.write(message);
  }

  end(): void {
    this.call.end();
  }

  async next(): Promise<Reply> {
    const { value, done } = await this.#messages.next();
    if (done === true) throw new Error("the stream has ended");
    return value;
  }

  /** All that is still to come, before an error as well. */
  async rest(): Promise<Reply[]> {
    const all: Reply[] = [];
    try {
      for (;;) {
        const { value, done } = await this.#messages.next();
        if (done === true) return all;
        all.push(value);
      }
    } catch {
      return all;
    }
  }
}

/** What a refused call says. */
export async function refusal(call: Promise<unknown>): Promise<{ code: number; message: string }> {
  try {
    await call;
  } catch (error) {
    const { code, details } = error as ServiceError;
    return { code, message: details };
  }
  throw new Error("it was not refused");
}

export const bytes = (text: string): Buffer => Buffer.from(text);

function metadataOf(entries: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}
