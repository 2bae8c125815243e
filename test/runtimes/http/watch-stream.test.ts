import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { fakeEngine } from "./fake-engine.ts";
import { memoryEngine } from "./memory-engine.ts";
import { post, testApp } from "./test-app.ts";
import { type Line, StreamClient } from "./watch-client.ts";
import { watchedApp } from "./watched-app.ts";

const NOTHING = { streams: 0, watches: 0, slowWatches: 0 };

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function create(key: string, more: object = {}): object {
  return { create_request: { key: base64(key), ...more } };
}

/** The changes of a line as `key=value@revision`. */
function changes({ result }: Line): string[] {
  return (result?.events ?? []).map(({ type, kv, prev_kv: previous }) => {
    const text = (value: string | undefined): string => Buffer.from(value ?? "", "base64").toString();
    const change = type === "DELETE" ? "-" : `=${text(kv.value)}`;
    return `${text(kv.key)}${change}@${kv.mod_revision}${previous === undefined ? "" : `<${text(previous.value)}`}`;
  });
}

describe("POST /v3/watch", () => {
  it("speaks etcd's JSON, word for word", async () => {
    const { app, put, engine } = watchedApp();
    await put("a", "1");
    const client = new StreamClient(app);
    client.send(create("a", { prev_kv: true }));
    const header = { cluster_id: "14841639068965178418", member_id: "10276657743932975437", raft_term: "3" };
    expect(await client.next()).toEqual({ result: { header: { ...header, revision: "2" }, created: true } });
    await put("a", "2");
    const kv = { key: "YQ==", create_revision: "2", mod_revision: "3", version: "2", value: "Mg==" };
    const before = { key: "YQ==", create_revision: "2", mod_revision: "2", version: "1", value: "MQ==" };
    expect(await client.next()).toEqual({
      result: { header: { ...header, revision: "3" }, events: [{ kv, prev_kv: before }] },
    });
    await engine.deleteRange({ key: bytes("a") });
    expect(await client.next()).toEqual({
      result: {
        header: { ...header, revision: "4" },
        events: [{ type: "DELETE", kv: { key: "YQ==", mod_revision: "4" }, prev_kv: kv }],
      },
    });
    expect((await client.response).headers.get("Content-Type")).toBe("application/json");
    await client.goAway();
  });

  it("has several watches on one stream, which come and go", async () => {
    const { app, put } = watchedApp();
    const client = new StreamClient(app, "/v3beta/watch");
    client.send(
      create("a"),
      { createRequest: { key: base64("b"), watchId: "7", filters: ["NOPUT"], startRevision: 2 } },
      { create_request: { key: base64("c"), watch_id: 7 } },
      create("d", { range_end: base64("c") }),
      { cancel_request: { watch_id: "99" } },
      { progress_request: {} },
    );
    const reason = "mvcc: duplicate watch ID provided on the WatchStream";
    const refused = { watch_id: "-1", created: true, canceled: true };
    const told = [
      await client.next(),
      await client.next(),
      await client.next(),
      await client.next(),
      await client.next(),
    ];
    expect(told).toMatchObject([
      { result: { created: true } },
      { result: { watch_id: "7", created: true } },
      { result: { ...refused, cancel_reason: reason } },
      { result: { ...refused, cancel_reason: "mvcc: watcher range is empty" } },
      { result: { watch_id: "-1", header: { revision: "1" } } },
    ]);
    client.send({ cancel_request: { watch_id: "7" } });
    expect(await client.next()).toMatchObject({ result: { watch_id: "7", canceled: true } });
    // The end of the requests is not the end of the watches.
    client.endRequests();
    await put("b", "1");
    await put("a", "2");
    expect(changes((await client.next())!)).toEqual(["a=2@3"]);
    await client.goAway();
  });

  it("gives the present state first if asked to, and history, and says what is compacted", async () => {
    const { app, put, engine } = watchedApp();
    for (let i = 2; i <= 6; i++) await put(`k${i}`, String(i));
    await engine.compact({ revision: 4 });
    const client = new StreamClient(app);
    client.send(create("k", { range_end: base64("l"), initial_state: true }));
    expect(await client.next()).toMatchObject({ result: { created: true } });
    const first = (await client.next())!;
    expect(first).toMatchObject({ result: { initial: true, fragment: true, header: { revision: "6" } } });
    const second = (await client.next())!;
    expect(second.result!.fragment).toBeUndefined();
    expect([...changes(first), ...changes(second)]).toEqual([2, 3, 4, 5, 6].map((i) => `k${i}=${i}@${i}`));
    client.send(create("k5", { start_revision: "4" }), create("k", { start_revision: "3" }));
    expect(await client.next()).toMatchObject({ result: { watch_id: "1", created: true } });
    const rest = [await client.next(), await client.next(), await client.next()];
    expect(rest).toContainEqual(
      expect.objectContaining({ result: expect.objectContaining({ watch_id: "2", created: true }) }),
    );
    const canceled = rest.find((line) => line?.result?.canceled)!;
    expect(canceled.result).toMatchObject({ watch_id: "2", compact_revision: "4" });
    expect(canceled.result!.header.revision).toBeUndefined();
    await client.goAway();
  });

  it("answers a first request that makes no sense with an error, and a later one with a last line", async () => {
    const { app, engine, put } = watchedApp();
    for (const body of ["garbage", "[]", '{"create_request":{"key":"!"}}', '{"create_request":{', "{}"]) {
      const response = await post(app, "/v3/watch", body);
      expect([body, response.status]).toEqual([body, 400]);
      expect(await response.json()).toMatchObject({ code: 3, reason: "invalidArgument" });
    }
    const client = new StreamClient(app);
    client.send(create("a"));
    await client.next();
    client.sendText("garbage");
    expect(await client.next()).toMatchObject({ error: { grpc_code: 3, reason: "invalidArgument" } });
    expect(await client.next()).toBe(null);
    await put("a", "1");
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("frees everything when the client goes away, before the first reply too", async () => {
    const { app, engine, put } = watchedApp();
    const client = new StreamClient(app);
    client.send(...Array.from({ length: 100 }, (_, i) => create(`k${i}`)));
    for (let i = 0; i < 100; i++) await client.next();
    expect(engine.watchStats()).toEqual({ streams: 1, watches: 100, slowWatches: 0 });
    await client.goAway();
    expect(engine.watchStats()).toEqual(NOTHING);
    await put("k1", "1");

    const controller = new AbortController();
    const { signal } = controller;
    const body = new TransformStream<Uint8Array, Uint8Array>().readable;
    const reply = app.request("/v3/watch", { method: "POST", body, duplex: "half", signal } as RequestInit);
    while (engine.watchStats().streams === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    expect((await reply).status).toBe(499);
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("makes no reply before there is somebody to take it, and loses none", async () => {
    const { app, engine, put } = watchedApp();
    const client = new StreamClient(app);
    client.send(create("a"));
    await client.next();
    for (let i = 2; i <= 100; i++) await put("a", String(i));
    // What a reader that does not read has missed waits in history, not in memory.
    expect(engine.watchStats().slowWatches).toBe(1);
    const told: string[] = [];
    while (told.length < 99) told.push(...changes((await client.next())!));
    expect(told).toEqual(Array.from({ length: 99 }, (_, i) => `a=${i + 2}@${i + 2}`));
    await client.goAway();
  });

  it("takes no more requests from a client that does not read the answers", async () => {
    const { app, engine } = watchedApp();
    const client = new StreamClient(app);
    for (let i = 0; i < 300; i++) client.send(create(`k${i}`));
    await client.response;
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(engine.watchStats().watches).toBeLessThan(100);
    for (let i = 0; i < 300; i++) expect(await client.next()).toMatchObject({ result: { created: true } });
    expect(engine.watchStats().watches).toBe(300);
    await client.goAway();
  });

  it("refuses streams that need a leader where there is none, and more streams than there may be", async () => {
    const asked: unknown[] = [];
    const leaderless = fakeEngine({
      watch: (options) => {
        asked.push(options?.requireLeader);
        throw new EngineError(options?.requireLeader === true ? "noLeader" : "tooManyRequests");
      },
    });
    const { app } = testApp(leaderless);
    const request = JSON.stringify(create("a"));
    const refused = await post(app, "/v3/watch", request, { "Grpc-Metadata-hasleader": "true" });
    expect([refused.status, await refused.json()]).toMatchObject([503, { message: "etcdserver: no leader" }]);
    expect((await post(app, "/v3/watch", request, { hasleader: "true" })).status).toBe(503);
    expect((await post(app, "/v3/watch", request)).status).toBe(429);
    expect(asked).toEqual([true, true, false]);
  });

  it("asks for the token like every other route", async () => {
    const auth = { clientToken: "secret", allowInsecure: false };
    const { app } = testApp(memoryEngine(), { auth });
    expect((await post(app, "/v3/watch", JSON.stringify(create("a")))).status).toBe(401);
  });
});
