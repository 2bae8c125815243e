import { Agent, request, type RequestListener } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { Listener } from "../../../src/runtimes/node/listener.ts";
import { peerListener } from "../../../src/runtimes/node/peer-route.ts";
import { freePorts } from "./free-ports.ts";

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

async function listen(handle: RequestListener, host = "127.0.0.1"): Promise<Listener> {
  const [port] = await freePorts(1);
  const listener = await Listener.open({ url: `http://${host}:${port}`, tls: null, handle });
  open.push(listener);
  return listener;
}

function send(
  url: string,
  options: { agent?: Agent; method?: string; body?: Uint8Array } = {},
): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const { method = "GET", agent, body } = options;
    const sent = request(url, { method, ...(agent === undefined ? {} : { agent }) }, (response) => {
      text(response).then((content) => resolve([response.statusCode ?? 0, content]), reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

describe("Listener", () => {
  it("means the IPv4 loopback by localhost", async () => {
    const { url } = await listen((_request, response) => response.end("here"), "localhost");
    expect(await send(`http://127.0.0.1:${new URL(url).port}/`)).toEqual([200, "here"]);
  });

  it("says which address is taken", async () => {
    const { url } = await listen((_request, response) => response.end());
    await expect(Listener.open({ url, tls: null, handle: () => undefined })).rejects.toThrow(
      `cannot listen on ${url}: another process uses this port`,
    );
  });

  it("lets requests under way finish when it closes, and idle connections go", async () => {
    let finish = (): void => undefined;
    const started = Promise.withResolvers<void>();
    const listener = await listen((incoming, response) => {
      if (incoming.url === "/idle") return void response.end("idle");
      finish = () => void response.end("finished");
      started.resolve();
    });
    const agent = new Agent({ keepAlive: true });
    await send(`${listener.url}/idle`, { agent });
    const slow = send(`${listener.url}/slow`, { agent });
    await started.promise;
    const closed = listener.close(600_000);
    await expect(send(`${listener.url}/late`)).rejects.toThrow(/ECONNREFUSED/);
    finish();
    expect(await slow).toEqual([200, "finished"]);
    await closed;
    agent.destroy();
  });

  it("does not wait longer than told", async () => {
    const started = Promise.withResolvers<void>();
    const listener = await listen(() => started.resolve());
    const closed = started.promise.then(() => listener.close(10));
    await expect(send(listener.url)).rejects.toThrow(/hang up|ECONNRESET/);
    await closed;
  });
});

describe("peerListener", () => {
  const echo = peerListener((body) => Promise.resolve({ status: 200, body }), 1000);

  it("hands over POSTs to the peer route, whole", async () => {
    const { url } = await listen(echo);
    const body = Buffer.alloc(1000, "x");
    expect(await send(`${url}/raft`, { method: "POST", body })).toEqual([200, body.toString()]);
    expect(await send(`${url}/raft`, { method: "POST" })).toEqual([200, ""]);
  });

  it("refuses bodies that are too large without reading them", async () => {
    const { url } = await listen(echo);
    expect(await send(`${url}/raft`, { method: "POST", body: Buffer.alloc(1001) })).toEqual([
      413,
      "the body is too large",
    ]);
  });

  it("knows no other routes, unless it is told of some", async () => {
    const alone = await listen(echo);
    expect(await send(`${alone.url}/v3/kv/range`, { method: "POST" })).toEqual([
      404,
      expect.stringContaining("for other members"),
    ]);
    expect(await send(`${alone.url}/raft`)).toEqual([404, expect.anything()]);
    const both = await listen(
      peerListener(
        (body) => Promise.resolve({ status: 200, body }),
        1000,
        (_request, response) => response.end("client"),
      ),
    );
    expect(await send(`${both.url}/raft`)).toEqual([200, "client"]);
  });

  it("survives a sender that goes away", async () => {
    let received = 0;
    const handle = peerListener((body) => (received++, Promise.resolve({ status: 200, body })), 1000);
    const { url } = await listen(handle);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write("POST /raft HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", () => socket.destroy());
    await new Promise((resolve) => socket.once("close", resolve));
    expect(await send(`${url}/raft`, { method: "POST", body: Buffer.from("still here") })).toEqual([
      200,
      "still here",
    ]);
    expect(received).toBe(1);
  });
});
