// Three nodes behind the function, and what becomes of requests when they fail.

import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { frontHandler, type LambdaHandler } from "../../../src/runtimes/lambda/index.ts";
import type { ProtocolDouble } from "../../adapters/object-store/protocol-double.ts";
import { startS3Double } from "../../adapters/object-store/s3-double.ts";
import { Gate } from "../client/gate.ts";
import { AWS_ENV, type Group, startGroup } from "./group.ts";
import { type Answer, base64, invoke, post, TOKEN } from "./invocation.ts";

let bucket: ProtocolDouble;
let group: Group;
let gates: Gate[];
let handler: LambdaHandler;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  bucket = await startS3Double();
  group = await startGroup(3, bucket.endpoint);
  gates = await Promise.all(group.urls.map((url) => Gate.open(Number(new URL(url).port))));
  handler = frontHandler({ ...group.env, D_ENGINE_ENDPOINTS: gates.map(({ url }) => url).join(",") });
});

afterAll(async () => {
  for (const gate of gates) gate.shut();
  await group.stop();
  await bucket.stop();
});

const put = (key: string, value: string, headers: Record<string, string> = {}): Promise<Answer> =>
  invoke(handler, `/kv/${key}`, {
    method: "PUT",
    body: value,
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
  });

function reasonOf({ text }: Answer): unknown {
  return (JSON.parse(text) as { readonly reason?: string }).reason;
}

describe("a function in front of three nodes", () => {
  it("goes on with another leader when the one it knew has gone between two invocations", async () => {
    expect((await put("a", "1")).status).toBe(200);
    const leader = group.members.findIndex((member) => member.engine.status().role === "leader");
    gates[leader]!.shut();
    await group.members[leader]!.stop();
    const left = group.members.filter((_, i) => i !== leader);
    await expect
      .poll(() => left.filter((member) => member.engine.status().role === "leader").length, {
        timeout: 30_000,
      })
      .toBe(1);
    expect((await put("a", "2")).status).toBe(200);
    expect((await invoke(handler, "/kv/a")).text).toBe("2");
  });

  it("says nothing of a majority that is lost but what is true: reads fail, eventual reads from the store do not", async () => {
    // In a group of several only what is known to be committed is shown.
    const alive = group.members.find(({ engine }) => engine.status().role === "leader");
    const { revision } = (await alive!.engine.range({ key: Buffer.from("a") })).header;
    const stored = await invoke(handler, "/v3/kv/range", post({ key: base64("a"), serializable: true }));
    expect(stored.status).toBe(200);
    expect(
      Number((JSON.parse(stored.text) as { header: { revision: string } }).header.revision),
    ).toBeLessThanOrEqual(revision);
    for (const gate of gates) gate.shut();
    const [read, eventual] = await Promise.all([
      invoke(handler, "/kv/a", { timeoutMs: 4000 }),
      invoke(handler, "/kv/a?consistency=eventual", { timeoutMs: 4000 }),
    ]);
    expect([read.status, reasonOf(read), eventual.status]).toEqual([503, "unhealthy", 200]);
  });
});

/** A node that takes requests and breaks off, or never answers. */
async function brokenNode(
  act: (socket: Socket) => void,
): Promise<{ url: string; server: Server; taken: () => number }> {
  let taken = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      if (!data.toString().includes("/health")) taken++;
      act(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, taken: () => taken };
}

describe("a node that takes a request and breaks off", () => {
  const cases = [
    { what: "a write without a name is sent once", named: false, taken: 1 },
    { what: "a write with a name is sent to all, and once more to the first", named: true, taken: 3 },
  ];
  it.each(cases)("$what", async ({ named, taken }) => {
    const broken = await Promise.all([0, 1].map(() => brokenNode((socket) => socket.destroy())));
    const endpoints = broken.map(({ url }) => url).join(",");
    const front = frontHandler({ D_ENGINE_CLIENT_TOKEN: TOKEN, D_ENGINE_ENDPOINTS: endpoints });
    const headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` };
    if (named) headers["idempotency-key"] = "once";
    const answer = await invoke(front, "/kv/a", { method: "PUT", body: "1", headers });
    const sent = broken.reduce((sum, node) => sum + node.taken(), 0);
    expect([answer.status, reasonOf(answer), sent]).toEqual([503, "connectionLost", taken]);
    for (const { server } of broken) server.close();
  });

  it("a read is repeated at the next node", async () => {
    const broken = await brokenNode((socket) => socket.destroy());
    const alone = await startGroup(1, bucket.endpoint, { prefix: "next" });
    await alone.members[0]!.client().put("a", "1");
    const endpoints = `${broken.url},${alone.urls[0]}`;
    const front = frontHandler({ D_ENGINE_CLIENT_TOKEN: TOKEN, D_ENGINE_ENDPOINTS: endpoints });
    expect((await invoke(front, "/kv/a")).text).toBe("1");
    broken.server.close();
    await alone.stop();
  });

  it("an answer comes before the invocation's time is up, whatever the node does", async () => {
    const silent = await brokenNode(() => undefined);
    const front = frontHandler({ D_ENGINE_CLIENT_TOKEN: TOKEN, D_ENGINE_ENDPOINTS: silent.url });
    const headers = { authorization: `Bearer ${TOKEN}` };
    const write = await invoke(front, "/kv/a", { method: "PUT", body: "1", headers, timeoutMs: 1000 });
    expect([write.status, reasonOf(write)]).toEqual([503, "timeout"]);
    const read = await invoke(front, "/kv/a", { timeoutMs: 1000 });
    expect([read.status, reasonOf(read)]).toEqual([503, "unhealthy"]);
    silent.server.close();
  });

  it("a write that reached nobody is said not to have happened", async () => {
    const front = frontHandler({ D_ENGINE_CLIENT_TOKEN: TOKEN, D_ENGINE_ENDPOINTS: "http://127.0.0.1:9" });
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await invoke(front, "/kv/a", { method: "PUT", body: "1", headers });
    expect([answer.status, reasonOf(answer)]).toEqual([400, "unreachable"]);
  });
});

describe("connections that are kept between invocations", () => {
  afterEach(() => vi.useRealTimers());

  it("are used again at once, and not after a freeze in which the other side may have hung up", async () => {
    let connections = 0;
    const server = createHttpServer((_, response) => response.end('{"revision":1}'));
    server.keepAliveTimeout = 60_000;
    server.on("connection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const front = frontHandler({
      D_ENGINE_CLIENT_TOKEN: TOKEN,
      D_ENGINE_ENDPOINTS: `http://127.0.0.1:${port}`,
    });
    const write = async (): Promise<number> => {
      const headers = { authorization: `Bearer ${TOKEN}` };
      return (await invoke(front, "/kv/a", { method: "PUT", body: "1", headers })).status;
    };
    expect([await write(), await write(), connections]).toEqual([200, 200, 1]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
    expect([await write(), connections]).toEqual([200, 2]);
    server.closeAllConnections();
    server.close();
  });
});
