import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import { fakeEngine } from "./fake-engine.ts";
import { testApp } from "./test-app.ts";
import { watchedApp } from "./watched-app.ts";

const NOTHING = { streams: 0, watches: 0, slowWatches: 0 };

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

interface EventData {
  readonly key?: string;
  readonly value?: string;
  readonly revision?: number;
  readonly compact_revision?: number;
  readonly prev?: { readonly value?: string };
}

/** The events of a stream, one at a time, as `event #id data`. */
class EventReader {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(response: Response) {
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  }

  async next(): Promise<string | null> {
    while (!this.#rest.includes("\n\n")) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n\n");
    const fields = new Map(
      this.#rest
        .slice(0, end)
        .split("\n")
        .map((line) => line.split(/: (.*)/s) as unknown as [string, string]),
    );
    this.#rest = this.#rest.slice(end + 2);
    const id = fields.has("id") ? ` #${fields.get("id")}` : "";
    const data = JSON.parse(fields.get("data")!) as EventData;
    const { key, value, revision, compact_revision: compacted, prev } = data;
    const shown = [key, value, revision, compacted, prev?.value];
    return [`${fields.get("event")}${id}`, ...shown.filter((each) => each !== undefined)].join(" ");
  }

  async take(count: number): Promise<(string | null)[]> {
    const taken: (string | null)[] = [];
    for (let i = 0; i < count; i++) taken.push(await this.next());
    return taken;
  }

  async goAway(): Promise<void> {
    await this.#reader.cancel();
  }
}

describe("GET /watch as server-sent events", () => {
  it("sends changes as they come, with an id at the end of each revision", async () => {
    const { app, engine, put } = watchedApp();
    const response = await app.request("/watch?prefix=a/&prev=1");
    expect(response.headers.get("Content-Type")).toBe("text/event-stream");
    const events = new EventReader(response);
    expect(await events.next()).toBe("watching #1 1");
    await put("a/1", "x");
    await put("b", "other");
    expect(await events.next()).toBe("put #2 a/1 x");
    const success = ["a/1", "a/2", "a/3"].map((key) => ({
      type: "put" as const,
      request: { key: bytes(key), value: bytes("y") },
    }));
    await engine.txn({ compare: [], success, failure: [] });
    expect(await events.take(3)).toEqual(["put a/1 y x", "put a/2 y", "put #4 a/3 y"]);
    await engine.deleteRange({ key: bytes("a/2") });
    expect(await events.next()).toBe("delete #5 a/2 y");
    await events.goAway();
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("goes on after the last id that was received, whatever else the address says", async () => {
    const { app, put } = watchedApp();
    for (let i = 2; i <= 6; i++) await put("k", String(i));
    for (const query of ["key=k", "key=k&rev=2", "key=k&initial=1"]) {
      const response = await app.request(`/watch?${query}`, { headers: { "Last-Event-ID": "4" } });
      const events = new EventReader(response);
      expect(await events.take(3)).toEqual(["watching #4 6", "put #5 k 5", "put #6 k 6"]);
      await events.goAway();
    }
  });

  it("begins with the state, or with a revision", async () => {
    const { app, put } = watchedApp();
    for (let i = 2; i <= 7; i++) await put(`k${i}`, String(i));
    const state = new EventReader(await app.request("/watch?prefix=&initial=1"));
    expect(await state.next()).toBe("watching 7");
    expect(await state.take(6)).toEqual([2, 3, 4, 5, 6, 7].map((i) => `state k${i} ${i}`));
    expect(await state.next()).toBe("synced #7 7");
    await put("k2", "new");
    expect(await state.next()).toBe("put #8 k2 new");
    await state.goAway();
    const history = new EventReader(await app.request("/watch?prefix=k&rev=6"));
    expect(await history.take(3)).toEqual(["watching #5 8", "put #6 k6 6", "put #7 k7 7"]);
    await history.goAway();
  });

  it("says what is compacted: at once, or as its last event", async () => {
    const { app, engine, put } = watchedApp();
    for (let i = 2; i <= 30; i++) await put("k", String(i));
    await engine.compact({ revision: 4 });
    const refused = await app.request("/watch?key=k&rev=3");
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 11, reason: "compacted" }]);
    const events = new EventReader(await app.request("/watch?key=k&rev=4"));
    expect(await events.take(2)).toEqual(["watching #3 30", "put #4 k 4"]);
    await engine.compact({ revision: 30 });
    // What is on its way already still comes.
    let last = await events.next();
    for (let i = 5; last?.startsWith("put") === true; i++, last = await events.next()) {
      expect(last).toBe(`put #${i} k ${i}`);
    }
    expect(last).toBe("compacted #29 30");
    expect(await events.next()).toBe(null);
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("ends with the engine's error", async () => {
    const { app, engine } = watchedApp();
    const events = new EventReader(await app.request("/watch?key=k"));
    await events.next();
    engine.stopWatches();
    expect(await events.next()).toBe("error");
    expect(await events.next()).toBe(null);
  });

  it.each([
    ["", "one of ?key and ?prefix is needed"],
    ["?key=a&prefix=b", "one of ?key and ?prefix is needed"],
    ["?key=a&initial=1&rev=3", "?initial and ?rev exclude each other"],
    ["?key=a&wait=3", "?wait: not a time like 30s or 500ms"],
    ["?key=a&wait=601s", "?wait: not a time like 30s or 500ms"],
    ["?key=a&wait=0ms", "?wait: not a time like 30s or 500ms"],
    ["?key=a&rev=-1", "?rev: not a number"],
    ["?key=a&since=1", '?"since"'],
  ])("refuses %s", async (query, detail) => {
    const { app, engine } = watchedApp();
    const response = await app.request(`/watch${query}`);
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { detail: expect.stringContaining(detail) },
    ]);
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("refuses what is no key, no id and no GET", async () => {
    const { app, engine } = watchedApp();
    expect(await (await app.request("/watch?key=")).json()).toMatchObject({ reason: "emptyKey" });
    const odd = await app.request("/watch?key=a", { headers: { "Last-Event-ID": "x" } });
    expect([odd.status, await odd.json()]).toMatchObject([400, { reason: "invalidArgument" }]);
    expect((await app.request("/watch?key=a", { method: "HEAD" })).status).toBe(405);
    expect(engine.watchStats()).toEqual(NOTHING);
    const full = fakeEngine({
      watch: () => {
        throw new EngineError("tooManyRequests");
      },
    });
    expect((await testApp(full).app.request("/watch?key=a")).status).toBe(429);
  });
});

describe("GET /watch as a long poll", () => {
  interface Polled {
    readonly revision: number;
    readonly events: readonly { readonly type: string; readonly key: string; readonly value?: string }[];
    readonly next: string;
  }

  async function poll(app: ReturnType<typeof testApp>["app"], path: string): Promise<Polled> {
    const response = await app.request(path);
    expect(response.status).toBe(200);
    return (await response.json()) as Polled;
  }

  it("answers with the first changes, and the way to the next ones", async () => {
    const { app, engine, put } = watchedApp();
    const waiting = poll(app, "/watch?prefix=a%2F&wait=30s");
    while (engine.watchStats().watches === 0) await new Promise((resolve) => setImmediate(resolve));
    await put("b", "1");
    await put("a/1", "1");
    const first = await waiting;
    expect(first).toMatchObject({ revision: 3, events: [{ type: "put", key: "a/1", value: "1" }] });
    await put("a/2", "2");
    await engine.deleteRange({ key: bytes("a/1") });
    const second = await poll(app, first.next);
    expect(second.events).toMatchObject([
      { type: "put", key: "a/2" },
      { type: "delete", key: "a/1" },
    ]);
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("answers without any when the time is over, as far as there is nothing to tell", async () => {
    const { app, engine, put } = watchedApp();
    await put("b", "1");
    expect(await poll(app, "/watch?key=a&wait=1ms")).toEqual({
      revision: 2,
      events: [],
      next: "/watch?key=a&rev=3&wait=1ms",
    });
    // A revision that is still to come stays what is waited for.
    expect((await poll(app, "/watch?key=a&rev=9&wait=1ms")).next).toBe("/watch?key=a&rev=9&wait=1ms");
    expect(engine.watchStats()).toEqual(NOTHING);
  });

  it("answers with the state, all of it, if that is asked for", async () => {
    const { app, put } = watchedApp();
    for (let i = 2; i <= 11; i++) await put(`k${i}`, "");
    const { events, next } = await poll(app, "/watch?prefix=k&prev=1&initial=1&wait=30s");
    expect(events).toHaveLength(10);
    expect(next).toBe("/watch?prefix=k&prev=1&rev=12&wait=30000ms");
    const none = await poll(app, "/watch?prefix=none&initial=1&wait=30s");
    expect(none.events).toEqual([]);
  });

  it("refuses what is compacted, and lets go of everything when the client goes away", async () => {
    const { app, engine, put } = watchedApp();
    for (let i = 2; i <= 5; i++) await put("k", "");
    await engine.compact({ revision: 4 });
    expect((await app.request("/watch?key=k&rev=3&wait=30s")).status).toBe(400);
    const controller = new AbortController();
    const waiting = app.request("/watch?key=k&wait=30s", { signal: controller.signal });
    while (engine.watchStats().watches === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await waiting;
    expect(engine.watchStats()).toEqual(NOTHING);
  });
});
