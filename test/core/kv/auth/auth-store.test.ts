import { describe, expect, test } from "vitest";
import { type AuthCommand, KvStore } from "../../../../src/core/kv/index.ts";
import { bytes } from "../support.ts";
import { addUser, callerOf, change, switchOn, TOKEN_KEY } from "./auth-commands.ts";

const enable: AuthCommand = { op: "enable", tokenKey: TOKEN_KEY };
const passwordHash = "$hash";
const onK = { key: bytes("k"), rangeEnd: bytes("") };
const readK: AuthCommand = {
  op: "roleGrantPermission",
  role: "r",
  permission: { access: "read", ...onK },
};

/** What was there before, the change, why it is refused. */
const REFUSED: readonly (readonly [string, readonly AuthCommand[], AuthCommand, string])[] = [
  ["switching it on without root", [], enable, "rootUserNotExist"],
  [
    "switching it on while root is a user like any other",
    [{ op: "userAdd", name: "root", passwordHash }],
    enable,
    "rootRoleNotExist",
  ],
  [
    "a user twice",
    [{ op: "userAdd", name: "u", passwordHash }],
    { op: "userAdd", name: "u", passwordHash: null },
    "userExists",
  ],
  ["the end of a user who is not there", [], { op: "userDelete", name: "u" }, "userNotFound"],
  [
    "the password of a user who is not there",
    [],
    { op: "userChangePassword", name: "u", passwordHash },
    "userNotFound",
  ],
  [
    "a role for a user who is not there",
    [{ op: "roleAdd", role: "r" }],
    { op: "userGrantRole", name: "u", role: "r" },
    "userNotFound",
  ],
  [
    "a role that is not there",
    [{ op: "userAdd", name: "u", passwordHash }],
    { op: "userGrantRole", name: "u", role: "r" },
    "roleNotFound",
  ],
  ["taking a role from nobody", [], { op: "userRevokeRole", name: "u", role: "r" }, "userNotFound"],
  [
    "taking a role that was not given",
    [
      { op: "userAdd", name: "u", passwordHash },
      { op: "roleAdd", role: "r" },
    ],
    { op: "userRevokeRole", name: "u", role: "r" },
    "roleNotGranted",
  ],
  ["a role twice", [{ op: "roleAdd", role: "r" }], { op: "roleAdd", role: "r" }, "roleExists"],
  ["the end of a role that is not there", [], { op: "roleDelete", role: "r" }, "roleNotFound"],
  ["a permission for a role that is not there", [], readK, "roleNotFound"],
  [
    "taking a permission from a role that is not there",
    [],
    { op: "roleRevokePermission", role: "r", ...onK },
    "roleNotFound",
  ],
  [
    "taking a permission that was not given",
    [{ op: "roleAdd", role: "r" }, readK],
    { op: "roleRevokePermission", role: "r", key: bytes("k"), rangeEnd: bytes("l") },
    "permissionNotGranted",
  ],
];

describe("users and roles", () => {
  test.each(REFUSED)("refuse %s, and nothing changes", (_what, before, asked, code) => {
    const store = new KvStore();
    for (const each of before) expect(change(store, each)).toBe("done");
    const [state, hash] = [store.auth.state(), store.stateHash()];
    expect(change(store, asked)).toBe(code);
    expect(store.auth.state()).toEqual(state);
    expect(store.stateHash()).toBe(hash);
  });

  test("keep root in office while authentication is on", () => {
    const store = new KvStore();
    switchOn(store);
    const hash = store.stateHash();
    expect(change(store, { op: "userDelete", name: "root" })).toBe("invalidAuthManagement");
    expect(change(store, { op: "userRevokeRole", name: "root", role: "root" })).toBe("invalidAuthManagement");
    expect(change(store, { op: "roleDelete", role: "root" })).toBe("invalidAuthManagement");
    expect(store.stateHash()).toBe(hash);
    change(store, { op: "disable" });
    expect(change(store, { op: "roleDelete", role: "root" })).toBe("done");
    expect(change(store, { op: "userDelete", name: "root" })).toBe("done");
  });

  // As etcd's store counts them.
  test("count their changes, but neither what changes nothing nor that authentication is switched on", () => {
    const store = new KvStore();
    expect(store.auth.revision).toBe(1);
    addUser(store, "root");
    expect(store.auth.revision).toBe(4);
    expect(change(store, { op: "userGrantRole", name: "root", role: "root" })).toBe("done");
    change(store, enable);
    expect(store.auth.revision).toBe(4);
    change(store, { op: "disable" });
    expect(store.auth.revision).toBe(5);
    change(store, { op: "disable" });
    expect(store.auth.revision).toBe(5);
    change(store, { op: "roleAdd", role: "r" });
    change(store, readK);
    change(store, readK);
    expect(store.auth.revision).toBe(8);
    // None of it is a revision of the keys.
    expect(store.revision).toBe(1);
  });

  test("are still the same under another key when authentication is on already", () => {
    const store = new KvStore();
    switchOn(store);
    expect(change(store, { op: "enable", tokenKey: new Uint8Array(32) })).toBe("done");
    expect(store.auth.tokenKey).toEqual(TOKEN_KEY);
    change(store, { op: "disable" });
    expect(store.auth.tokenKey).toBe(null);
  });

  test("a permission that is given again is given as it is now, and a role that ends takes it from its users", () => {
    const store = new KvStore();
    const user = addUser(store, "u", [["read", "k"]]);
    switchOn(store);
    const mayRead = (): string =>
      store.whyNotRead(user, { type: "range", request: { key: bytes("k") } }) ?? "may";
    expect(mayRead()).toBe("may");
    change(store, { op: "roleGrantPermission", role: "u", permission: { access: "write", ...onK } });
    expect(store.auth.role("u")!.permissions).toHaveLength(1);
    expect(mayRead()).toBe("permissionDenied");
    change(store, { op: "roleGrantPermission", role: "u", permission: { access: "readWrite", ...onK } });
    expect(mayRead()).toBe("may");
    change(store, { op: "roleDelete", role: "u" });
    expect(store.auth.user("u")!.roles).toEqual([]);
    expect(mayRead()).toBe("permissionDenied");
  });

  test("who proved to be a user with another password, or was another of that name, is nobody", () => {
    const store = new KvStore();
    const first = addUser(store, "u", [["read", "k"]]);
    switchOn(store);
    const mayRead = (caller = first): string =>
      store.whyNotRead(caller, { type: "range", request: { key: bytes("k") } }) ?? "may";
    expect(mayRead()).toBe("may");
    change(store, { op: "userChangePassword", name: "u", passwordHash: "$other" });
    expect(mayRead()).toBe("authOldRevision");
    const second = callerOf(store, "u");
    expect(mayRead(second)).toBe("may");
    change(store, { op: "userDelete", name: "u" });
    expect(mayRead(second)).toBe("authOldRevision");
    change(store, { op: "userAdd", name: "u", passwordHash: "$other" });
    expect(mayRead(second)).toBe("authOldRevision");
  });

  test("a user without a password stays without", () => {
    const store = new KvStore();
    change(store, { op: "userAdd", name: "u", passwordHash: null });
    expect(change(store, { op: "userChangePassword", name: "u", passwordHash })).toBe("done");
    expect(store.auth.user("u")!.passwordHash).toBe(null);
  });

  test("come whole out of a snapshot, however many there are", () => {
    const store = new KvStore();
    addUser(store, "root");
    const long = "x".repeat(40_000);
    for (let i = 0; i < 40; i++) addUser(store, `u${i}`, [["read", `${long}${i}`, "y"]]);
    change(store, enable);
    const snapshot = store.snapshot();
    const other = new KvStore();
    const restorer = other.restorer();
    let frames = 0;
    for (const chunk of snapshot.chunks()) {
      expect(chunk.length).toBeLessThanOrEqual(256 << 10);
      restorer.push(chunk);
      frames++;
    }
    restorer.finish();
    expect(frames).toBeGreaterThan(5);
    expect(other.auth.user("u7")).toEqual(store.auth.user("u7"));
    expect(other.stateHash()).toBe(store.stateHash());
    expect(other.auth.sizeBytes).toBe(store.auth.sizeBytes);
    expect(other.sizeBytes).toBeGreaterThan(40 * long.length);
  });
});
