import { describe, expect, it } from "vitest";
import { Watchdog } from "../../../src/runtimes/workers/watchdog.ts";

function setUp(awake = false) {
  const done: string[] = [];
  const record = {
    awake,
    saveAwake: (value: boolean) => void done.push(value ? "awake" : "asleep"),
  };
  const storage = {
    setAlarm: () => (done.push("set"), Promise.resolve()),
    deleteAlarm: () => (done.push("delete"), Promise.resolve()),
  };
  const node = { awake, deadlines: false };
  const watched = { isAwake: () => node.awake, hasDeadlines: () => node.deadlines };
  const watchdog = new Watchdog(storage, record, watched, () => done.push("failed"));
  return { watchdog, node, storage, taken: () => done.splice(0) };
}

describe("the watchdog", () => {
  it("is set once while the node is awake, and taken back when it sleeps: each costs a row", () => {
    const { watchdog, node, taken } = setUp();
    watchdog.poll();
    taken();
    node.awake = true;
    for (let i = 0; i < 5; i++) watchdog.poll();
    expect(taken()).toEqual(["awake", "set"]);
    node.awake = false;
    for (let i = 0; i < 5; i++) watchdog.poll();
    expect(taken()).toEqual(["asleep", "delete"]);
  });

  it("is set again each time that it rings, for as long as it is needed", () => {
    const { watchdog, node, taken } = setUp(true);
    watchdog.poll();
    expect(taken()).toEqual(["set"]);
    watchdog.rang();
    expect(taken()).toEqual(["set"]);
    node.awake = false;
    watchdog.rang();
    expect(taken()).toEqual(["asleep"]);
  });

  it("stays for leases that will be due, though the group sleeps", () => {
    const { watchdog, node, taken } = setUp(true);
    watchdog.poll();
    taken();
    node.deadlines = true;
    node.awake = false;
    watchdog.poll();
    expect(taken()).toEqual(["asleep"]);
    node.deadlines = false;
    watchdog.poll();
    expect(taken()).toEqual(["delete"]);
  });

  it("is set anew by an object that comes back: the platform may have given it up", () => {
    const { watchdog, taken } = setUp(true);
    watchdog.poll();
    expect(taken()).toEqual(["set"]);
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
