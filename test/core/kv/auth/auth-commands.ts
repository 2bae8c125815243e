import type { AuthCommand, Caller, KvCommand, KvResult, KvStore } from "../../../../src/core/kv/index.ts";
import { apply, bytes } from "../support.ts";

export const TOKEN_KEY: Uint8Array = new Uint8Array(32).fill(7);

export const TRUSTED_CALLER: Caller = { type: "trusted" };

/** Applies a change on behalf of somebody, trusted by default; "done", or why not. */
export function change(store: KvStore, request: AuthCommand, caller: Caller = TRUSTED_CALLER): string {
  return outcome(applyAs(store, caller, { type: "auth", request }));
}

export function applyAs(
  store: KvStore,
  caller: Caller,
  command: Exclude<KvCommand, { type: "as" }>,
): KvResult {
  return apply(store, caller.type === "anonymous" ? command : { type: "as", request: { caller, command } });
}

export function outcome(result: KvResult): string {
  return result.type === "error" ? result.code : "done";
}

/** A user with a role of the same name and these permissions; whoever logs in as that user. */
export function addUser(
  store: KvStore,
  name: string,
  permissions: readonly (readonly ["read" | "write" | "readWrite", string, string?])[] = [],
): Caller {
  change(store, { op: "userAdd", name, passwordHash: "$hash" });
  change(store, { op: "roleAdd", role: name });
  for (const [access, key, rangeEnd = ""] of permissions) {
    const permission = { access, key: bytes(key), rangeEnd: bytes(rangeEnd) };
    change(store, { op: "roleGrantPermission", role: name, permission });
  }
  change(store, { op: "userGrantRole", name, role: name });
  return callerOf(store, name);
}

export function callerOf(store: KvStore, name: string): Caller {
  return { type: "user", name, since: store.auth.user(name)!.since };
}

/** root, with the role; and authentication on. */
export function switchOn(store: KvStore): Caller {
  const root = addUser(store, "root");
  change(store, { op: "enable", tokenKey: TOKEN_KEY });
  return root;
}
