import { connect } from "node:http2";
import { get } from "node:http";
import { text } from "node:stream/consumers";
import { describe, expect, it, vi } from "vitest";
import { lock } from "../../../../src/core/node/index.ts";
import { EngineError, ERRORS, type ErrorCode } from "../../../../src/core/errors/index.ts";
import { fakeEngine } from "../../http/fake-engine.ts";
import { bytes, openSite, refusal, type Site } from "./site.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Answer {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>> | null;
  readonly body: Buffer;
}

/** A request over plain HTTP/2. */
function send(
  address: string,
  headers: Record<string, string>,
  body: Uint8Array = Buffer.alloc(5),
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}`);
    session.on("error", reject);
    const request = session.request({
      ":method": "POST",
      ":path": "/etcdserverpb.KV/Range",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let head: Record<string, unknown> = {};
    let trailers: Record<string, unknown> | null = null;
    const chunks: Buffer[] = [];
    request.on("response", (received) => (head = { ...received }));
    request.on("trailers", (received) => (trailers = { ...received }));
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", reject);
    request.on("close", () => {
      session.close();
      resolve({ headers: head, trailers, body: Buffer.concat(chunks) });
    });
    request.end(body);
  });
}

describe("unary calls", () => {
  it("put, range, txn, delete and compact", async () => {
    const client = (await openSite()).client();
    const put = await client.call("KV/Put", { key: bytes("foo"), value: bytes("bar") });
    expect(put.header).toMatchObject({ revision: "2", raft_term: "3" });
    const range = await client.call("KV/Range", { key: bytes("foo") });
    expect(range).toMatchObject({
      count: "1",
      kvs: [
        { key: bytes("foo"), value: bytes("bar"), create_revision: "2", mod_revision: "2", version: "1" },
      ],
    });
    const txn = await client.call("KV/Txn", {
      compare: [{ result: 0, target: 0, key: bytes("foo"), version: 1 }],
      success: [{ request_put: { key: bytes("foo"), value: bytes("baz"), prev_kv: true } }],
    });
    expect(txn).toMatchObject({
      succeeded: true,
      responses: [{ response_put: { prev_kv: { value: bytes("bar") } } }],
    });
    expect(await client.call("KV/DeleteRange", { key: bytes("foo") })).toMatchObject({ deleted: "1" });
    await client.call("KV/Compact", { revision: 4 });
    expect(await refusal(client.call("KV/Range", { key: bytes("foo"), revision: 3 }))).toEqual({
      code: 11,
      message: "etcdserver: mvcc: required revision has been compacted",
    });
  });

  it("carry messages of a megabyte both ways", async () => {
    const client = (await openSite({ maxMessageBytes: 2 << 20 })).client();
    const value = Buffer.alloc(1 << 20, "x");
    await client.call("KV/Put", { key: bytes("large"), value });
    const { kvs } = await client.call("KV/Range", { key: bytes("large") });
    expect(value.equals(kvs[0].value)).toBe(true);
  });

  it("answer many at a time on one connection, each its own", async () => {
    const client = (await openSite()).client();
    const names = Array.from({ length: 300 }, (_, i) => `k${i}`);
    await Promise.all(names.map((name) => client.call("KV/Put", { key: bytes(name), value: bytes(name) })));
    const ranges = await Promise.all(names.map((name) => client.call("KV/Range", { key: bytes(name) })));
    expect(ranges.map(({ kvs }) => String(kvs[0].value))).toEqual(names);
  });

  it("are done once under an idempotency key, and say so", async () => {
    const calls: unknown[] = [];
    const engine = fakeEngine({
      put: (_request, options) => {
        calls.push(options?.idempotencyKey);
        return Promise.resolve({
          prevKv: null,
          header: { clusterId: 1n, memberId: 2n, revision: 3, raftTerm: 4 },
          replayed: true,
        });
      },
    });
    const { address } = await openSite({ engine });
    const { headers, trailers } = await send(address, {
      ":path": "/etcdserverpb.KV/Put",
      "idempotency-key": '"k1"',
    });
    expect(calls).toEqual(["k1"]);
    expect(headers["idempotent-replayed"]).toBe("true");
    expect(trailers).toMatchObject({ "grpc-status": "0" });
    const refused = await send(address, { "idempotency-key": "k1" });
    expect(refused.headers).toMatchObject({ "grpc-status": "3" });
  });
});

describe("errors", () => {
  it.each(Object.entries(ERRORS).filter(([, [, message]]) => message.startsWith("etcdserver:")))(
    "%s has etcd's code and message",
    async (code, [grpcCode, message]) => {
      const engine = fakeEngine({ range: () => Promise.reject(new EngineError(code as ErrorCode)) });
      const client = (await openSite({ engine })).client();
      expect(await refusal(client.call("KV/Range", { key: bytes("k") }))).toEqual({
        code: grpcCode,
        message,
      });
    },
  );

  it("come without a body, as the head alone", async () => {
    const { address } = await openSite();
    const { headers, trailers, body } = await send(address, {}, Buffer.alloc(5));
    expect(headers).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": "3",
      "grpc-message": "etcdserver: key is not provided",
    });
    expect([trailers, body.length]).toEqual([null, 0]);
  });

  it("are percent-encoded where they must be", async () => {
    const detail = "100% of größe\n";
    const engine = fakeEngine({
      range: () => Promise.reject(new EngineError("invalidArgument", { detail })),
    });
    const { address, client } = await openSite({ engine });
    const { headers } = await send(address, {});
    expect(headers["grpc-message"]).toBe("d-engine: invalid argument: 100%25 of gr%C3%B6%C3%9Fe%0A");
    const { message } = await refusal(client().call("KV/Range", { key: bytes("k") }));
    expect(message).toBe(`d-engine: invalid argument: ${detail}`);
  });

  it("that are no engine's are logged, and told to nobody", async () => {
    const engine = fakeEngine({ range: () => Promise.reject(new Error("the secret")) });
    const site = await openSite({ engine });
    expect(await refusal(site.client().call("KV/Range", { key: bytes("k") }))).toEqual({
      code: 13,
      message: "d-engine: internal error",
    });
    expect(site.log).toEqual([{ level: "error", message: "a gRPC call failed unexpectedly" }]);
  });

  it.each([
    ["/etcdserverpb.KV/Nothing", "unknown method Nothing for service etcdserverpb.KV"],
    ["/no.such.Service/Range", "unknown method Range for service no.such.Service"],
    ["/", 'malformed method name: "/"'],
  ])("name the method that is not there: %s", async (path, message) => {
    const { headers } = await send((await openSite()).address, { ":path": path });
    expect(headers).toMatchObject({ ":status": 200, "grpc-status": "12", "grpc-message": message });
  });
});

describe("requests that are none", () => {
  it.each([
    ["another content type", { "content-type": "application/json" }, 415],
    ["gRPC for the web", { "content-type": "application/grpc-web" }, 415],
    ["another method", { ":method": "PUT" }, 405],
  ])("are refused by HTTP's status: %s", async (_name, headers, status) => {
    expect((await send((await openSite()).address, headers)).headers[":status"]).toBe(status);
  });

  it.each(["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"])(
    "%s is one",
    async (type) => {
      expect((await send((await openSite()).address, { "content-type": type })).headers[":status"]).toBe(200);
    },
  );

  it.each([
    ["compressed, and it says so", { "grpc-encoding": "gzip" }, Buffer.alloc(5), "12", "not installed"],
    ["compressed, and it does not", {}, Buffer.from([1, 0, 0, 0, 0]), "13", "compressed"],
    ["a flag that does not exist", {}, Buffer.from([7, 0, 0, 0, 0]), "13", "flag 7"],
    ["no message", {}, Buffer.alloc(0), "12", "there is no request"],
    ["half a prefix", {}, Buffer.alloc(3), "12", "breaks off"],
    ["half a message", {}, Buffer.from([0, 0, 0, 0, 9, 10]), "12", "breaks off"],
    ["what is not protobuf", {}, Buffer.from([0, 0, 0, 0, 1, 0xff]), "3", "premature EOF"],
    ["too large", {}, Buffer.from([0, 0, 0x20, 0, 0]), "3", "etcdserver: request is too large"],
    ["a time that is none", { "grpc-timeout": "soon" }, Buffer.alloc(5), "13", "grpc-timeout"],
  ])("%s", async (_name, headers, body, status, message) => {
    const answer = await send((await openSite()).address, headers, body);
    expect(answer.headers).toMatchObject({ ":status": 200, "grpc-status": status });
    expect(answer.headers["grpc-message"]).toContain(message);
  });

  it("of which only the first message counts", async () => {
    const site = await openSite();
    await send(
      site.address,
      { ":path": "/etcdserverpb.KV/Put" },
      Buffer.from([0, 0, 0, 0, 3, 10, 1, 97, 0, 0, 0, 0, 3, 10, 1, 98]),
    );
    expect(site.engine.header().revision).toBe(2);
  });
});

describe("who may call", () => {
  it("presents the client token, as gRPC's clients do", async () => {
    const { client } = await openSite({ auth: { allowInsecure: false, clientToken: "right" } });
    const call = (metadata: Record<string, string>): Promise<unknown> =>
      client().call("KV/Range", { key: bytes("k") }, { metadata });
    const refused = { code: 16, message: "etcdserver: invalid auth token" };
    expect(await refusal(call({}))).toEqual(refused);
    expect(await refusal(call({ token: "wrong" }))).toEqual(refused);
    expect(await call({ token: "right" })).toHaveProperty("header");
    expect(await call({ authorization: "right" })).toHaveProperty("header");
    expect(await call({ authorization: "Bearer right" })).toHaveProperty("header");
  });

  it("is nobody when no token is configured, and is told how to set one", async () => {
    const { client } = await openSite({ auth: { allowInsecure: false, howToSetToken: "set it" } });
    const { code, message } = await refusal(client().call("KV/Range", { key: bytes("k") }));
    expect([code, message]).toEqual([16, expect.stringContaining("set it")]);
  });

  it("is no web page, but goes by any host name", async () => {
    const { address } = await openSite({ auth: { allowInsecure: true, hosts: ["here"] } });
    expect((await send(address, { origin: "http://evil.example" })).headers["grpc-status"]).toBe("7");
    expect((await send(address, { ":authority": "endpoint-1" })).headers["grpc-status"]).toBe("3");
  });

  it("may ask only a member with a leader", async () => {
    const base = (await openSite()).engine;
    const engine = { ...base, status: () => ({ ...base.status(), leaderId: null }) };
    const client = (await openSite({ engine })).client();
    const metadata = { hasleader: "true" };
    expect(await refusal(client.call("KV/Range", { key: bytes("k") }, { metadata }))).toEqual({
      code: 14,
      message: "etcdserver: no leader",
    });
    expect(await client.call("KV/Range", { key: bytes("k") })).toHaveProperty("header");
  });
});

describe("calls that take their time", () => {
  /** A lock that another has, and how many stand in line for it. */
  async function heldLock(): Promise<{ site: Site; line: (length: number) => Promise<void> }> {
    const site = await openSite();
    const { engine } = site;
    for (const id of [1n, 2n]) await engine.leaseGrant({ id, ttlSeconds: 100 });
    await lock(engine, { name: utf8("l"), lease: 1n });
    const line = (length: number): Promise<void> =>
      vi.waitFor(
        async () => {
          expect((await engine.range({ key: utf8("l/"), rangeEnd: utf8("l0") })).count).toBe(length);
        },
        { timeout: 30_000 },
      );
    return { site, line };
  }
  const LOCK = { name: bytes("l"), lease: 2 };
  const LOCK_BYTES = Buffer.from([0, 0, 0, 0, 5, 10, 1, 108, 16, 2]);

  it("end at the client's deadline, and let go of what they wait for", async () => {
    const { site, line } = await heldLock();
    const answer = await send(
      site.address,
      { ":path": "/v3lockpb.Lock/Lock", "grpc-timeout": "50m" },
      LOCK_BYTES,
    );
    expect(answer.headers).toMatchObject({ "grpc-status": "4", "grpc-message": "context deadline exceeded" });
    await line(1);
  });

  it("end when the client cancels", async () => {
    const { site, line } = await heldLock();
    const call = site.client().stream("Lock/Lock");
    call.write(LOCK);
    await line(2);
    call.call.cancel();
    await line(1);
    expect((await call.status).code).toBe(1);
  });

  it("end when the connection breaks", async () => {
    const { site, line } = await heldLock();
    const session = connect(`http://${site.address}`);
    session.on("error", () => undefined);
    const request = session.request({
      ":method": "POST",
      ":path": "/v3lockpb.Lock/Lock",
      "content-type": "application/grpc",
    });
    request.on("error", () => undefined);
    request.write(LOCK_BYTES);
    await line(2);
    session.destroy();
    await line(1);
  });

  it("are let finish when the listener closes, for a while", async () => {
    const finish = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const base = (await openSite()).engine;
    const engine = {
      ...base,
      range: async (...args: Parameters<typeof base.range>) => {
        begun.resolve();
        await finish.promise;
        return base.range(...args);
      },
    };
    const { client, listener } = await openSite({ engine });
    const call = client().call("KV/Range", { key: bytes("k") });
    await begun.promise;
    const closed = listener.close(60_000);
    finish.resolve();
    expect(await call).toHaveProperty("header");
    await closed;
  });

  it("are dropped when that takes too long", async () => {
    const { site, line } = await heldLock();
    const refused = refusal(site.client().call("Lock/Lock", LOCK));
    await line(2);
    await site.listener.close(10);
    // Unavailable, or internal: as the client sees its connection end first, or its call.
    expect([13, 14]).toContain((await refused).code);
  });
});

describe("the port", () => {
  it("speaks HTTP/1.1 as well", async () => {
    const { address } = await openSite();
    const answer = await new Promise<string>((resolve, reject) => {
      get(`http://${address}/`, (response) => void text(response).then(resolve, reject)).on("error", reject);
    });
    expect(answer).toBe("http/1.1");
  });

  it("goes on in what a connection has begun with", async () => {
    const site = await openSite();
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // After a request, in the place of its body, and by an upgrade.
    for (const [said, answer] of [
      [`GET / HTTP/1.1\r\nhost: a\r\n\r\n${preface}`, /^HTTP\/1.1 200 /],
      [`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 24\r\n\r\n${preface}`, /^HTTP\/1.1 200 /],
      [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: \r\n\r\n",
        /^HTTP\/1.1 (?:200|400) /,
      ],
      [`PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n`, /this is not HTTP\/2$/],
      [`${preface}GET / HTTP/1.1\r\nhost: a\r\n\r\n`, /a frame has \d+ bytes$/],
      [`PRI / HTTP/1.1\r\nhost: a\r\n\r\n`, /this is not HTTP\/2$/],
    ] as const) {
      const socket = await site.socket();
      const answered = text(socket);
      socket.end(said, "latin1");
      const heard = await answered;
      expect(heard).toMatch(answer);
      // Settings of HTTP/2 only where it is what the connection has begun with.
      expect(heard.includes("\0\0\x12\x04")).toBe(said.startsWith("PRI"));
    }
  });

  it("finds out what is spoken however slowly it is said", async () => {
    const site = await openSite();
    for (const [pieces, expected] of [
      [["P", "U", "T / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], /^HTTP\/1\.1 200/],
      [["PRI", "NT / HTTP/1.1\r\n\r\n"], /^HTTP\/1\.1 400/],
      [
        [
          "PRI",
          " ",
          "* HTTP/2.0\r\n\r\nSM\r\n\r\n",
          "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
          "\x00\x00\x00\x07\x00\x00\x00\x00\x00",
        ],
        /HTTP\/2 settings/,
      ],
    ] as const) {
      const socket = await site.socket();
      const answer = text(socket).then((said) => (said.charCodeAt(3) === 4 ? "HTTP/2 settings" : said));
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(await answer).toMatch(expected);
    }
  });

  it("closes although somebody has connected and said nothing", async () => {
    const site = await openSite();
    const socket = await site.socket();
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.resume();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await site.listener.close(60_000);
    await closed;
  });
});
