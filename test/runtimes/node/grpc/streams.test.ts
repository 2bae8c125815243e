import { connect, constants, type ClientHttp2Session } from "node:http2";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { memoryEngine } from "../../http/memory-engine.ts";
import { callHeaders, frame, FrameReader, FRAMES, PREFACE, prefixed } from "./raw-http2.ts";
import { bytes, openSite, refusal } from "./site.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("watches", () => {
  it("are created, told and cancelled on one stream", async () => {
    const site = await openSite();
    const stream = site.client().stream("Watch/Watch");
    stream.write({ create_request: { key: bytes("a"), range_end: bytes("b") } });
    expect(await stream.next()).toMatchObject({ created: true });
    stream.write({ create_request: { key: bytes("x"), watch_id: 7 } });
    expect(await stream.next()).toMatchObject({ created: true, watch_id: "7" });
    await site.engine.put({ key: utf8("aa"), value: utf8("1") });
    const told = await stream.next();
    expect(told.events).toEqual([
      { kv: { key: bytes("aa"), value: bytes("1"), create_revision: "2", mod_revision: "2", version: "1" } },
    ]);
    stream.write({ cancel_request: { watch_id: 7 } });
    expect(await stream.next()).toMatchObject({ canceled: true, watch_id: "7" });
    stream.write({ progress_request: {} });
    expect(await stream.next()).toMatchObject({ watch_id: "-1", header: { revision: "2" } });
    stream.call.cancel();
    expect((await stream.status).code).toBe(1);
  });

  it("go on when the client has said all it had to say", async () => {
    const site = await openSite();
    const stream = site.client().stream("Watch/Watch");
    stream.write({ create_request: { key: bytes("a") } });
    stream.end();
    expect(await stream.next()).toMatchObject({ created: true });
    await site.engine.put({ key: utf8("a") });
    expect((await stream.next()).events).toHaveLength(1);
  });

  it("are freed when the client goes away, however it does", async () => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    const clients = Array.from({ length: 3 }, () => site.client());
    const streams = clients.map((client) => client.stream("Watch/Watch"));
    for (const stream of streams) {
      stream.write({ create_request: { key: bytes("a") } });
      await stream.next();
    }
    expect(engine.watchStats().streams).toBe(3);
    streams[0]!.call.cancel();
    clients[1]!.close();
    streams[1]!.call.cancel();
    await vi.waitFor(() => expect(engine.watchStats().streams).toBe(1), { timeout: 30_000 });
    const socket = await site.socket();
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]));
    socket.write(frame(FRAMES.headers, 4, 1, callHeaders("/etcdserverpb.Watch/Watch")));
    socket.write(frame(FRAMES.data, 0, 1, prefixed(Buffer.from([10, 3, 10, 1, 97]))));
    await reader.find(({ type }) => type === FRAMES.data);
    expect(engine.watchStats().streams).toBe(2);
    socket.resetAndDestroy();
    await vi.waitFor(() => expect(engine.watchStats().streams).toBe(1), { timeout: 30_000 });
  });

  it("end with what was wrong with a request", async () => {
    const stream = (await openSite()).client().stream("Watch/Watch");
    stream.write({});
    expect(await stream.rest()).toEqual([]);
    expect(await stream.status).toMatchObject({
      code: 3,
      details: expect.stringContaining("none of create_request"),
    });
  });

  it("end after an answer as well, by trailers", async () => {
    const engine = memoryEngine();
    const stream = (await openSite({ engine })).client().stream("Watch/Watch");
    stream.write({ create_request: { key: bytes("a") } });
    await stream.next();
    engine.stopWatches();
    await stream.rest();
    expect(await stream.status).toMatchObject({ code: 14, details: "etcdserver: server stopped" });
  });

  it("hold no more than a bounded part of what a slow reader has yet to take", async () => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    const stream = site.client().stream("Watch/Watch");
    stream.write({ create_request: { key: bytes("a") } });
    await stream.next();
    const value = new Uint8Array(100_000);
    for (let i = 0; i < 300; i++) {
      await engine.put({ key: utf8("a"), value });
      if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // It is behind, and so is told from history once it reads on: nothing waits for it but what is on its way.
    expect(engine.watchStats().slowWatches).toBe(1);
    let revision = 2;
    while (revision < 302) {
      for (const { kv } of (await stream.next()).events as { kv: { mod_revision: string } }[]) {
        expect(kv.mod_revision).toBe(String(revision++));
      }
    }
  });

  it("take no more requests than are answered", async () => {
    const engine = memoryEngine();
    const site = await openSite({ engine });
    const socket = await site.socket();
    socket.pause();
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]));
    socket.write(frame(FRAMES.headers, 4, 1, callHeaders("/etcdserverpb.Watch/Watch")));
    // As many as the client may send before it is told that there is room for more.
    const create = prefixed(Buffer.from([10, 3, 10, 1, 97]));
    const many = Buffer.concat(Array.from({ length: 1600 }, () => create));
    for (let i = 0; i < 4; i++) socket.write(frame(FRAMES.data, 0, 1, many));
    await vi.waitFor(() => expect(engine.watchStats().watches).toBeGreaterThan(0), { timeout: 30_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(engine.watchStats().watches).toBeLessThan(5000);
  });
});

describe("other streams", () => {
  it("renew leases one after the other, and end when the client does", async () => {
    const site = await openSite();
    const { id } = await site.engine.leaseGrant({ ttlSeconds: 30 });
    const stream = site.client().stream("Lease/LeaseKeepAlive");
    for (let i = 0; i < 3; i++) {
      stream.write({ ID: String(id) });
      expect(await stream.next()).toMatchObject({ ID: String(id), TTL: "30" });
    }
    stream.write({ ID: "12345" });
    expect((await stream.next()).TTL).toBeUndefined();
    stream.end();
    expect(await stream.rest()).toEqual([]);
    expect(await stream.status).toMatchObject({ code: 0 });
  });

  it("end in the middle of a request that breaks off", async () => {
    const site = await openSite();
    const socket = await site.socket();
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]));
    socket.write(frame(FRAMES.headers, 4, 1, callHeaders("/etcdserverpb.Lease/LeaseKeepAlive")));
    socket.write(frame(FRAMES.data, 1, 1, Buffer.from([0, 0, 0])));
    const { flags } = await reader.find(({ type }) => type === FRAMES.headers);
    expect(flags & 1).toBe(1);
  });

  it("observe elections", async () => {
    const site = await openSite();
    const client = site.client();
    const { ID: lease } = await client.call("Lease/LeaseGrant", { TTL: 60 });
    const { leader } = await client.call("Election/Campaign", {
      name: bytes("e"),
      lease,
      value: bytes("one"),
    });
    const observed = client.stream("Election/Observe");
    observed.write({ name: bytes("e") });
    expect(String((await observed.next()).kv.value)).toBe("one");
    await client.call("Election/Proclaim", { leader, value: bytes("two") });
    expect(String((await observed.next()).kv.value)).toBe("two");
    await client.call("Election/Resign", { leader });
    expect(await refusal(client.call("Election/Leader", { name: bytes("e") }))).toEqual({
      code: 2,
      message: "election: no leader",
    });
  });

  it("lock and unlock", async () => {
    const client = (await openSite()).client();
    const { ID: lease } = await client.call("Lease/LeaseGrant", { TTL: 60 });
    const { key } = await client.call("Lock/Lock", { name: bytes("l"), lease });
    expect(String(key)).toBe(`l/${BigInt(lease).toString(16)}`);
    await client.call("Lock/Unlock", { key });
  });
});

describe("RangeStream", () => {
  async function filled(count: number, valueBytes: number): Promise<Awaited<ReturnType<typeof openSite>>> {
    const site = await openSite();
    for (let i = 0; i < count; i++) {
      await site.engine.put({
        key: utf8(`k${String(i).padStart(5, "0")}`),
        value: new Uint8Array(valueBytes),
      });
    }
    return site;
  }
  const ALL = { key: bytes("k"), range_end: bytes("l") };
  interface Part {
    readonly range_response: {
      readonly kvs?: readonly { readonly key: Buffer }[];
      readonly more?: boolean;
      readonly count?: string;
      readonly header?: object;
    };
  }
  async function read(site: Awaited<ReturnType<typeof openSite>>, request: object): Promise<Part[]> {
    const stream = site.client().stream("KV/RangeStream");
    stream.write(request);
    const parts: Part[] = await stream.rest();
    expect(await stream.status).toMatchObject({ code: 0 });
    return parts;
  }

  it.each([
    ["everything", {}],
    ["a limit within the first part", { limit: 5 }],
    ["a limit behind it", { limit: 1500 }],
    ["a limit that is just enough", { limit: 2500 }],
    ["a limit at a part's end", { limit: 1000 }],
    ["keys alone", { keys_only: true }],
    ["the count alone", { count_only: true }],
    ["a filter", { min_mod_revision: 2000 }],
    ["a filter and a limit", { min_mod_revision: 2000, limit: 7 }],
    ["a filter that lets nothing pass", { min_mod_revision: 9000 }],
    ["an old revision", { revision: 1500 }],
    ["one key", { range_end: Buffer.alloc(0), key: bytes("k00007") }],
    ["no key", { range_end: Buffer.alloc(0), key: bytes("nothing") }],
  ])("gives what Range gives, in parts: %s", async (_name, options) => {
    const site = await filled(2500, 10);
    const parts = await read(site, { ...ALL, ...options });
    const whole = await site.client().call("KV/Range", { ...ALL, ...options });
    const merged = {
      header: parts[0]!.range_response.header,
      kvs: parts.flatMap(({ range_response }) => range_response.kvs ?? []),
      more: parts.at(-1)!.range_response.more,
      count: parts.at(-1)!.range_response.count,
    };
    const { header, kvs = [], more, count } = whole;
    expect(merged).toEqual({ header, kvs, more, count });
  });

  it("keeps to one revision while others write, in parts of a bounded size", async () => {
    const site = await filled(40, 100_000);
    const stream = site.client().stream("KV/RangeStream");
    stream.write(ALL);
    const first: Part = await stream.next();
    expect(first.range_response.kvs).toHaveLength(5);
    for (let i = 0; i < 40; i++) await site.engine.put({ key: utf8(`k9${i}`) });
    const rest: Part[] = await stream.rest();
    expect(rest.flatMap(({ range_response }) => range_response.kvs ?? [])).toHaveLength(35);
    expect(rest.at(-1)!.range_response.count).toBe("40");
  });

  it("refuses other orders than that of the keys", async () => {
    const stream = (await openSite()).client().stream("KV/RangeStream");
    stream.write({ ...ALL, sort_order: 2 });
    await stream.rest();
    expect(await stream.status).toMatchObject({ code: 3, details: "etcdserver: invalid sort option" });
  });

  it("ends as compacted when its revision is", async () => {
    const site = await filled(100, 100_000);
    const stream = site.client().stream("KV/RangeStream");
    stream.write(ALL);
    await stream.next();
    for (let i = 0; i < 10; i++) await site.engine.put({ key: utf8("other") });
    await site.engine.compact({ revision: site.engine.header().revision });
    await stream.rest();
    expect(await stream.status).toMatchObject({ code: 11 });
  });
});

describe("the health service", () => {
  it("says whether this member has a leader, now and when that changes", async () => {
    const base = memoryEngine();
    let leaderId: bigint | null = 1n;
    const listeners = new Set<(id: bigint | null) => void>();
    const engine = {
      ...base,
      status: () => ({ ...base.status(), leaderId }),
      onLeaderChange: (listener: (id: bigint | null) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const client = (await openSite({ engine })).client();
    expect(await client.call("Health/Check", {})).toEqual({ status: 1 });
    const watch = client.stream("Health/Watch");
    watch.write({});
    expect(await watch.next()).toEqual({ status: 1 });
    leaderId = null;
    for (const tell of listeners) tell(leaderId);
    expect(await watch.next()).toEqual({ status: 2 });
    expect(await client.call("Health/Check", {})).toEqual({ status: 2 });
    watch.call.cancel();
    await vi.waitFor(() => expect(listeners.size).toBe(0), { timeout: 30_000 });
  });

  it("knows no services but the whole", async () => {
    const client = (await openSite()).client();
    expect(await refusal(client.call("Health/Check", { service: "x" }))).toEqual({
      code: 5,
      message: "unknown service",
    });
    const watch = client.stream("Health/Watch");
    watch.write({ service: "x" });
    expect(await watch.next()).toEqual({ status: 3 });
    watch.call.cancel();
  });
});

describe("keep-alive", () => {
  async function session(address: string): Promise<{
    session: ClientHttp2Session;
    goaway: Promise<{ code: number; said: string }>;
    ping: () => Promise<void>;
  }> {
    const connection = connect(`http://${address}`);
    connection.on("error", () => undefined);
    onTestFinished(() => connection.destroy());
    await new Promise((resolve) => connection.once("connect", resolve));
    const goaway = new Promise<{ code: number; said: string }>((resolve) => {
      connection.on("goaway", (code, _last, said) => resolve({ code, said: String(said) }));
    });
    const ping = (): Promise<void> =>
      new Promise((resolve) => {
        if (!connection.ping(() => resolve())) resolve();
      });
    return { session: connection, goaway, ping };
  }

  it("sends clients away who ping without end", async () => {
    const { goaway, ping } = await session((await openSite()).address);
    for (let i = 0; i < 4; i++) void ping();
    expect(await goaway).toEqual({ code: constants.NGHTTP2_ENHANCE_YOUR_CALM, said: "too_many_pings" });
  });

  it("bears with them while there is an answer between", async () => {
    const site = await openSite();
    const { session: connection, ping } = await session(site.address);
    for (let i = 0; i < 8; i++) {
      await ping();
      const request = connection.request({
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Check",
        "content-type": "application/grpc",
      });
      request.resume();
      request.end(Buffer.alloc(5));
      await new Promise((resolve) => request.on("close", resolve));
    }
    expect(connection.destroyed).toBe(false);
  });

  it("bears with them while a large answer is on its way", async () => {
    const site = await openSite({ maxMessageBytes: 4 << 20 });
    await site.engine.put({ key: utf8("k"), value: new Uint8Array(3 << 20) });
    const socket = await site.socket();
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]));
    socket.write(frame(FRAMES.headers, 4, 1, callHeaders("/etcdserverpb.KV/Range")));
    socket.write(frame(FRAMES.data, 1, 1, prefixed(Buffer.from([10, 1, 107]))));
    let received = 0;
    let seen = 0;
    // As Go's clients do it: a ping for what has come, and then room for more.
    while (received < 3 << 20) {
      const { payload } = await reader.find(
        (each) => each.type === FRAMES.data && reader.frames.indexOf(each) >= seen,
      );
      seen = reader.frames.findIndex((each) => each.payload === payload) + 1;
      received += payload.length;
      const more = Buffer.alloc(4);
      more.writeUInt32BE(payload.length);
      socket.write(frame(FRAMES.ping, 0, 0, Buffer.alloc(8)));
      for (const stream of [0, 1]) socket.write(frame(FRAMES.windowUpdate, 0, stream, more));
    }
    await reader.find(({ type, flags }) => type === FRAMES.headers && (flags & 1) === 1);
  });

  it("hangs up on clients that do not answer", async () => {
    const site = await openSite({ settings: { pingIntervalMs: 20, pingTimeoutMs: 20 } });
    const socket = await site.socket();
    const reader = new FrameReader(socket);
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]));
    await reader.find(({ type }) => type === FRAMES.ping);
    await reader.closed;
  });

  it("and not on those that do", async () => {
    const site = await openSite({ settings: { pingIntervalMs: 10, pingTimeoutMs: 5000 } });
    const { session: connection } = await session(site.address);
    let pings = 0;
    await new Promise<void>((resolve) =>
      connection.on("ping", () => (++pings === 5 ? resolve() : undefined)),
    );
    expect(connection.destroyed).toBe(false);
  });
});
