import type { Access, AuthCommand, Caller } from "../../../src/core/kv/index.ts";
import { textOf } from "./kv-requests.ts";

/*
 * Who may do what, thought out a second time, over a handful of keys: each key is a point, and so is what lies between
 * it and the next, so that a permission is a set of points and a request, too.
 */

export const KEYS = "auth/";
const LETTERS = "abcdef";
export const KEY_COUNT: number = LETTERS.length;

/** The key of a number; one past the last is where ranges end. */
export function keyOf(number: number): string {
  return KEYS + (number < KEY_COUNT ? LETTERS[number]! : "z");
}

function numberOf(key: string): number {
  const number = LETTERS.indexOf(key.slice(KEYS.length));
  return number === -1 ? KEY_COUNT : number;
}

/** What a request or a permission names. */
function pointsOf(key: Uint8Array, rangeEnd: Uint8Array | undefined): number[] {
  const from = 2 * numberOf(textOf(key));
  if (rangeEnd === undefined || rangeEnd.length === 0) return [from];
  const to = 2 * numberOf(textOf(rangeEnd));
  return Array.from({ length: to - from }, (_, i) => from + i);
}

interface Grant {
  readonly access: Access;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

interface KnownUser {
  readonly since: number;
  readonly roles: readonly string[];
}

/** Of one moment, and never changed. */
export interface AuthView {
  readonly isEnabled: boolean;
  readonly revision: number;
  readonly users: ReadonlyMap<string, KnownUser>;
  readonly roles: ReadonlyMap<string, readonly Grant[]>;
}

export const NO_USERS: AuthView = { isEnabled: false, revision: 1, users: new Map(), roles: new Map() };

/** Whether somebody is who they say; while authentication is off nobody asks. */
export function isKnown(view: AuthView, caller: Caller): boolean {
  if (!view.isEnabled || caller.type === "trusted") return true;
  return caller.type === "user" && view.users.get(caller.name)?.since === caller.since;
}

export function isRoot(view: AuthView, caller: Caller): boolean {
  if (!isKnown(view, caller)) return false;
  if (!view.isEnabled || caller.type !== "user") return true;
  return view.users.get(caller.name)!.roles.includes("root");
}

export function may(
  view: AuthView,
  caller: Caller,
  access: "read" | "write",
  { key, rangeEnd }: { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array },
): boolean {
  if (isRoot(view, caller)) return true;
  if (!isKnown(view, caller) || caller.type !== "user") return false;
  const covered = new Set(
    view.users
      .get(caller.name)!
      .roles.flatMap((role) => view.roles.get(role) ?? [])
      .filter((grant) => grant.access === access || grant.access === "readWrite")
      .flatMap((grant) => pointsOf(grant.key, grant.rangeEnd)),
  );
  return pointsOf(key, rangeEnd).every((point) => covered.has(point));
}

/** After a change; null when it is refused. */
export function changed(view: AuthView, change: AuthCommand): AuthView | null {
  const revision = view.revision + 1;
  const withUser = (name: string, user: KnownUser | null): AuthView => {
    const users = new Map(view.users);
    if (user === null) users.delete(name);
    else users.set(name, user);
    return { ...view, revision, users };
  };
  const withRole = (role: string, grants: readonly Grant[]): AuthView => ({
    ...view,
    revision,
    roles: new Map(view.roles).set(role, grants),
  });
  const user = "name" in change ? view.users.get(change.name) : undefined;
  const grants = "role" in change ? view.roles.get(change.role) : undefined;
  switch (change.op) {
    case "enable":
      // Switched on it is without a revision of its own; and it is not switched twice.
      return view.users.get("root")?.roles.includes("root") === true ? { ...view, isEnabled: true } : null;
    case "disable":
      return view.isEnabled ? { ...view, revision, isEnabled: false, users: proved(view, revision) } : view;
    case "userAdd":
      return user === undefined ? withUser(change.name, { since: revision, roles: [] }) : null;
    case "userDelete":
      return user === undefined || (view.isEnabled && change.name === "root")
        ? null
        : withUser(change.name, null);
    case "userChangePassword":
      return user === undefined ? null : withUser(change.name, { ...user, since: revision });
    case "userGrantRole":
      if (user === undefined || (grants === undefined && change.role !== "root")) return null;
      return user.roles.includes(change.role)
        ? view
        : withUser(change.name, { ...user, roles: [...user.roles, change.role] });
    case "userRevokeRole":
      return user?.roles.includes(change.role) !== true || (view.isEnabled && change.role === "root")
        ? null
        : withUser(change.name, { ...user, roles: user.roles.filter((role) => role !== change.role) });
    case "roleAdd":
      return grants === undefined ? withRole(change.role, []) : null;
    case "roleDelete":
      return grants === undefined ? null : withoutRole(view, change.role, revision);
    case "roleGrantPermission":
      return grants === undefined
        ? null
        : withRole(change.role, [...without(grants, change.permission), change.permission]);
    case "roleRevokePermission": {
      const left = grants === undefined ? [] : without(grants, change);
      return grants === undefined || left.length === grants.length ? null : withRole(change.role, left);
    }
  }
}

/** Everybody has to say anew who they are. */
function proved({ users }: AuthView, since: number): AuthView["users"] {
  return new Map([...users].map(([name, user]) => [name, { ...user, since }]));
}

function withoutRole(view: AuthView, role: string, revision: number): AuthView {
  const roles = new Map(view.roles);
  roles.delete(role);
  const users = new Map(
    [...view.users].map(([name, user]) => [
      name,
      { ...user, roles: user.roles.filter((each) => each !== role) },
    ]),
  );
  return { ...view, revision, roles, users };
}

function without(grants: readonly Grant[], { key, rangeEnd }: Omit<Grant, "access">): Grant[] {
  const name = (of: Omit<Grant, "access">): string => `${textOf(of.key)} ${textOf(of.rangeEnd)}`;
  return grants.filter((grant) => name(grant) !== name({ key, rangeEnd }));
}
