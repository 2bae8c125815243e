import { describe, expect, it } from "vitest";
import { Watchdog } from "../../../src/runtimes/workers/watchdog.ts";

const NOW_MS = 1_000_000;

function setUp(awake = false, alarmMs: number | null = null) {
  const done: string[] = [];
  const record = {
    awake,
    saveAwake: (value: boolean) => void done.push(value ? "awake" : "asleep"),
  };
  const storage = {
    getAlarm: () => Promise.resolve(alarmMs),
    setAlarm: (atMs: number) => (done.push(`set ${atMs - NOW_MS}`), Promise.resolve()),
    deleteAlarm: () => (done.push("delete"), Promise.resolve()),
  };
  const node = { awake, dueMs: null as number | null };
  const watched = {
    isAwake: () => node.awake,
    dueAtMs: () => (node.dueMs === null ? null : NOW_MS + node.dueMs),
  };
  const clock = { wallMs: () => NOW_MS };
  const watchdog = new Watchdog(storage, record, clock, watched, () => done.push("failed"));
  return { watchdog, node, storage, taken: () => done.splice(0) };
}

/** The platform has said which alarm there is. */
const found = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the watchdog", () => {
  it("is set once while the node is awake, and taken back when it sleeps: each costs a row", () => {
    const { watchdog, node, taken } = setUp();
    watchdog.poll();
    taken();
    node.awake = true;
    for (let i = 0; i < 5; i++) watchdog.poll();
    expect(taken()).toEqual(["awake", "set 30000"]);
    node.awake = false;
    for (let i = 0; i < 5; i++) watchdog.poll();
    expect(taken()).toEqual(["asleep", "delete"]);
  });

  it("is set again each time that it rings, for as long as it is needed", () => {
    const { watchdog, node, taken } = setUp(true);
    watchdog.poll();
    expect(taken()).toEqual(["set 30000"]);
    watchdog.rang();
    expect(taken()).toEqual(["set 30000"]);
    node.awake = false;
    watchdog.rang();
    expect(taken()).toEqual(["asleep"]);
  });

  it("goes off when a lease is due, though the group sleeps", () => {
    const { watchdog, node, taken } = setUp(true);
    watchdog.poll();
    taken();
    node.dueMs = 60_000;
    node.awake = false;
    watchdog.poll();
    expect(taken()).toEqual(["asleep", "set 60000"]);
    node.dueMs = 90_000;
    watchdog.poll();
    // Each change is a row: it goes off, and is set again.
    expect(taken()).toEqual([]);
    node.dueMs = 5000;
    watchdog.poll();
    expect(taken()).toEqual(["set 5000"]);
    watchdog.rang();
    expect(taken()).toEqual(["set 5000"]);
    // What is due is under way, and need not be asked for over and over.
    node.dueMs = -100;
    watchdog.rang();
    expect(taken()).toEqual(["set 500"]);
    node.dueMs = null;
    watchdog.poll();
    expect(taken()).toEqual(["delete"]);
  });

  it("is left to ring by an object that does not know yet what it was for", async () => {
    const { watchdog, node, taken } = setUp(false, NOW_MS + 20_000);
    await found();
    watchdog.poll();
    expect(taken()).toEqual([]);
    node.dueMs = 40_000;
    watchdog.poll();
    expect(taken()).toEqual([]);
    node.dueMs = 10_000;
    watchdog.poll();
    expect(taken()).toEqual(["set 10000"]);
  });

  it("is set by an object that has leases to look after and no alarm", async () => {
    const { watchdog, node, taken } = setUp();
    node.dueMs = 40_000;
    watchdog.poll();
    expect(taken()).toEqual([]);
    await found();
    expect(taken()).toEqual(["set 40000"]);
  });

  it("is set anew by an object that comes back: the platform may have given it up", () => {
    const { watchdog, taken } = setUp(true);
    watchdog.poll();
    expect(taken()).toEqual(["set 30000"]);
  });

  it("tells when it cannot be set", async () => {
    const { watchdog, node, storage, taken } = setUp();
    watchdog.poll();
    taken();
    storage.setAlarm = () => Promise.reject(new Error("no"));
    node.awake = true;
    watchdog.poll();
    await Promise.resolve();
    await Promise.resolve();
    expect(taken()).toEqual(["awake", "failed"]);
  });
});
