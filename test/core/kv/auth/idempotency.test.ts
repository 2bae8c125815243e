import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ANONYMOUS,
  type Caller,
  encodeCommand,
  fingerprintOf,
  type KvResult,
  KvStore,
  type NamedWrite,
} from "../../../../src/core/kv/index.ts";
import { bytes, restored, snapshotOf } from "../support.ts";
import { addUser, applyAs, callerOf, change, TOKEN_KEY } from "./auth-commands.ts";

const EVERYTHING = [["readWrite", "\0", "\0"]] as const;

/** With authentication on; ann and bob may do everything but what is root's. */
function storeOfUsers(): { readonly store: KvStore; readonly ann: Caller; readonly bob: Caller } {
  const store = new KvStore();
  change(store, { op: "userAdd", name: "root", passwordHash: "$hash" });
  change(store, { op: "userGrantRole", name: "root", role: "root" });
  const [ann, bob] = [addUser(store, "ann", EVERYTHING), addUser(store, "bob", EVERYTHING)];
  enable(store);
  return { store, ann, bob };
}

function enable(store: KvStore): void {
  expect(change(store, { op: "enable", tokenKey: TOKEN_KEY })).toBe("done");
}

function disable(store: KvStore): void {
  expect(change(store, { op: "disable" })).toBe("done");
}

function once(store: KvStore, caller: Caller, key: string, command: NamedWrite): KvResult {
  const fingerprint = fingerprintOf(encodeCommand(command));
  return applyAs(store, caller, { type: "once", request: { key, fingerprint, forgetTo: 0, command } });
}

function putOf(key: string, value = "v"): NamedWrite {
  return { type: "put", request: { key: bytes(key), value: bytes(value) } };
}

function versionOf(store: KvStore, key: string): number {
  return store.range({ key: bytes(key) }).kvs[0]?.version ?? 0;
}

describe("a named write that is repeated after authentication was switched", () => {
  it("on is not done again", () => {
    const { store } = storeOfUsers();
    disable(store);
    const first = once(store, ANONYMOUS, "n", putOf("a"));
    enable(store);
    const [ann, bob] = [callerOf(store, "ann"), callerOf(store, "bob")];
    expect(once(store, ann, "n", putOf("a"))).toEqual({ ...first, replayed: true });
    // Another one under the same name is its user's own.
    expect(once(store, bob, "n", putOf("b"))).not.toHaveProperty("replayed");
    expect(once(store, bob, "n", putOf("b"))).toMatchObject({ replayed: true });
    expect([versionOf(store, "a"), versionOf(store, "b")]).toEqual([1, 1]);
  });

  it("off is not done again", () => {
    const { store, ann } = storeOfUsers();
    const first = once(store, ann, "n", putOf("a"));
    disable(store);
    expect(once(store, ANONYMOUS, "n", putOf("a"))).toEqual({ ...first, replayed: true });
    enable(store);
    expect(once(store, callerOf(store, "ann"), "n", putOf("a"))).toEqual({ ...first, replayed: true });
    expect(versionOf(store, "a")).toBe(1);
  });

  it("off is refused where another user has chosen the same name since", () => {
    const { store, ann, bob } = storeOfUsers();
    once(store, ann, "n", putOf("a"));
    const second = once(store, bob, "n", putOf("b"));
    disable(store);
    expect(once(store, ANONYMOUS, "n", putOf("a"))).toMatchObject({ code: "idempotencyKeyReused" });
    expect(once(store, ANONYMOUS, "n", putOf("b"))).toEqual({ ...second, replayed: true });
  });

  it("any number of times, at any member, is done once", () => {
    const step = fc.record({
      who: fc.constantFrom("ann", "bob"),
      name: fc.constantFrom("n", "m"),
      toggle: fc.integer({ max: 3, min: 0 }),
      restore: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const { store } = storeOfUsers();
        let restarted = storeOfUsers().store;
        for (const { who, name, toggle, restore } of steps) {
          for (const member of [store, restarted]) {
            if (toggle === 0) (member.auth.isEnabled ? disable : enable)(member);
            const caller = member.auth.isEnabled ? callerOf(member, who) : ANONYMOUS;
            once(member, caller, name, putOf(`${who}/${name}`));
          }
          if (restore) restarted = restored(snapshotOf(restarted));
        }
        const { kvs } = store.range({ key: bytes("\0"), rangeEnd: bytes("\0") });
        expect(kvs.filter(({ version }) => version !== 1)).toEqual([]);
        expect(restarted.stateHash()).toBe(store.stateHash());
      }),
    );
  });
});

describe("users who name many writes", () => {
  /** Its result has some 16,000 bytes: a thousand of them fill the table. */
  const big: NamedWrite = {
    type: "txn",
    request: {
      compare: [],
      failure: [],
      success: [
        { type: "range", request: { key: bytes("large") } },
        { type: "put", request: { key: bytes("b") } },
      ],
    },
  };

  it("lose the oldest of their own, and nobody else does", () => {
    const { store, ann, bob } = storeOfUsers();
    applyAs(store, ann, putOf("large", "x".repeat(16_000)));
    for (let i = 0; i < 3; i++) once(store, ann, `n${i}`, big);
    for (let i = 0; i < 2000; i++) once(store, bob, `n${i}`, big);
    const copy = restored(snapshotOf(store));
    for (const member of [store, copy]) {
      expect(once(member, ann, "n0", big)).toMatchObject({ replayed: true });
      expect(once(member, bob, "n1999", big)).toMatchObject({ replayed: true });
      expect(once(member, bob, "n900", big)).not.toHaveProperty("replayed");
      // The share of two is a half: with more than that it is as if there were nobody else.
      for (let i = 3; i < 600; i++) once(member, ann, `n${i}`, big);
      expect(once(member, ann, "n599", big)).toMatchObject({ replayed: true });
      expect(once(member, bob, "n1999", big)).toMatchObject({ replayed: true });
      expect(once(member, ann, "n0", big)).not.toHaveProperty("replayed");
    }
    expect(copy.stateHash()).toBe(store.stateHash());
  });
});
