import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const NOTHING = { streams: 0, watches: 0, slowWatches: 0 };

function create(key: string, more: object = {}): string {
  return JSON.stringify({ create_request: { key: Buffer.from(key).toString("base64"), ...more } });
}

interface Result {
  readonly result?: {
    readonly created?: boolean;
    readonly events?: readonly { readonly kv: { readonly value: string } }[];
  };
  readonly error?: { readonly reason: string };
}

/** Node's own WebSocket, with its messages in a queue. */
class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<CloseEvent>;
  readonly #messages: Result[] = [];
  #wake: () => void = () => {};

  constructor(url: string, protocols: string[] = []) {
    this.socket = new WebSocket(url, protocols);
    this.socket.addEventListener("message", ({ data }) => {
      this.#messages.push(JSON.parse(data as string) as Result);
      this.#wake();
    });
    this.closed = new Promise((resolve) => this.socket.addEventListener("close", resolve));
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.addEventListener("open", () => resolve());
      this.socket.addEventListener("error", () => reject(new Error("not opened")));
    });
  }

  async next(): Promise<Result> {
    while (this.#messages.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#messages.shift()!;
  }
}

describe("WebSockets", () => {
  let engine: EmbeddedEngine;
  let port: number;
  const clients: Client[] = [];
  const sockets: Socket[] = [];

  beforeAll(async () => {
    port = (await freePorts(1))[0]!;
    engine = await EmbeddedEngine.start(await tempDir(), {
      listenClientUrls: `http://127.0.0.1:${port}`,
      clientToken: "a-secret-for-tests",
      env: {},
    });
    await engine.waitReady(30_000);
  });
  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    // Whatever a client held is free when it has gone.
    await nothingHeld();
  });
  afterAll(async () => {
    await engine.stop();
    await removeTempDirs();
  });

  async function nothingHeld(): Promise<void> {
    await vi.waitUntil(() => engine.engine.status().watches.streams === 0, { timeout: 30_000 });
  }

  async function client(path = "/v3/watch"): Promise<Client> {
    const opened = new Client(`ws://127.0.0.1:${port}${path}`, ["bearer", "a-secret-for-tests"]);
    clients.push(opened);
    await opened.open();
    return opened;
  }

  /** A connection on which anything can be said. */
  async function raw(headers: string): Promise<{ readonly socket: Socket; readonly received: () => Buffer }> {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(
      `GET /v3/watch HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`,
    );
    await once(socket, "data");
    return { socket, received: () => Buffer.concat(chunks) };
  }

  const HANDSHAKE =
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer a-secret-for-tests\r\n";

  it("carry several watches, both ways, with the messages of the JSON stream", async () => {
    const { socket, next } = await opened();
    socket.send(create("a"));
    expect(await next()).toMatchObject({ result: { created: true } });
    await engine.client().put("a", "1");
    expect(await next()).toMatchObject({ result: { events: [{ kv: { value: "MQ==" } }] } });
    socket.send(create("b"));
    socket.send(JSON.stringify({ cancel_request: { watch_id: "1" } }));
    expect(await next()).toMatchObject({ result: { watch_id: "1", created: true } });
    expect(await next()).toMatchObject({ result: { watch_id: "1", canceled: true } });
    expect(engine.engine.status().watches).toMatchObject({ streams: 1, watches: 1 });
  });

  async function opened(): Promise<{ readonly socket: WebSocket; readonly next: () => Promise<Result> }> {
    const it = await client();
    return { socket: it.socket, next: () => it.next() };
  }

  it("carry large values, in order", async () => {
    const { socket, next } = await opened();
    socket.send(create("large"));
    await next();
    const values = [0, 1, 2, 3].map((i) => String(i).repeat(200_000));
    for (const value of values) await engine.client().put("large", value);
    const told: string[] = [];
    while (told.length < values.length) {
      for (const { kv } of (await next()).result!.events!)
        told.push(Buffer.from(kv.value, "base64").toString());
    }
    expect(told).toEqual(values);
  });

  it("renew leases as well", async () => {
    const { id } = await engine.engine.leaseGrant({ ttlSeconds: 60 });
    const renewals = await client("/v3/lease/keepalive");
    renewals.socket.send(JSON.stringify({ ID: String(id) }));
    expect(await renewals.next()).toMatchObject({ result: { ID: String(id), TTL: "60" } });
  });

  it("say what was wrong with a message, and close", async () => {
    const it = await client();
    it.socket.send("garbage");
    expect(await it.next()).toMatchObject({ error: { reason: "invalidArgument" } });
    expect((await it.closed).code).toBe(1008);
    const binary = await client();
    binary.socket.send(new Uint8Array([1]));
    expect((await binary.closed).code).toBe(1003);
    const huge = await client();
    huge.socket.send("x".repeat(4 << 20));
    expect((await huge.closed).code).toBe(1009);
  });

  it("answer pings, and say goodbye to who says goodbye", async () => {
    const { socket, received } = await raw(HANDSHAKE);
    expect(received().toString("latin1")).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const start = received().length;
    socket.write(Buffer.from([0x89, 0x82, 0, 0, 0, 0, 104, 105, 0x88, 0x80, 0, 0, 0, 0]));
    await once(socket, "end");
    expect([...received().subarray(start)]).toEqual([0x8a, 2, 104, 105, 0x88, 2, 0x03, 0xe8]);
  });

  it("free everything when a client vanishes, or breaks the rules", async () => {
    for (const farewell of [
      null,
      Buffer.from([0x81, 1, 97]),
      Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]),
    ]) {
      const { socket } = await raw(HANDSHAKE);
      const request = Buffer.from(create("a"));
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | request.length, 0, 0, 0, 0]), request]));
      await vi.waitFor(() => expect(engine.engine.status().watches.watches).toBe(1), {
        timeout: 30_000,
      });
      if (farewell === null) socket.resetAndDestroy();
      else socket.write(farewell);
      await nothingHeld();
      expect(engine.engine.status().watches).toEqual(NOTHING);
    }
  });

  it.each([
    ["no token", "Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n", "401"],
    [
      "another token",
      "Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: bearer, wrong\r\n",
      "401",
    ],
    ["no key", "Sec-WebSocket-Version: 13\r\n", "400"],
    ["another version", "Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 8\r\n", "400"],
  ])("are refused with %s", async (_what, headers, status) => {
    const { received } = await raw(headers);
    expect(received().toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it("are not to be had where there is no stream", async () => {
    await expect(client("/v3/kv/range")).rejects.toThrow("not opened");
  });
});
