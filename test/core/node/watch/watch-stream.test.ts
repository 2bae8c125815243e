import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { EngineError } from "../../../../src/core/errors/index.ts";
import type { WatchCreateRequest } from "../../../../src/core/node/index.ts";
import { bytes } from "../../kv/support.ts";
import { HubFixture } from "./hub-fixture.ts";

function request(key: string, more: Omit<WatchCreateRequest, "key"> = {}): WatchCreateRequest {
  return { key: bytes(key), ...more };
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof EngineError) return error.code;
    throw error;
  }
  return "no error";
}

describe("ids and cancellation", () => {
  test("an id may be chosen, by either side; what is taken or makes no sense is refused and changes nothing", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    for (const watchId of [undefined, 2n, 0n, -7n, 2n, undefined]) {
      stream.create(request("a", watchId === undefined ? {} : { watchId }));
    }
    stream.create(request("b", { rangeEnd: bytes("a") }));
    stream.create(request("b", { rangeEnd: bytes("b") }));
    stream.create(request("a", { initialState: true, startRevision: 3 }));
    expect(await fixture.lines(stream)).toEqual([
      "#0 created /1",
      "#2 created /1",
      "#1 created /1",
      "#-7 created /1",
      "#-1 created canceled (mvcc: duplicate watch ID provided on the WatchStream) /1",
      // The one that was asked for is not given away.
      "#3 created /1",
      "#-1 created canceled (mvcc: watcher range is empty) /1",
      "#-1 created canceled (mvcc: watcher range is empty) /1",
      "#-1 created canceled (d-engine: the present state first and a start revision exclude each other) /1",
    ]);
    expect(fixture.hub.stats().watches).toBe(5);
  });

  test("a canceled watch says so and nothing more; an unknown id is ignored", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    stream.create(request("a"));
    stream.create(request("a"));
    await stream.next();
    await stream.next();
    fixture.put("a", "1");
    stream.cancel(0n);
    stream.cancel(0n);
    stream.cancel(99n);
    expect(await fixture.lines(stream)).toEqual(["#0 canceled /2", "#1 a=1@2 /2"]);
    // An id that is free may be taken anew.
    stream.create(request("a", { watchId: 1n }));
    stream.cancel(1n);
    stream.create(request("a", { watchId: 1n }));
    expect((await fixture.lines(stream)).map((each) => each.split(" (")[0])).toEqual([
      "#-1 created canceled",
      "#1 canceled /2",
      "#1 created /2",
    ]);
  });
});

describe("progress", () => {
  test("is told once, on request, when everything up to then has been", async () => {
    const fixture = new HubFixture({
      page: { maxEvents: 1, maxBytes: 1 << 20, maxScanned: 2, maxWaiting: 2 },
    });
    for (let i = 2; i <= 4; i++) fixture.put("a", String(i));
    const stream = fixture.open();
    stream.create(request("a", { startRevision: 3 }));
    stream.create(request("b"));
    stream.create(request("c", { startRevision: 100 }));
    stream.requestProgress();
    stream.requestProgress();
    stream.requestProgress();
    expect((await fixture.lines(stream)).slice(3)).toEqual(["#0 a=3@3 /3", "#0 a=4@4 /4", "#-1 /4"]);
    fixture.put("z", "");
    expect(await fixture.lines(stream)).toEqual([]);
    stream.requestProgress();
    expect(await fixture.lines(stream)).toEqual(["#-1 /5"]);
  });

  test("asked for again meanwhile, for more, is told again", async () => {
    const fixture = new HubFixture({
      page: { maxEvents: 1, maxBytes: 1 << 20, maxScanned: 2, maxWaiting: 2 },
    });
    fixture.put("a", "2");
    fixture.put("a", "3");
    const stream = fixture.open();
    stream.create(request("a", { startRevision: 2 }));
    stream.requestProgress();
    expect([await stream.next(), await stream.next()]).toMatchObject([{ created: true }, { events: [{}] }]);
    fixture.put("a", "4");
    stream.requestProgress();
    expect(await fixture.lines(stream)).toEqual(["#0 a=3@3 /3", "#-1 /3", "#0 a=4@4 /4", "#-1 /4"]);
  });

  test("does not wait for ever where there is always something new to tell", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    stream.create(request("a"));
    await stream.next();
    fixture.put("a", "2");
    stream.requestProgress();
    const told: string[] = [];
    for (let i = 3; told.at(-1)?.startsWith("#-1") !== true && i < 20; i++) {
      const response = (await stream.next())!;
      told.push(`#${response.watchId} /${response.header.revision}`);
      fixture.put("a", String(i));
    }
    expect(told).toEqual(["#0 /2", "#-1 /2"]);
  });

  test("is told by itself to a watch that asked for it and was quiet", async () => {
    const fixture = new HubFixture({ progressIntervalMs: 1000 });
    const stream = fixture.open();
    stream.create(request("a", { progressNotify: true }));
    stream.create(request("b", { progressNotify: true }));
    stream.create(request("c"));
    await fixture.lines(stream);
    fixture.put("b", "2");
    expect(await fixture.lines(stream)).toEqual(["#1 b=2@2 /2"]);
    fixture.put("z", "3");
    fixture.clock.advance(1000);
    expect(await fixture.lines(stream)).toEqual(["#0 /3"]);
    fixture.clock.advance(1000);
    expect((await fixture.lines(stream)).toSorted()).toEqual(["#0 /3", "#1 /3"]);
    stream.close();
    fixture.clock.advance(1000);
    expect(fixture.clock.pending).toBe(0);
  });
});

describe("limits", () => {
  test("on streams, watches and the bytes of their keys", async () => {
    const fixture = new HubFixture({ maxStreams: 2, maxWatchesPerStream: 3, maxWatches: 4, maxKeyBytes: 20 });
    const [one, two] = [fixture.open(), fixture.open()];
    expect(codeOf(() => fixture.open())).toBe("tooManyRequests");
    const outcome = async (stream: typeof one, key: string): Promise<boolean> => {
      stream.create(request(key));
      return (await fixture.drain(stream))[0]!.canceled;
    };
    const [a, b, c, d] = [
      await outcome(one, "k"),
      await outcome(one, "k"),
      await outcome(one, "k"),
      await outcome(one, "k"),
    ];
    expect([a, b, c, d]).toEqual([false, false, false, true]);
    expect(await outcome(two, "0123456789abcdefgh")).toBe(true);
    expect([await outcome(two, "k"), await outcome(two, "k")]).toEqual([false, true]);
    two.close();
    const again = fixture.open();
    one.cancel(0n);
    await fixture.drain(one);
    expect([await outcome(again, "0123456789abcdef"), await outcome(again, "0123")]).toEqual([false, true]);
    one.close();
    again.close();
    expect(fixture.hub.stats()).toEqual({ streams: 0, watches: 0, slowWatches: 0 });
    expect(await outcome(fixture.open(), "0123456789abcdefghij")).toBe(false);
  });

  test("on answers that nobody reads", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    const bad = request("b", { rangeEnd: bytes("a") });
    for (let i = 0; i < 64; i++) {
      await stream.room();
      stream.create(bad);
    }
    let hasRoom = false;
    void stream.room().then(() => (hasRoom = true));
    await fixture.drain(fixture.open());
    expect(hasRoom).toBe(false);
    await stream.next();
    await fixture.drain(fixture.open());
    expect(hasRoom).toBe(true);
    const code = codeOf(() => {
      for (let i = 0; i < 20_000; i++) stream.create(bad);
    });
    expect(code).toBe("tooManyRequests");
    expect(codeOf(() => stream.requestProgress())).toBe("tooManyRequests");
  });
});

describe("the end", () => {
  test("comes when the stream is closed: for its reader, whoever waits for room, and its watches", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    stream.create(request("a"));
    await stream.next();
    const reading = stream.next();
    await expect(stream.next()).rejects.toMatchObject({ code: "invalidArgument" });
    stream.close();
    stream.close();
    expect(await reading).toBe(null);
    expect(await stream.next()).toBe(null);
    await stream.room();
    expect(codeOf(() => stream.create(request("a")))).toBe("canceled");
    fixture.put("a", "1");
    expect(fixture.hub.stats()).toEqual({ streams: 0, watches: 0, slowWatches: 0 });
  });

  test("comes when a loop over it is left", async () => {
    const fixture = new HubFixture();
    const stream = fixture.open();
    stream.create(request("a"));
    for await (const { created } of stream) if (created) break;
    expect(fixture.hub.stats().streams).toBe(0);
  });

  test("comes with the node, and with the signal that the stream was given", async () => {
    const fixture = new HubFixture();
    const controller = new AbortController();
    const aborted = fixture.hub.open({ signal: controller.signal }, true);
    const stopped = fixture.open();
    const reading = aborted.next();
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: "canceled" });
    expect(codeOf(() => fixture.hub.open({ signal: controller.signal }, true))).toBe("canceled");
    fixture.hub.stop();
    await expect(stopped.next()).rejects.toMatchObject({ code: "stopped" });
    expect(codeOf(() => stopped.create(request("a")))).toBe("stopped");
    expect(codeOf(() => fixture.open())).toBe("stopped");
    expect(fixture.clock.pending).toBe(0);
  });

  test("comes for streams that need a leader when there has been none for a while", async () => {
    const fixture = new HubFixture({ noLeaderPatienceMs: 300 });
    expect(codeOf(() => fixture.hub.open({ requireLeader: true }, false))).toBe("noLeader");
    const [needs, doesNot] = [fixture.open(true), fixture.open()];
    fixture.hub.leaderChanged(false);
    fixture.clock.advance(299);
    fixture.hub.leaderChanged(true);
    fixture.clock.advance(1000);
    fixture.hub.leaderChanged(false);
    expect(fixture.hub.stats().streams).toBe(2);
    fixture.clock.advance(300);
    await expect(needs.next()).rejects.toMatchObject({ code: "noLeader" });
    expect(await fixture.lines(doesNot)).toEqual([]);
    expect(fixture.hub.stats().streams).toBe(1);
  });
});

test("many readers of one change are given it in turns of the event loop", async () => {
  const fixture = new HubFixture();
  const count = 3000;
  let told = 0;
  for (let i = 0; i < count; i++) {
    const stream = fixture.open();
    stream.create(request("a"));
    await stream.next();
    void stream.next().then(() => told++);
  }
  fixture.put("a", "1");
  await nextTurn();
  expect(told).toBeGreaterThan(0);
  expect(told).toBeLessThan(count);
  // Those who are put off come before those who would be woken next.
  fixture.put("a", "2");
  for (let turns = 0; told < count && turns < 10; turns++) {
    fixture.clock.advance(0);
    await nextTurn();
  }
  expect(told).toBe(count);
});
