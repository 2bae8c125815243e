import { describe, expect, test } from "vitest";
import { encodeCommand, type KvCommand, KvStore } from "../../../../src/core/kv/index.ts";
import type { WatchCreateRequest, WatchStream } from "../../../../src/core/node/index.ts";
import { bytes, OPEN_END } from "../../kv/support.ts";
import { HubFixture, put } from "./hub-fixture.ts";

function request(key: string, more: Omit<WatchCreateRequest, "key"> = {}): WatchCreateRequest {
  return { key: bytes(key), ...more };
}

const ALL: WatchCreateRequest = { key: OPEN_END, rangeEnd: OPEN_END };

/** Small pages, so that a few changes fill them. */
const SMALL = { page: { maxEvents: 2, maxBytes: 1 << 20, maxScanned: 3, maxWaiting: 3 } };

function txn(...success: (KvCommand & { readonly type: "put" | "deleteRange" })[]): KvCommand {
  return { type: "txn", request: { compare: [], success, failure: [] } };
}

async function watching(fixture: HubFixture, wanted: WatchCreateRequest): Promise<WatchStream> {
  const stream = fixture.open();
  stream.create(wanted);
  await fixture.lines(stream);
  return stream;
}

describe("what a watch is told", () => {
  test("changes from now on, after it was said to be created", async () => {
    const fixture = new HubFixture();
    fixture.put("a", "0");
    const stream = fixture.open();
    stream.create(request("a"));
    fixture.put("a", "1");
    fixture.put("b", "1");
    expect(await fixture.lines(stream)).toEqual(["#0 created /2", "#0 a=1@3 /4"]);
    fixture.delete("a");
    expect(await fixture.lines(stream)).toEqual(["#0 a-@5 /5"]);
    fixture.put("b", "2");
    expect(await fixture.lines(stream)).toEqual([]);
  });

  test("history from any revision that is not compacted, and then what follows", async () => {
    const fixture = new HubFixture();
    for (let i = 2; i <= 6; i++) fixture.put("a", String(i));
    const old = await watching(fixture, request("b", { startRevision: -1 }));
    fixture.compact(4);
    for (const [startRevision, told] of [
      [4, "#0 a=4@4 a=5@5 a=6@6 /6"],
      [6, "#0 a=6@6 /6"],
      [3, "#0 canceled compacted=4 /0"],
      [-1, "#0 canceled compacted=4 /0"],
    ] as const) {
      const stream = fixture.open();
      stream.create(request("a", { startRevision }));
      expect(await fixture.lines(stream)).toEqual(["#0 created /6", told]);
      stream.close();
    }
    fixture.put("b", "7");
    expect(await fixture.lines(old)).toEqual(["#0 b=7@7 /7"]);
  });

  test("what was before, except where that is compacted", async () => {
    const fixture = new HubFixture();
    for (let i = 2; i <= 5; i++) fixture.put("a", String(i));
    fixture.compact(3);
    const stream = fixture.open();
    stream.create(request("a", { startRevision: 3, prevKv: true }));
    stream.create(request("a"));
    expect(await fixture.lines(stream)).toEqual([
      "#0 created /5",
      "#1 created /5",
      "#0 a=3@3 a=4<3@4 a=5<4@5 /5",
    ]);
    fixture.delete("a");
    expect((await fixture.lines(stream)).toSorted()).toEqual(["#0 a-<5@6 /6", "#1 a-@6 /6"]);
    fixture.put("a", "new");
    expect((await fixture.lines(stream)).toSorted()).toEqual(["#0 a=new@7 /7", "#1 a=new@7 /7"]);
  });

  test("only its keys, and only the kinds of changes it wants", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    const wanted: [string, string, WatchCreateRequest["filters"]?][] = [
      ["b", "c"],
      ["b", "\0"],
      ["ba", ""],
      ["", ""],
      ["a", "z", ["noPut"]],
      ["a", "z", ["noDelete"]],
      ["a", "z", ["noPut", "noDelete"]],
    ];
    for (const [key, rangeEnd, filters] of wanted) {
      stream.create(request(key, { rangeEnd: bytes(rangeEnd), filters: filters ?? [] }));
    }
    await fixture.lines(stream);
    const told = async (): Promise<string[]> => (await fixture.lines(stream)).toSorted();
    fixture.put("b", "");
    expect(await told()).toEqual(["#0 b=@2 /2", "#1 b=@2 /2", "#5 b=@2 /2"]);
    fixture.put("ba", "");
    expect(await told()).toEqual(["#0 ba=@3 /3", "#1 ba=@3 /3", "#2 ba=@3 /3", "#5 ba=@3 /3"]);
    fixture.put("c", "");
    expect(await told()).toEqual(["#1 c=@4 /4", "#5 c=@4 /4"]);
    fixture.put("a", "");
    expect(await told()).toEqual(["#5 a=@5 /5"]);
    fixture.put("\0", "");
    expect(await told()).toEqual(["#3 \0=@6 /6"]);
    fixture.delete("b", "d");
    expect(await told()).toEqual([
      "#0 b-@7 ba-@7 /7",
      "#1 b-@7 ba-@7 c-@7 /7",
      "#2 ba-@7 /7",
      "#4 b-@7 ba-@7 c-@7 /7",
    ]);
  });

  test("nothing before a revision that is still to come", async () => {
    const fixture = new HubFixture();
    const stream = await watching(fixture, request("a", { startRevision: 4 }));
    for (let i = 2; i <= 5; i++) fixture.put("a", String(i));
    expect(await fixture.lines(stream)).toEqual(["#0 a=4@4 /4", "#0 a=5@5 /5"]);
  });

  test("the present state first, in pages of one revision, and then the changes, without a gap", async () => {
    const fixture = new HubFixture(SMALL);
    for (const key of ["a", "p1", "p2", "p3", "q"]) fixture.put(key, "0");
    const stream = fixture.open();
    stream.create(request("p", { rangeEnd: bytes("q"), initialState: true }));
    stream.create(request("none", { initialState: true }));
    stream.create(request("q", { initialState: true }));
    fixture.put("p3", "1");
    fixture.put("p4", "1");
    expect(await fixture.lines(stream)).toEqual([
      "#0 created /6",
      "#1 created /6",
      "#2 created /6",
      "#0 initial p1=0@3 p2=0@4 ... /6",
      "#1 initial /6",
      "#2 initial q=0@6 /6",
      "#0 initial p3=0@5 /6",
      "#0 p3=1@7 p4=1@8 /8",
    ]);
    fixture.delete("p1");
    expect(await fixture.lines(stream)).toEqual(["#0 p1-@9 /9"]);
  });

  test("of a compaction that overtook the present state", async () => {
    const fixture = new HubFixture(SMALL);
    for (const key of ["a", "b", "c"]) fixture.put(key, "0");
    const stream = fixture.open();
    stream.create({ ...ALL, initialState: true });
    await stream.next();
    await stream.next();
    fixture.put("a", "1");
    fixture.compact(5);
    expect(await fixture.lines(stream)).toEqual(["#0 canceled compacted=5 /0"]);
    expect(fixture.hub.stats()).toEqual({ streams: 1, watches: 0, slowWatches: 0 });
  });
});

describe("pages", () => {
  test("end with a revision, however many changes it has, and say how far they go", async () => {
    const fixture = new HubFixture(SMALL);
    fixture.put("a", "0");
    fixture.apply(txn(put("b", "1"), put("c", "1"), put("d", "1"), put("e", "1")));
    fixture.put("f", "2");
    fixture.put("x", "3");
    fixture.put("x", "4");
    const stream = fixture.open();
    stream.create({ ...ALL, startRevision: 1 });
    expect(await fixture.lines(stream)).toEqual([
      "#0 created /6",
      "#0 a=0@2 b=1@3 c=1@3 d=1@3 e=1@3 /3",
      "#0 f=2@4 x=3@5 /5",
      "#0 x=4@6 /6",
    ]);
  });

  test("may be split within a revision where the watch allows it", async () => {
    const fixture = new HubFixture(SMALL);
    fixture.apply(txn(put("b", "1"), put("c", "1"), put("d", "1"), put("e", "1"), put("f", "1")));
    fixture.put("g", "2");
    const stream = fixture.open();
    stream.create({ ...ALL, startRevision: 1, fragment: true });
    const told = ["#0 b=1@2 c=1@2 ... /2", "#0 d=1@2 e=1@2 ... /2"];
    expect(await fixture.lines(stream)).toEqual(["#0 created /3", ...told, "#0 f=1@2 g=2@3 /3"]);
    fixture.apply(txn(put("b", "3"), put("c", "3"), put("d", "3")));
    expect(await fixture.lines(stream)).toEqual(["#0 b=3@4 c=3@4 ... /4", "#0 d=3@4 /4"]);
    // More than may wait: the rest is found in history, in the middle of a revision.
    fixture.apply(txn(put("b", "4"), put("c", "4"), put("d", "4"), put("e", "4"), put("f", "4")));
    expect(await fixture.lines(stream)).toEqual([
      "#0 b=4@5 c=4@5 ... /5",
      "#0 d=4@5 e=4@5 ... /5",
      "#0 f=4@5 /5",
    ]);
  });

  test("are taken in turns by the watches of a stream", async () => {
    const fixture = new HubFixture(SMALL);
    for (let i = 2; i <= 5; i++) fixture.put("a", String(i));
    const stream = fixture.open();
    for (let i = 0; i < 2; i++) stream.create(request("a", { startRevision: 2 }));
    expect((await fixture.lines(stream)).slice(2)).toEqual([
      "#0 a=2@2 a=3@3 /3",
      "#1 a=2@2 a=3@3 /3",
      "#0 a=4@4 a=5@5 /5",
      "#1 a=4@4 a=5@5 /5",
    ]);
  });

  test("of a long history without anything of interest are skipped in turns of the event loop", async () => {
    const fixture = new HubFixture(SMALL);
    for (let i = 2; i <= 200; i++) fixture.put("other", "");
    fixture.put("a", "1");
    const stream = fixture.open();
    stream.create(request("a", { startRevision: 2 }));
    await stream.next();
    const next = stream.next();
    expect(fixture.clock.isDue).toBe(true);
    fixture.clock.advance(0);
    expect(await next).toMatchObject({ events: [{ kv: { modRevision: 201 } }] });
    expect(fixture.clock.pending).toBe(0);
  });
});

describe("a slow reader", () => {
  test("finds what it missed in history, and the rest as it comes", async () => {
    const fixture = new HubFixture(SMALL);
    const stream = await watching(fixture, request("a"));
    stream.close();
    const slow = fixture.open();
    slow.create(request("a"));
    await slow.next();
    for (let i = 2; i <= 4; i++) fixture.put("a", String(i));
    expect(fixture.hub.stats().slowWatches).toBe(0);
    fixture.put("a", "5");
    expect(fixture.hub.stats().slowWatches).toBe(1);
    for (let i = 6; i <= 100; i++) fixture.put("a", String(i));
    const told = (await fixture.drain(slow)).flatMap(({ events }) => events.map(({ kv }) => kv.modRevision));
    expect(told).toEqual(Array.from({ length: 99 }, (_, i) => i + 2));
    expect(fixture.hub.stats().slowWatches).toBe(0);
    fixture.put("a", "101");
    expect(await fixture.lines(slow)).toEqual(["#0 a=101@101 /101"]);
  });

  test("is told that compaction has overtaken it", async () => {
    const fixture = new HubFixture(SMALL);
    const slow = fixture.open();
    slow.create(request("a"));
    slow.create(request("b"));
    await slow.next();
    await slow.next();
    for (let i = 2; i <= 10; i++) fixture.put("a", String(i));
    fixture.compact(8);
    expect(await fixture.lines(slow)).toEqual(["#0 canceled compacted=8 /0"]);
    fixture.put("a", "11");
    fixture.put("b", "12");
    expect(await fixture.lines(slow)).toEqual(["#1 b=12@12 /12"]);
  });

  test("that is only a little late is not hurt by a compaction", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    stream.create(request("a", { prevKv: true }));
    await stream.next();
    // Applied together, as by a pipelining client.
    fixture.apply(put("a", "1"), put("a", "2"), { type: "compact", request: { revision: 3 } });
    while (fixture.store.compactStep(1000));
    expect(await fixture.lines(stream)).toEqual(["#0 a=1@2 a=2<1@3 /3"]);
  });

  test("has no more kept for it than all have together", async () => {
    const fixture = new HubFixture({ maxRecentBytes: 2000 });
    const stream = fixture.open();
    stream.create(request("a", { prevKv: true }));
    await stream.next();
    for (let i = 2; i <= 6; i++) fixture.put("a", String(i));
    fixture.compact(3);
    // The oldest is neither kept nor in history.
    expect(await fixture.lines(stream)).toEqual(["#0 canceled compacted=3 /0"]);
    stream.create(request("a", { prevKv: true }));
    await fixture.lines(stream);
    stream.close();
    const other = fixture.open();
    other.create(request("a", { prevKv: true }));
    await other.next();
    for (let i = 7; i <= 12; i++) fixture.put("a", String(i));
    // The oldest are read from history.
    expect(await fixture.lines(other)).toEqual([
      "#0 a=7<6@7 a=8<7@8 a=9<8@9 a=10<9@10 a=11<10@11 a=12<11@12 /12",
    ]);
  });
});

describe("a snapshot that replaces the state", () => {
  /** A store that has seen the same commands, and some more. */
  function ahead(commands: readonly KvCommand[]): KvStore {
    const store = new KvStore();
    store.applyChunk(commands.map((command) => ({ command: encodeCommand(command), term: 1 })));
    return store;
  }

  test("hides no change that it has, whoever was up to date, waiting or behind", async () => {
    const commands = Array.from({ length: 8 }, (_, i): KvCommand => put(i % 2 === 0 ? "a" : "b", String(i)));
    const fixture = new HubFixture(SMALL);
    fixture.apply(...commands.slice(0, 2));
    const upToDate = await watching(fixture, request("a"));
    const unread = fixture.open();
    unread.create(request("a"));
    await unread.next();
    const behind = fixture.open();
    behind.create({ ...ALL, startRevision: 2 });
    await behind.next();
    fixture.apply(...commands.slice(2, 4));
    expect(await fixture.lines(upToDate)).toEqual(["#0 a=2@4 /5"]);
    fixture.install(ahead([...commands, { type: "compact", request: { revision: 3 } }]));
    expect(await fixture.lines(upToDate)).toEqual(["#0 a=4@6 a=6@8 /8"]);
    expect(await fixture.lines(unread)).toEqual(["#0 a=2@4 a=4@6 /6", "#0 a=6@8 /9"]);
    expect(await fixture.lines(behind)).toEqual(["#0 canceled compacted=3 /0"]);
    fixture.put("a", "after");
    expect(await fixture.lines(upToDate)).toEqual(["#0 a=after@10 /10"]);
  });

  test("that is compacted beyond where a watch stands ends it", async () => {
    const commands = Array.from({ length: 8 }, (_, i): KvCommand => put("a", String(i)));
    const fixture = new HubFixture();
    fixture.apply(...commands.slice(0, 2));
    const stream = await watching(fixture, request("a"));
    fixture.install(ahead([...commands, { type: "compact", request: { revision: 5 } }]));
    expect(await fixture.lines(stream)).toEqual(["#0 canceled compacted=5 /0"]);
  });

  test("is no reason to end a watch that begins with the oldest revision that is left", async () => {
    const commands = Array.from({ length: 8 }, (_, i): KvCommand => put("a", String(i)));
    const fixture = new HubFixture();
    const stream = await watching(fixture, request("a", { startRevision: 5 }));
    fixture.install(ahead([...commands.slice(0, 5), { type: "compact", request: { revision: 5 } }]));
    expect(await fixture.lines(stream)).toEqual(["#0 a=3@5 a=4@6 /6"]);
  });

  test("goes on in the middle of a revision that was split", async () => {
    const commands = [
      txn(put("b", "1"), put("c", "1"), put("d", "1"), put("e", "1"), put("f", "1")),
      put("g", "2"),
    ];
    const fixture = new HubFixture(SMALL);
    const stream = await watching(fixture, { ...ALL, fragment: true });
    const slow = fixture.open();
    slow.create({ ...ALL, fragment: true });
    await slow.next();
    fixture.apply(commands[0]!);
    const first = ["#0 b=1@2 c=1@2 ... /2"];
    expect((await slow.next())?.events).toHaveLength(2);
    fixture.install(ahead(commands));
    expect(await fixture.lines(slow)).toEqual(["#0 d=1@2 e=1@2 ... /2", "#0 f=1@2 g=2@3 /3"]);
    expect((await fixture.lines(stream)).slice(0, 1)).toEqual(first);
  });
});
