import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import { definition } from "./definitions.ts";

/** What protobuf.js has read, for which it has no types. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Reply = any;

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
}

/** A real client: @grpc/grpc-js, with messages as protobuf.js has them, on a connection of its own. */
export class GrpcClient {
  readonly #client: Client;

  constructor(
    address: string,
    by: ChannelCredentials = credentials.createInsecure(),
    options: ChannelOptions = {},
  ) {
    this.#client = new Client(address, by, {
      ...options,
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** @param name as in `KV/Range`. */
  call(name: string, request: object, options: CallOptions = {}): Promise<Reply> {
    return this.begin(name, request, options).reply;
  }

  /** One that may be cancelled. */
  begin(name: string, request: object, options: CallOptions = {}): { reply: Promise<Reply>; cancel(): void } {
    const { path, requestSerialize, responseDeserialize } = definition(name);
    const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadataOf(options.metadata),
      deadline,
      (error, reply) => (error === null ? resolve(reply) : reject(error)),
    );
    return { reply: promise, cancel: () => call.cancel() };
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

function metadataOf(entries: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}
