// The load of gRPC calls on a server: raw HTTP/2 frames on kept connections, each with some calls under way. It reads
// no more of the answers than it must, because it shares the processors with the servers.

import { connect, type Socket } from "node:net";
import { cpuBetween, type Measured, Recorder } from "./measure.ts";

export interface GrpcLoad {
  /** Connections are dealt out to these in turn. */
  readonly urls: readonly string[];
  readonly connections: number;
  readonly callsPerConnection: number;
  readonly path: string;
  /** Whole messages, taken at random. */
  readonly messages: readonly Uint8Array[];
  /** An answer has at least so many bytes. */
  readonly expectBytes: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Whose CPU time is counted. */
  readonly serverPids: readonly number[];
}

export async function grpcLoad(load: GrpcLoad): Promise<Measured> {
  const startMs = performance.now();
  const fromMs = startMs + load.warmupMs;
  const untilMs = fromMs + load.durationMs;
  const recorder = new Recorder(fromMs, untilMs);
  const connections = await Promise.all(
    Array.from({ length: load.connections }, (_, i) =>
      Connection.open(load.urls[i % load.urls.length]!, load, recorder, untilMs),
    ),
  );
  const cpuUs = cpuBetween(fromMs, untilMs, load.serverPids);
  try {
    await Promise.all(connections.map((connection) => connection.run()));
  } finally {
    for (const connection of connections) connection.close();
  }
  return recorder.result(await cpuUs);
}

const FRAME_HEAD = 9;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8];
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const DEFAULT_WINDOW = 65_535;
const LARGE_WINDOW = 0x7fff0000;

class Connection {
  readonly #socket: Socket;
  readonly #load: GrpcLoad;
  readonly #recorder: Recorder;
  readonly #untilMs: number;
  readonly #headers: Buffer;
  /** Of each call under way: when it began, and how much of its answer has come. */
  readonly #started = new Map<number, number>();
  readonly #answered = new Map<number, number>();
  #nextStream = 1;
  /** What may be sent before the server must say that there is room. */
  #window = DEFAULT_WINDOW;
  #waiting = 0;
  #received: Buffer = Buffer.alloc(0);
  #out: Buffer[] = [];
  readonly #ended = Promise.withResolvers<void>();

  private constructor(socket: Socket, url: string, load: GrpcLoad, recorder: Recorder, untilMs: number) {
    this.#socket = socket;
    this.#load = load;
    this.#recorder = recorder;
    this.#untilMs = untilMs;
    this.#headers = headerBlock(load.path, new URL(url).host);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#ended.reject(error));
    socket.on("close", () => this.#ended.reject(new Error("the server closed a connection")));
  }

  static open(url: string, load: GrpcLoad, recorder: Recorder, untilMs: number): Promise<Connection> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Connection(socket, url, load, recorder, untilMs));
      });
      socket.once("error", reject);
    });
  }

  /** Resolves when all of the load's time has passed. */
  run(): Promise<void> {
    // A large window for each stream, and for all of them: answers are never held up by the client.
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0);
    settings.writeUInt32BE(LARGE_WINDOW, 2);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(LARGE_WINDOW);
    this.#out.push(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    this.#out.push(frame(SETTINGS!, 0, 0, settings), frame(WINDOW_UPDATE!, 0, 0, window));
    for (let i = 0; i < this.#load.callsPerConnection; i++) this.#call();
    this.#flush();
    return this.#ended.promise;
  }

  close(): void {
    this.#ended.promise.catch(() => undefined);
    this.#socket.destroy();
  }

  #call(): void {
    const nowMs = performance.now();
    if (nowMs >= this.#untilMs) {
      if (this.#started.size === 0) this.#ended.resolve();
      return;
    }
    const { messages } = this.#load;
    const message = messages[Math.floor(Math.random() * messages.length)]!;
    const size = message.length + 5;
    if (size > this.#window) {
      this.#waiting++;
      return;
    }
    this.#window -= size;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const call = Buffer.allocUnsafe(FRAME_HEAD + this.#headers.length + FRAME_HEAD + size);
    writeHead(call, 0, this.#headers.length, HEADERS!, END_HEADERS, stream);
    call.set(this.#headers, FRAME_HEAD);
    const at = FRAME_HEAD + this.#headers.length;
    writeHead(call, at, size, DATA!, END_STREAM, stream);
    call[at + FRAME_HEAD] = 0;
    call.writeUInt32BE(message.length, at + FRAME_HEAD + 1);
    call.set(message, at + FRAME_HEAD + 5);
    this.#started.set(stream, nowMs);
    this.#out.push(call);
  }

  #flush(): void {
    if (this.#out.length === 0) return;
    this.#socket.write(this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out));
    this.#out = [];
  }

  #read(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD) {
      const length = bytes.readUIntBE(at, 3);
      const end = at + FRAME_HEAD + length;
      if (end > bytes.length) break;
      this.#frame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5), bytes, at + FRAME_HEAD, length);
      at = end;
    }
    this.#received = bytes.subarray(at);
    this.#flush();
  }

  #frame(type: number, flags: number, stream: number, bytes: Buffer, at: number, length: number): void {
    switch (type) {
      case DATA:
        this.#answered.set(stream, (this.#answered.get(stream) ?? 0) + length);
        if ((flags & END_STREAM) !== 0) this.#answer(stream);
        break;
      case HEADERS:
        if ((flags & END_STREAM) !== 0) this.#answer(stream);
        break;
      case RST_STREAM:
        this.#answered.delete(stream);
        this.#answer(stream);
        break;
      case SETTINGS:
        if ((flags & ACK) === 0) this.#out.push(frame(SETTINGS!, ACK, 0, Buffer.alloc(0)));
        break;
      case PING:
        if ((flags & ACK) === 0) this.#out.push(frame(PING!, ACK, 0, bytes.subarray(at, at + 8)));
        break;
      case GOAWAY:
        this.#ended.reject(new Error("the server said goodbye"));
        break;
      case WINDOW_UPDATE: {
        if (stream !== 0) break;
        this.#window += bytes.readUInt32BE(at);
        const waiting = this.#waiting;
        this.#waiting = 0;
        for (let i = 0; i < waiting; i++) this.#call();
        break;
      }
    }
  }

  /** An error has no message, and so is too short. */
  #answer(stream: number): void {
    const startedMs = this.#started.get(stream);
    if (startedMs === undefined) return;
    this.#started.delete(stream);
    if ((this.#answered.get(stream) ?? 0) >= this.#load.expectBytes)
      this.#recorder.record(startedMs, performance.now());
    else this.#recorder.errors++;
    this.#answered.delete(stream);
    this.#call();
  }
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD + payload.length);
  writeHead(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, FRAME_HEAD);
  return bytes;
}

function writeHead(
  bytes: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  bytes.writeUIntBE(length, at, 3);
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes.writeUInt32BE(stream, at + 5);
}

/** What grpc clients send, in HPACK's plainest form. */
function headerBlock(path: string, authority: string): Buffer {
  const headers = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", authority],
    ["content-type", "application/grpc"],
    ["user-agent", "bench"],
    ["te", "trailers"],
  ] as const;
  return Buffer.concat(
    headers.map(([name, value]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]),
    ),
  );
}
