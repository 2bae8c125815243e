// The load on an HTTP server: kept connections, each with one request under way. It speaks just enough HTTP/1.1 to
// read its answers, because it shares the processors with the servers: what it does not spend, they have.

import { connect, type Socket } from "node:net";
import { cpuBetween, type Measured, Recorder } from "./measure.ts";

export interface Load {
  /** Connections are dealt out to these in turn. */
  readonly urls: readonly string[];
  readonly connections: number;
  /** Whole requests, taken at random. */
  readonly requests: readonly Buffer[];
  /** What every answer must contain. */
  readonly expect: string;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Whose CPU time is counted. */
  readonly serverPids: readonly number[];
}

/** A POST with a JSON body, as it goes over the wire. */
export function postRequest(
  path: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const json = JSON.stringify(body);
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more.join("")}Content-Length: ${json.length}\r\n\r\n${json}`,
    "latin1",
  );
}

export async function httpLoad(load: Load): Promise<Measured> {
  const sockets = await Promise.all(
    Array.from({ length: load.connections }, (_, i) => open(load.urls[i % load.urls.length]!)),
  );
  const startMs = performance.now();
  const fromMs = startMs + load.warmupMs;
  const untilMs = fromMs + load.durationMs;
  const recorder = new Recorder(fromMs, untilMs);
  const cpuUs = cpuBetween(fromMs, untilMs, load.serverPids);
  try {
    await Promise.all(sockets.map((socket) => drive(socket, load, recorder, untilMs)));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  return recorder.result(await cpuUs);
}

const onAnswer = new WeakMap<Socket, (chunk: string) => void>();

function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      // One buffer for the connection's life, instead of one for each answer.
      onread: {
        buffer: Buffer.allocUnsafe(16 << 10),
        callback: (length, buffer) => {
          onAnswer.get(socket)?.((buffer as Buffer).toString("latin1", 0, length));
          return true;
        },
      },
    });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** One connection's closed loop. Rejects when the connection breaks. */
function drive(
  socket: Socket,
  { requests, expect }: Load,
  recorder: Recorder,
  untilMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let startedMs = 0;
    let answer = "";
    const next = (): void => {
      startedMs = performance.now();
      if (startedMs >= untilMs) return resolve();
      socket.write(requests[Math.floor(Math.random() * requests.length)]!);
    };
    onAnswer.set(socket, (chunk) => {
      answer = answer === "" ? chunk : answer + chunk;
      if (!isWhole(answer)) return;
      if (answer.startsWith("200", 9) && answer.includes(expect))
        recorder.record(startedMs, performance.now());
      else recorder.errors++;
      answer = "";
      next();
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server closed a connection")));
    next();
  });
}

/** With one request under way, what has arrived is one answer or the beginning of it. */
function isWhole(answer: string): boolean {
  const bodyAt = answer.indexOf("\r\n\r\n") + 4;
  if (bodyAt < 4) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer);
  if (length !== null && length.index < bodyAt) return answer.length >= bodyAt + Number(length[1]);
  return answer.endsWith("\r\n0\r\n\r\n");
}
