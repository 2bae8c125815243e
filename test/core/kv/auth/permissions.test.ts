import { beforeEach, describe, expect, test, vi } from "vitest";
import { GrantedRanges } from "../../../../src/core/kv/auth/granted-ranges.ts";
import {
  ANONYMOUS,
  type Caller,
  type Compare,
  type KvCommand,
  KvStore,
  type RequestOp,
  type TxnRequest,
} from "../../../../src/core/kv/index.ts";
import { bytes, putRequest, rangeRequest } from "../support.ts";
import { addUser, applyAs, callerOf, change, outcome, switchOn, TOKEN_KEY } from "./auth-commands.ts";

type Command = Exclude<KvCommand, { readonly type: "as" }>;

let store: KvStore;
let root: Caller;
/** May read and write `a`, only read what begins with `r`, and only write what begins with `w`. */
let user: Caller;
/** May do all with `b`. */
let other: Caller;

beforeEach(() => {
  store = new KvStore();
  user = addUser(store, "user", [
    ["readWrite", "a"],
    ["read", "r", "s"],
    ["write", "w", "x"],
  ]);
  other = addUser(store, "other", [["readWrite", "b"]]);
  root = switchOn(store);
  for (const key of ["a", "b", "r1", "w1"]) {
    applyAs(store, root, { type: "put", request: putRequest(key, "v") });
  }
});

const put = (key: string, more = {}): Command => ({ type: "put", request: putRequest(key, "v", more) });
const remove = (key: string, rangeEnd = "", prevKv = false): Command => ({
  type: "deleteRange",
  request: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv },
});
const txn = (request: Partial<TxnRequest>): Command & { readonly type: "txn" } => ({
  type: "txn",
  request: { compare: [], success: [], failure: [], ...request },
});
const onPut = (key: string, more = {}): RequestOp => put(key, more) as RequestOp;
const onRange = (key: string, rangeEnd = ""): RequestOp => ({
  type: "range",
  request: rangeRequest(key, rangeEnd),
});
const exists = (key: string, rangeEnd = ""): Compare => ({
  key: bytes(key),
  rangeEnd: bytes(rangeEnd),
  target: "version",
  result: "greater",
  version: 0,
});
const grant = (id: bigint): Command => ({ type: "leaseGrant", request: { id, ttlMs: 1000 } });
const revoke = (id: bigint): Command => ({ type: "leaseRevoke", request: { id } });
const named = (command: Command): Command => ({
  type: "once",
  request: { key: "k", fingerprint: "0123456789abcdef", forgetTo: 0, command: command as never },
});

/** Applies for somebody; a refusal must change nothing. */
function tried(caller: Caller, command: Command): string {
  const [hash, revision] = [store.stateHash(), store.revision];
  const result = outcome(applyAs(store, caller, command));
  if (result !== "done" && (store.stateHash() !== hash || store.revision !== revision))
    throw new Error("it was refused and has changed something");
  return result;
}

describe("what a user may have done", () => {
  const MAY: readonly (readonly [string, () => Command])[] = [
    ["a put", () => put("a")],
    ["a put that shows what was there", () => put("a", { prevKv: true })],
    ["a put where it may only write", () => put("w1")],
    ["a deletion", () => remove("a")],
    ["the deletion of a range", () => remove("w", "x")],
    ["a deletion that shows what was there", () => remove("a", "", true)],
    ["a comparison of what it may read", () => txn({ compare: [exists("r1")], success: [onPut("w1")] })],
    ["a range in a transaction", () => txn({ success: [onRange("r", "s"), onPut("a")] })],
    ["a lease", () => grant(5n)],
    ["a named write", () => named(put("a"))],
  ];
  test.each(MAY)("%s", (_what, command) => {
    expect(tried(user, command())).toBe("done");
  });

  const MAY_NOT: readonly (readonly [string, () => Command])[] = [
    ["a put on another key", () => put("b")],
    ["a put where it may only read", () => put("r1")],
    ["a put that shows what it may not read", () => put("w1", { prevKv: true })],
    ["a deletion where it may only read", () => remove("r1")],
    ["the deletion of a range of which a part is another's", () => remove("a", "c")],
    ["the deletion of everything from a key on", () => remove("w", "\0")],
    ["a deletion that shows what it may not read", () => remove("w1", "", true)],
    ["a comparison of what it may not read", () => txn({ compare: [exists("b")], success: [onPut("a")] })],
    ["a comparison where it may only write", () => txn({ compare: [exists("w1")], success: [onPut("a")] })],
    ["a comparison of a range", () => txn({ compare: [exists("r", "z")], success: [onPut("a")] })],
    ["a range in a transaction", () => txn({ success: [onRange("b"), onPut("a")] })],
    ["a branch that is not taken", () => txn({ success: [onPut("a")], failure: [onPut("b")] })],
    [
      "a put in a transaction that shows what it may not read",
      () => txn({ success: [onPut("w1", { prevKv: true })] }),
    ],
    [
      "what a transaction inside does",
      () => txn({ success: [{ type: "txn", request: txn({ failure: [onPut("b")] }).request }] }),
    ],
    [
      "what a transaction inside compares",
      () =>
        txn({
          success: [{ type: "txn", request: txn({ compare: [exists("b")], success: [onPut("a")] }).request }],
        }),
    ],
    ["a named write on another key", () => named(put("b"))],
    ["a compaction", () => ({ type: "compact", request: { revision: 2 } })],
    [
      "a change of users",
      () => ({ type: "auth", request: { op: "userGrantRole", name: "user", role: "root" } }),
    ],
    [
      "an alarm",
      () => ({ type: "alarm", request: { action: "activate", alarm: { type: "noSpace", memberId: 1n } } }),
    ],
  ];
  test.each(MAY_NOT)("not %s", (_what, command) => {
    expect(tried(user, command())).toBe("permissionDenied");
    expect(tried(ANONYMOUS, command())).toBe("userEmpty");
    expect(tried({ type: "user", name: "user", since: 1 }, command())).toBe("authOldRevision");
    expect(tried({ type: "user", name: "nobody", since: 1 }, command())).toBe("authOldRevision");
    expect(tried(root, command())).toBe("done");
  });
});

describe("a lease", () => {
  beforeEach(() => {
    tried(user, grant(5n));
    tried(user, put("a", { lease: 5n }));
  });

  test("is revoked by whoever may write all of its keys", () => {
    expect(tried(other, revoke(5n))).toBe("permissionDenied");
    expect(tried(user, revoke(5n))).toBe("done");
  });

  test("is nobody else's to attach a key to: the key could not be freed again", () => {
    expect(tried(other, put("b", { lease: 5n }))).toBe("permissionDenied");
    expect(tried(other, txn({ success: [onPut("b", { lease: 5n })] }))).toBe("permissionDenied");
    expect(tried(other, grant(6n))).toBe("done");
    expect(tried(other, put("b", { lease: 6n }))).toBe("done");
  });

  test("ends by itself, whoever it belongs to", () => {
    const { serial } = store.lease(5n)!;
    const ended: Command = {
      type: "leaseExpire",
      request: { term: 1, leases: [{ id: 5n, serial }] },
    };
    expect(tried(ANONYMOUS, ended)).toBe("done");
    expect(store.lease(5n)).toBeUndefined();
  });

  test("with many keys does not make every further key cost a look at all of them", () => {
    const asked = vi.spyOn(GrantedRanges.prototype, "mayWrite");
    tried(user, grant(5n));
    for (let i = 0; i < 500; i++) tried(user, put(`w${i}`, { lease: 5n }));
    const success = Array.from({ length: 100 }, (_, i) => onPut(`w${500 + i}`, { lease: 5n }));
    expect(tried(user, txn({ success }))).toBe("done");
    expect(asked.mock.calls.length).toBeLessThan(2000);
    asked.mockRestore();
    expect(tried(user, revoke(5n))).toBe("done");
    expect(store.revision).toBe(6 + 500 + 1 + 1);
  });

  test("that one user may end is looked at again when another attaches a key, and when permissions change", () => {
    tried(user, grant(5n));
    expect(tried(user, put("a", { lease: 5n }))).toBe("done");
    expect(tried(user, put("w1", { lease: 5n }))).toBe("done");
    expect(tried(root, put("b", { lease: 5n }))).toBe("done");
    expect(tried(user, put("a", { lease: 5n }))).toBe("permissionDenied");
    expect(tried(user, revoke(5n))).toBe("permissionDenied");
    expect(tried(other, revoke(5n))).toBe("permissionDenied");
    expect(tried(root, put("b"))).toBe("done");
    expect(tried(user, put("a", { lease: 5n }))).toBe("done");
    // What a user may write is asked anew when it has changed.
    change(store, { op: "roleRevokePermission", role: "user", key: bytes("w"), rangeEnd: bytes("x") });
    expect(tried(user, put("a", { lease: 5n }))).toBe("permissionDenied");
  });
});

describe("a name for a write", () => {
  test("is its user's own: another's is another write, and not shown", () => {
    const first = applyAs(store, user, named(put("a", { prevKv: true })));
    expect(outcome(first)).toBe("done");
    const others = applyAs(store, other, named(put("b", { prevKv: true })));
    expect(others).not.toHaveProperty("replayed");
    expect(applyAs(store, user, named(put("a", { prevKv: true })))).toMatchObject({ replayed: true });
  });

  test("shows no longer what it gave, when that may no longer be read", () => {
    applyAs(store, user, named(put("a", { prevKv: true })));
    change(store, {
      op: "roleGrantPermission",
      role: "user",
      permission: { access: "write", key: bytes("a"), rangeEnd: bytes("") },
    });
    expect(tried(user, named(put("a", { prevKv: true })))).toBe("permissionDenied");
  });

  test("outlives a snapshot as its user's own", () => {
    applyAs(store, user, named(put("a")));
    const restored = new KvStore();
    const restorer = restored.restorer();
    for (const chunk of store.snapshot().chunks()) restorer.push(chunk);
    restorer.finish();
    store = restored;
    expect(applyAs(store, user, named(put("a")))).toMatchObject({ replayed: true });
    expect(applyAs(store, other, named(put("b")))).not.toHaveProperty("replayed");
  });
});

test("while authentication is off nobody is asked who they are", () => {
  change(store, { op: "disable" });
  for (const caller of [ANONYMOUS, user, { type: "user", name: "gone", since: 9 } as const]) {
    expect(tried(caller, put("z"))).toBe("done");
  }
});

test("who was somebody before authentication was switched off has to prove it anew", () => {
  change(store, { op: "disable" });
  change(store, { op: "enable", tokenKey: TOKEN_KEY });
  expect(tried(user, put("a"))).toBe("authOldRevision");
  expect(tried(callerOf(store, "user"), put("a"))).toBe("done");
});
