import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import {
  decodeCommand,
  encodeCommand,
  fingerprintOf,
  type KvCommand,
  type KvResult,
  KvStore,
  type NamedWrite,
  validateCommand,
} from "../../../src/core/kv/index.ts";
import { operations } from "./arbitraries.ts";
import { bytes, restored, snapshotOf } from "./support.ts";

const TERM = 1;

function apply(store: KvStore, command: KvCommand): KvResult {
  return store.applyChunk([{ command: encodeCommand(command), term: TERM }])[0]!;
}

function once(key: string, command: NamedWrite, forgetTo = 0): KvCommand {
  const fingerprint = fingerprintOf(encodeCommand(command));
  return { type: "once", request: { key, fingerprint, forgetTo, command } };
}

function putOf(key: string, value: string | Uint8Array = "v", prevKv = false): NamedWrite {
  const content = typeof value === "string" ? bytes(value) : value;
  return { type: "put", request: { key: bytes(key), value: content, prevKv } };
}

describe("a named write", () => {
  it("is done once, and a repetition is given the first result", () => {
    const store = new KvStore();
    const first = apply(store, once("n", putOf("a", "1", true)));
    apply(store, putOf("a", "2"));
    const second = apply(store, once("n", putOf("a", "1", true)));
    expect(second).toEqual({ ...first, replayed: true });
    expect(store.revision).toBe(3);
  });

  it("is refused when its name belongs to another, and nothing changes", () => {
    const store = new KvStore();
    apply(store, once("n", putOf("a")));
    const before = store.hash();
    expect(apply(store, once("n", putOf("b")))).toMatchObject({ code: "idempotencyKeyReused" });
    expect(store.hash()).toBe(before);
    expect(apply(store, once("n", putOf("a")))).toMatchObject({ replayed: true });
  });

  it("that was refused is refused again, though it could be done by now", () => {
    const store = new KvStore();
    const keep: NamedWrite = { type: "put", request: { key: bytes("a"), ignoreValue: true } };
    expect(apply(store, once("n", keep))).toMatchObject({ code: "keyNotFound" });
    apply(store, putOf("a"));
    expect(apply(store, once("n", keep))).toMatchObject({ code: "keyNotFound", revision: 1 });
    expect(store.revision).toBe(2);
  });

  it("whose result is too large is not done again, and the repetition is told so", () => {
    const store = new KvStore();
    apply(store, putOf("a", new Uint8Array(20_000)));
    expect(apply(store, once("n", putOf("a", "1", true)))).toMatchObject({ type: "put", revision: 3 });
    expect(apply(store, once("n", putOf("a", "1", true)))).toMatchObject({ code: "resultNotKept" });
    expect(store.revision).toBe(3);
  });

  it("is in the hash of the state: its name, what it was and what it gave", () => {
    const hashes = [once("n", putOf("b")), once("o", putOf("b")), once("n", putOf("b", "w"))].map(
      (command) => {
        const store = new KvStore();
        apply(store, command);
        // Their keys are alike again.
        apply(store, putOf("b"));
        apply(store, { type: "compact", request: { revision: 3 } });
        return store.stateHash();
      },
    );
    expect(new Set(hashes).size).toBe(3);
  });

  it("is forgotten when a later one says so, and not before", () => {
    const store = new KvStore();
    apply(store, once("1", putOf("a")));
    apply(store, once("2", putOf("b")));
    expect(store.lastWriteSerial).toBe(2);
    apply(store, once("3", putOf("c"), 1));
    expect(apply(store, once("2", putOf("b")))).toMatchObject({ replayed: true });
    expect(apply(store, once("1", putOf("a")))).not.toHaveProperty("replayed");
  });

  it("is forgotten oldest first when there are too many", () => {
    const store = new KvStore();
    const most = 65_536;
    for (let i = 0; i <= most; i++) apply(store, once(`n${i}`, putOf("a")));
    expect(apply(store, once("n1", putOf("a")))).toMatchObject({ replayed: true });
    expect(apply(store, once("n0", putOf("a")))).not.toHaveProperty("replayed");
  });

  it("is forgotten oldest first when results take too much room", () => {
    const store = new KvStore();
    apply(store, putOf("a", new Uint8Array(16_000)));
    const big: NamedWrite = {
      type: "txn",
      request: {
        compare: [],
        failure: [],
        success: [
          { type: "range", request: { key: bytes("a") } },
          { type: "put", request: { key: bytes("b") } },
        ],
      },
    };
    const before = store.sizeBytes;
    for (let i = 0; i < 1200; i++) apply(store, once(`n${i}`, big));
    expect(store.sizeBytes - before).toBeLessThan((16 << 20) + 200_000);
    expect(apply(store, once("n1199", big))).toMatchObject({ replayed: true });
    expect(apply(store, once("n0", big))).not.toHaveProperty("replayed");
  });

  it("is known to whoever restores a snapshot", () => {
    const store = new KvStore();
    const first = apply(store, once("n", putOf("a")));
    apply(store, once("gone", putOf("b")));
    apply(store, once("m", putOf("c"), 0));
    const copy = restored(snapshotOf(store));
    expect(copy.lastWriteSerial).toBe(3);
    expect(apply(copy, once("n", putOf("a")))).toEqual({ ...first, replayed: true });
    expect(apply(copy, once("n", putOf("z")))).toMatchObject({ code: "idempotencyKeyReused" });
    expect(copy.revision).toBe(store.revision);
  });

  it.each(["", "x".repeat(65), 'a"b', "a b", "a\\b", "ä", "a\n"])("has no name like %j", (key) => {
    const command: KvCommand = {
      type: "once",
      request: { key, fingerprint: "0".repeat(16), forgetTo: 0, command: putOf("a") },
    };
    expect(() => validateCommand(command)).toThrow(EngineError);
    expect(() => decodeCommand(encodeCommand(command))).toThrow(EngineError);
  });
});

describe("named and other writes at random", () => {
  const writes = operations.filter((op): op is NamedWrite => op.type !== "range");
  const steps = fc.array(
    fc.record({
      name: fc.constantFrom(null, "k1", "k2", "k3"),
      write: fc.integer({ min: 0, max: 4 }),
      forget: fc.constantFrom(0, 0, 0, 1, 2, 3),
      restore: fc.constantFrom(false, false, false, false, true),
    }),
    { maxLength: 30 },
  );

  it("are as in a store that is asked for each only once", () => {
    fc.assert(
      fc.property(fc.array(writes, { minLength: 5, maxLength: 5 }), steps, (pool, plan) => {
        let store = new KvStore();
        const oracle = new KvStore();
        const known = new Map<string, { serial: number; write: number; result: KvResult }>();
        let serial = 0;
        for (const { name, write, forget, restore } of plan) {
          const command = pool[write]!;
          for (const [each, entry] of known) {
            if (name !== null && entry.serial <= forget) known.delete(each);
          }
          const given = apply(store, name === null ? command : once(name, command, forget));
          const earlier = name === null ? undefined : known.get(name);
          const result = earlier?.result ?? apply(oracle, command);
          if (name !== null && earlier === undefined) known.set(name, { serial: ++serial, write, result });
          const isSame = earlier && same(pool[earlier.write]!, command);
          expect(given).toEqual(expected(result, isSame, oracle));
          if (restore) store = restored(snapshotOf(store));
          expect(store.revision).toBe(oracle.revision);
        }
        expect(store.hash()).toBe(oracle.hash());
      }),
    );
  });
});

function same(a: NamedWrite, b: NamedWrite): boolean {
  return fingerprintOf(encodeCommand(a)) === fingerprintOf(encodeCommand(b));
}

/** @param isSame absent when the write is new. */
function expected(first: KvResult, isSame: boolean | undefined, { revision }: KvStore): KvResult {
  if (isSame === false) return { type: "error", code: "idempotencyKeyReused", revision };
  return isSame === undefined || first.type === "error" ? first : ({ ...first, replayed: true } as KvResult);
}
