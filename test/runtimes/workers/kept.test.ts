// What an object writes down before it forgets: of watchers' connections, and of leases.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SavedLeases, SavedWatch, SavedWatches } from "../../../src/core/node/index.ts";
import { decodeLeases, encodeLeases } from "../../../src/runtimes/workers/lease-codec.ts";
import type { SavedObservation } from "../../../src/runtimes/http/etcd/observe-session.ts";
import { ObjectRest } from "../../../src/runtimes/workers/object-rest.ts";
import type { Caller } from "../../../src/core/kv/index.ts";
import {
  decodeCaller,
  decodeObservation,
  decodeWatches,
  encodeCaller,
  encodeObservation,
  encodeWatches,
} from "../../../src/runtimes/workers/watches-codec.ts";

const id = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytes = fc.uint8Array({ maxLength: 20 });

const watch: fc.Arbitrary<SavedWatch> = fc.record({
  watchId: id,
  request: fc.record(
    {
      key: bytes,
      rangeEnd: fc.uint8Array({ minLength: 1, maxLength: 20 }),
      filters: fc.subarray(["noPut", "noDelete"] as const),
      progressNotify: fc.boolean(),
      prevKv: fc.boolean(),
      fragment: fc.boolean(),
    },
    { requiredKeys: ["key", "filters", "progressNotify", "prevKv", "fragment"] },
  ),
  nextRevision: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
});

const caller: fc.Arbitrary<Caller> = fc.oneof(
  fc.constant<Caller>({ type: "trusted" }),
  fc.record({
    type: fc.constant("user" as const),
    name: fc.string({ minLength: 1, maxLength: 10, unit: "grapheme" }),
    since: fc.nat(),
  }),
);

const saved: fc.Arbitrary<SavedWatches> = fc.record(
  {
    requireLeader: fc.boolean(),
    progressAsked: fc.boolean(),
    nextId: id,
    watches: fc.array(watch, { maxLength: 10 }),
    caller,
  },
  { requiredKeys: ["requireLeader", "progressAsked", "nextId", "watches"] },
);

const observation: fc.Arbitrary<SavedObservation> = fc.record({
  name: fc.option(bytes),
  toldRevision: fc.maxSafeNat(),
  caller: fc.oneof(fc.constant<Caller>({ type: "anonymous" }), caller),
});

const SOMEBODY: Caller = { type: "user", name: "alice", since: 3 };
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const leases: fc.Arbitrary<SavedLeases> = fc.record({
  term: fc.nat(),
  leases: fc.array(fc.record({ id, serial: fc.nat(), endsAtMs: fc.maxSafeNat() })),
});

describe("what is kept", () => {
  it("is read as it was written", () => {
    const watches = fc.property(saved, (each) => {
      expect(decodeWatches(encodeWatches(each))).toEqual(each);
    });
    const callers = fc.property(caller, (each) => {
      expect(decodeCaller(encodeCaller(each))).toEqual(each);
    });
    expect(decodeCaller(encodeCaller({ type: "anonymous" }))).toEqual({ type: "anonymous" });
    fc.assert(callers);
    const deadlines = fc.property(leases, (each) => {
      expect(decodeLeases(encodeLeases(each))).toEqual(each);
    });
    const observations = fc.property(observation, (each) => {
      expect(decodeObservation(encodeObservation(each))).toEqual(each);
    });
    fc.assert(watches);
    fc.assert(deadlines);
    fc.assert(observations);
  });

  it("is refused in part, with more behind it, and of another version", () => {
    for (const [whole, decode] of [
      [encodeWatches(fc.sample(saved, { seed: 1, numRuns: 1 })[0]!), decodeWatches],
      [encodeObservation({ name: bytesOf("chair"), toldRevision: 7, caller: SOMEBODY }), decodeObservation],
      [encodeLeases({ term: 1, leases: [{ id: 1n, serial: 2, endsAtMs: 3 }] }), decodeLeases],
    ] as const) {
      for (let length = 0; length < whole.length; length++) {
        expect(() => decode(whole.slice(0, length))).toThrow("malformed");
      }
      expect(() => decode(Uint8Array.of(...whole, 0))).toThrow("malformed");
      expect(() => decode(Uint8Array.of(9, ...whole.slice(1)))).toThrow("version");
    }
  });
});

describe("an object's rest", () => {
  function setUp(written: Uint8Array | null = null) {
    const done: string[] = [];
    const engine = {
      replica: { isAsleep: false },
      isLeader: true,
      leaseVersion: 1,
      held: [{ id: 1n, serial: 1, endsAtMs: 1 }] as SavedLeases["leases"] | null,
      rest: (resting: boolean) => void done.push(resting ? "rest" : "rouse"),
      saveLeases: (): SavedLeases | null => (engine.held === null ? null : { term: 1, leases: engine.held }),
    };
    const record = {
      leases: written,
      saveLeases: (each: Uint8Array | null) => void done.push(each === null ? "erase" : "write"),
    };
    const rest = new ObjectRest(engine, record, () => done.push("keep"));
    return { engine, rest, taken: () => (rest.poll(), done.splice(0)) };
  }

  it("writes a leader's leases down before, and erases them as soon as they may be renewed", () => {
    const { engine, taken } = setUp();
    expect(taken()).toEqual([]);
    engine.replica.isAsleep = true;
    expect(taken()).toEqual(["write", "rest", "keep"]);
    expect(taken()).toEqual([]);
    engine.replica.isAsleep = false;
    expect(taken()).toEqual(["erase", "rouse"]);
    expect(taken()).toEqual([]);
  });

  it("notices that leases were renewed although it has not seen the group awake", () => {
    const { engine, taken } = setUp();
    engine.replica.isAsleep = true;
    taken();
    engine.leaseVersion++;
    expect(taken()).toEqual(["write"]);
    engine.held = [];
    engine.leaseVersion++;
    expect(taken()).toEqual(["erase"]);
  });

  it("leaves what its last life wrote until something else is true", () => {
    const { engine, taken } = setUp(new Uint8Array(1));
    engine.replica.isAsleep = true;
    engine.isLeader = false;
    expect(taken()).toEqual(["rest", "keep"]);
    engine.replica.isAsleep = false;
    expect(taken()).toEqual(["erase", "rouse"]);
  });

  it("does not come where not everything can be written down", () => {
    const { engine, taken } = setUp();
    engine.replica.isAsleep = true;
    engine.held = null;
    expect(taken()).toEqual([]);
  });
});
