// Many real clients (@grpc/grpc-js, and HTTP/2 by hand where thousands are wanted) on one server, in the same process so that
// in the end its objects can be counted: no call is lost, and nothing is left of any.

import { connect, type Socket } from "node:net";
import { queryObjects } from "node:v8";
import type { Engine } from "../../src/core/node/index.ts";
import { EngineError } from "../../src/core/errors/index.ts";
import { grpcCalls } from "../../src/runtimes/node/grpc/calls.ts";
import { Http2Call } from "../../src/runtimes/node/grpc/http2/call.ts";
import { Http2Connection } from "../../src/runtimes/node/grpc/http2/connection.ts";
import { Incoming } from "../../src/runtimes/node/grpc/incoming.ts";
import { ReceiveBuffer } from "../../src/runtimes/node/grpc/receive-buffer.ts";
import { GRPC_DEFAULTS, type GrpcSettings } from "../../src/runtimes/node/grpc/settings.ts";
import { StreamCall } from "../../src/runtimes/node/grpc/stream-call.ts";
import { UnaryCall } from "../../src/runtimes/node/grpc/unary-call.ts";
import { Listener } from "../../src/runtimes/node/listener.ts";
import { memoryEngine } from "../runtimes/http/memory-engine.ts";
import { freePorts } from "../runtimes/node/free-ports.ts";
import { type Duplex, GrpcClient } from "../runtimes/node/grpc/grpc-client.ts";
import { frame, FrameReader, FRAMES, PREFACE } from "../runtimes/node/grpc/raw-http2.ts";
import { program, type Run } from "./support/program.ts";
import { until } from "./support/waiting.ts";

const CONNECTIONS = 4;
const CALLS_AT_A_TIME = 1000;
const IDLE_CONNECTIONS = 3000;

/** All that the server keeps for connections and calls. */
const KEPT = [Http2Connection, Http2Call, Incoming, UnaryCall, StreamCall, ReceiveBuffer];
const kept = (): readonly string[] =>
  KEPT.map((each) => `${each.name}: ${queryObjects(each, { format: "count" })}`);

const key = (text: string): Buffer => Buffer.from(text);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What became of a call: 0, or the code of its error. */
const ended = (reply: Promise<unknown>): Promise<number> =>
  reply.then(
    () => 0,
    (error: unknown) => (error as { readonly code: number }).code,
  );

/** A listener before a store in memory, which takes its time for writes. */
class Site {
  readonly address: string;
  readonly engine: ReturnType<typeof memoryEngine>;
  readonly listener: Listener;

  private constructor(address: string, engine: ReturnType<typeof memoryEngine>, listener: Listener) {
    this.address = address;
    this.engine = engine;
    this.listener = listener;
  }

  static async open(settings: Partial<GrpcSettings> = {}, slow: Partial<Engine> = {}): Promise<Site> {
    const engine = memoryEngine();
    const handle = grpcCalls({
      engine: { ...engine, ...slow },
      auth: { allowInsecure: true },
      logger: { log: (_level, message) => console.error(message) },
      maxMessageBytes: 1 << 20,
    });
    const [port = 0] = await freePorts(1);
    const listener = await Listener.open({
      url: `http://127.0.0.1:${port}`,
      tls: null,
      handle: (_request, response) => response.end(),
      grpc: {
        handle,
        settings: { ...GRPC_DEFAULTS, pingIntervalMs: 2000, pingTimeoutMs: 60_000, ...settings },
      },
    });
    return new Site(`127.0.0.1:${port}`, engine, listener);
  }

  clients(): readonly GrpcClient[] {
    return Array.from({ length: CONNECTIONS }, () => new GrpcClient(this.address));
  }

  /** Counted after a collection. */
  async isForgotten(): Promise<boolean> {
    await turn();
    return (
      KEPT.every((each) => queryObjects(each, { format: "count" }) === 0) &&
      this.engine.watchStats().streams === 0
    );
  }
}

/** A thousand callers, each of whom goes on when it is answered. */
async function manyAtATime(run: Run, site: Site): Promise<void> {
  const clients = site.clients();
  const rounds = 6;
  let wrong = 0;
  await Promise.all(
    Array.from({ length: CALLS_AT_A_TIME }, async (_, caller) => {
      const client = clients[caller % clients.length]!;
      for (let round = 0; round < rounds; round++) {
        const name = key(`k/${caller}`);
        const value = key(`${caller}.${round}`);
        await client.call("KV/Put", { key: name, value });
        const { kvs } = await client.call("KV/Range", { key: name });
        if (!value.equals(kvs[0].value) || kvs[0].version !== String(round + 1)) wrong++;
      }
    }),
  );
  for (const client of clients) client.close();
  run.require(
    wrong === 0,
    `${CALLS_AT_A_TIME} calls at a time on ${CONNECTIONS} connections: ${2 * rounds * CALLS_AT_A_TIME} answers, each its own`,
  );
}

/** Calls that wait, and that their clients do not wait for. */
async function givenUp(run: Run, site: Site): Promise<void> {
  const clients = site.clients();
  const lock = { name: key("held"), lease: "0" };
  const { ID } = await clients[0]!.call("Lease/LeaseGrant", { TTL: "600" });
  await clients[0]!.call("Lock/Lock", { ...lock, lease: ID });
  const count = 1600;
  const calls = Array.from({ length: count }, (_, i) => {
    const options = i % 2 === 0 ? {} : { deadlineMs: 100 + (i % 400) };
    return clients[i % clients.length]!.begin("Lock/Lock", { ...lock, lease: ID }, options);
  });
  const codes = Promise.all(calls.map(({ reply }) => ended(reply)));
  for (const [i, call] of calls.entries()) {
    if (i % 2 === 0) call.cancel();
    if (i % 100 === 0) await turn();
  }
  const seen = await codes;
  const isRight = seen.every((code, i) => code === (i % 2 === 0 ? 1 : 4) || code === 0);
  run.require(isRight, `${count} calls that wait: half are cancelled, half are over at their deadline`);
  run.require(
    (await ended(clients[0]!.call("KV/Range", { key: key("k/0") }))) === 0,
    "and their connections go on",
  );
  await until(30, "the server to let go of them", async () => site.engine.watchStats().streams === 0);
  for (const client of clients) client.close();
}

/** Watches, of which some are not read until everything is over. */
async function watched(run: Run, site: Site): Promise<void> {
  const clients = site.clients();
  const streams: Duplex[] = [];
  for (let i = 0; i < 100; i++) {
    const stream = clients[i % clients.length]!.stream("Watch/Watch");
    stream.write({ create_request: { key: key("w/"), range_end: key("w0") } });
    streams.push(stream);
  }
  for (const stream of streams) await stream.next();
  const puts = 400;
  const value = Buffer.alloc(2000, 7);
  const [writer] = clients;
  for (let i = 0; i < puts; i++) await writer!.call("KV/Put", { key: key(`w/${i}`), value });
  const told = await Promise.all(
    streams.map(async (stream) => {
      const keys: string[] = [];
      while (keys.length < puts) for (const { kv } of (await stream.next()).events) keys.push(String(kv.key));
      return keys;
    }),
  );
  const wanted = Array.from({ length: puts }, (_, i) => `w/${i}`).join();
  run.require(
    told.every((keys) => keys.join() === wanted),
    `${streams.length} watches that nobody read for a while tell each of ${puts} changes, once and in order`,
  );
  for (const { call } of streams) call.cancel();
  for (const client of clients) client.close();
}

/** Connections on which nothing is asked: those that answer pings stay, and the others go. */
async function idle(run: Run, site: Site): Promise<void> {
  const open = async (settings: Uint8Array): Promise<{ socket: Socket; reader: FrameReader }> => {
    const socket = connect(Number(site.address.split(":")[1]), "127.0.0.1");
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, settings]));
    await reader.find(({ type }) => type === FRAMES.settings);
    return { socket, reader };
  };
  const connections: Awaited<ReturnType<typeof open>>[] = [];
  while (connections.length < IDLE_CONNECTIONS) {
    const some = Array.from({ length: 100 }, () => open(frame(FRAMES.settings, 0, 0)));
    connections.push(...(await Promise.all(some)));
  }
  const held = queryObjects(Http2Connection, { format: "count" });
  run.require(held === IDLE_CONNECTIONS, `${held} connections are held that say nothing`);
  const [client] = site.clients();
  run.require((await ended(client!.call("KV/Put", { key: key("k") }))) === 0, "others are served meanwhile");
  client!.close();
  // Everybody is asked, after a while.
  await Promise.all(connections.map(({ reader }) => reader.find(({ type }) => type === FRAMES.ping)));
  run.require(true, "each is asked whether it lives");
  for (const { socket } of connections) socket.destroy();
}

/** The listener closes in the middle: what it has begun is answered, and nothing else is done. */
async function closedUnderLoad(run: Run): Promise<void> {
  const done = new Set<string>();
  let underWay = 0;
  const slow: Partial<Engine> = {
    put: async (request) => {
      underWay++;
      for (let i = 0; i < 20; i++) await turn();
      done.add(String(Buffer.from(request.key)));
      return await site.engine.put(request);
    },
  };
  const site = await Site.open({}, slow);
  const clients = site.clients();
  const codes = new Map<string, number>();
  const callers = Array.from({ length: CALLS_AT_A_TIME }, async (_, caller) => {
    const client = clients[caller % clients.length]!;
    for (let i = 0, code = 0; code === 0; i++) {
      const name = `${caller}/${i}`;
      code = await ended(client.call("KV/Put", { key: key(name) }));
      codes.set(name, code);
    }
  });
  await until(60, "calls to be under way", async () => underWay >= 3 * CALLS_AT_A_TIME);
  await site.listener.close(60_000);
  await Promise.all(callers);
  for (const client of clients) client.close();
  const of = (code: number): readonly string[] =>
    [...codes].filter(([, seen]) => seen === code).map(([name]) => name);
  const [answered, refused] = [of(0), of(new EngineError("unhealthy").grpcCode)];
  run.require(refused.length === CALLS_AT_A_TIME, "every caller is told in the end to ask elsewhere");
  run.require(
    answered.length + refused.length === codes.size,
    `closed under ${CALLS_AT_A_TIME} calls: ${answered.length} were answered, ${refused.length} told to ask elsewhere`,
  );
  run.require(
    answered.length === done.size && answered.every((name) => done.has(name)),
    "those that were answered are those that were done",
  );
}

await program("grpc-stress", 240, async (run) => {
  const site = await Site.open();
  run.cleanUp(() => site.listener.close(0));
  run.observe(`at the start ${kept().join(", ")}`);
  await manyAtATime(run, site);
  await givenUp(run, site);
  await watched(run, site);
  await idle(run, site);
  await until(30, "the server to forget its clients", () => site.isForgotten());
  run.require(await site.isForgotten(), `nothing is left of them: ${kept().join(", ")}`);
  await closedUnderLoad(run);
  await until(30, "the server to forget its clients", () => site.isForgotten());
  run.require(await site.isForgotten(), `nor of these: ${kept().join(", ")}`);
});
