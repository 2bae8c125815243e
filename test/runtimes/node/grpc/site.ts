import { connect as connectSocket, type Socket } from "node:net";
import type { ChannelCredentials, ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import type { Engine, LogLevel } from "../../../../src/core/node/index.ts";
import { type CallHandler, type GrpcOptions, grpcCalls } from "../../../../src/runtimes/node/grpc/calls.ts";
import { GRPC_DEFAULTS, type GrpcSettings } from "../../../../src/runtimes/node/grpc/settings.ts";
import { Listener } from "../../../../src/runtimes/node/listener.ts";
import { memoryEngine } from "../../http/memory-engine.ts";
import { freePorts } from "../free-ports.ts";
import { GrpcClient as Client } from "./grpc-client.ts";

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

/** Closed when the test ends. */
export class GrpcClient extends Client {
  constructor(address: string, by?: ChannelCredentials) {
    super(address, by);
    onTestFinished(() => this.close());
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
