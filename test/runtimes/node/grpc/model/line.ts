import { duplexPair, type Duplex } from "node:stream";
import type { Socket } from "node:net";
import type { Exchange } from "../../../../../src/runtimes/node/grpc/exchange.ts";
import { Http2Connection } from "../../../../../src/runtimes/node/grpc/http2/connection.ts";
import { ReceiveBudget } from "../../../../../src/runtimes/node/grpc/receive-buffer.ts";
import { type Frame, FrameCutter, FRAMES } from "../raw-http2.ts";

/** Calls that may be under way. */
export const MAX_CALLS = 5;

/** What the server's methods saw of one call. */
export interface CallRecord {
  readonly exchange: Exchange;
  received: number;
  ended: number;
  closed: number;
  /** What was answered, and whether that was all. */
  answered: number;
  isFinished: boolean;
}

/** Both ends of one connection, and what came of it. */
export class Line {
  readonly client: Duplex;
  readonly connection: Http2Connection;
  readonly calls = new Map<number, CallRecord>();
  readonly frames: Frame[] = [];
  isClosed = false;
  queuedBytes = 0;
  readonly #cutter = new FrameCutter();
  #next = 0;

  constructor() {
    const [server, client] = duplexPair();
    this.client = client;
    // As sockets do it.
    server.allowHalfOpen = false;
    client.on("close", () => server.destroy());
    const socket = Object.assign(server, { setNoDelay: () => server, bytesRead: 0 }) as unknown as Socket;
    this.connection = new Http2Connection(
      socket,
      (exchange) => this.#handle(exchange),
      // No two pings are far enough apart, however slow the machine is.
      { maxConcurrentStreams: MAX_CALLS, minPingIntervalMs: 1e9, pingIntervalMs: 0, pingTimeoutMs: 0 },
      new ReceiveBudget(1 << 20),
      { queued: (bytes) => (this.queuedBytes += bytes), closed: () => (this.isClosed = true) },
    );
    client.on("data", (chunk: Buffer) => this.frames.push(...this.#cutter.push(chunk)));
    client.on("error", () => undefined);
    client.on("end", () => client.end());
  }

  /** Resolves when both sides have done what there was to do; what the server has said since the last time. */
  async settled(): Promise<readonly Frame[]> {
    for (let idle = 0, seen = this.frames.length; idle < 3; idle++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.frames.length !== seen) idle = 0;
      seen = this.frames.length;
    }
    const from = this.#next;
    this.#next = this.frames.length;
    return this.frames.slice(from);
  }

  #handle(exchange: Exchange): void {
    const record: CallRecord = {
      exchange,
      received: 0,
      ended: 0,
      closed: 0,
      answered: 0,
      isFinished: false,
    };
    // The server does not say by which number it knows a call.
    const { id } = exchange as Exchange & { readonly id: number };
    expectThat(!this.calls.has(id), `stream ${id} is begun twice`);
    this.calls.set(id, record);
    if (exchange.path === "/answered") {
      record.isFinished = true;
      exchange.finish({ code: 0, message: "" });
    }
    const isOpen = (): boolean => record.closed === 0;
    exchange.listen({
      received: (chunk) => {
        expectThat(isOpen() && record.ended === 0, `stream ${id} is told of data after its end`);
        record.received += chunk.length;
      },
      ended: () => {
        expectThat(isOpen(), `stream ${id} is told of its end after it was closed`);
        record.ended++;
      },
      closed: () => record.closed++,
    });
  }
}

/** Bytes that were said, or what was done by the server's methods. */
export type Played = Uint8Array | ((line: Line) => void);

/** What a connection came to, however its bytes were cut. */
export interface Outcome {
  readonly goodbyes: readonly number[];
  readonly resets: readonly string[];
  readonly ended: readonly number[];
  readonly answered: readonly string[];
  readonly received: readonly string[];
}

/** What it has come to so far. */
export function outcomeOf({ frames, calls }: Line): Outcome {
  const of = (type: number): readonly Frame[] => frames.filter((each) => each.type === type);
  const answered = new Map<number, number>();
  for (const { stream, payload } of of(FRAMES.data))
    answered.set(stream, (answered.get(stream) ?? 0) + payload.length);
  const byStream = (a: readonly [number, number], b: readonly [number, number]): number => a[0] - b[0];
  return {
    goodbyes: of(FRAMES.goaway).map(({ payload }) => payload.readUInt32BE(4)),
    resets: of(FRAMES.reset).map(({ stream, payload }) => `${stream}: ${payload.readUInt32BE()}`),
    ended: of(FRAMES.headers)
      .filter(({ flags }) => (flags & 1) !== 0)
      .map(({ stream }) => stream),
    answered: [...answered].toSorted(byStream).map(String),
    received: [...calls].map(([id, { received, ended }]) => `${id}: ${received} ${ended}`),
  };
}

/** Bytes that follow each other are one piece. */
export function joined(played: readonly Played[]): readonly Played[] {
  const parts: Played[] = [];
  let bytes: Uint8Array[] = [];
  for (const each of played) {
    if (typeof each !== "function") {
      bytes.push(each);
      continue;
    }
    parts.push(Buffer.concat(bytes), each);
    bytes = [];
  }
  return [...parts, Buffer.concat(bytes)];
}

/** Throws unless it holds. */
export function expectThat(holds: boolean, problem: string): void {
  if (!holds) throw new Error(problem);
}
