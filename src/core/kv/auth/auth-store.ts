import { assertNever } from "../../errors/index.ts";
import { compareBytes, equalBytes } from "../../bytes/index.ts";
import { AUTH_ENTRY_BYTES } from "../size.ts";
import { GrantedRanges } from "./granted-ranges.ts";
import {
  type AuthCommand,
  type AuthErrorCode,
  type AuthRevision,
  type Caller,
  type Permission,
  type Role,
  ROOT,
  type User,
} from "./types.ts";

/** All of it, as a snapshot holds it. */
export interface AuthState {
  readonly revision: AuthRevision;
  /** Null: authentication is off. */
  readonly tokenKey: Uint8Array | null;
  /** By name. */
  readonly users: readonly User[];
  /** By name. */
  readonly roles: readonly Role[];
}

/** What somebody may do. */
export type Standing =
  /** Everything. */
  | { readonly type: "root" }
  | { readonly type: "user"; readonly granted: GrantedRanges }
  | { readonly type: "refused"; readonly code: AuthErrorCode };

const FIRST_REVISION: AuthRevision = 1;
const EVERYTHING: Standing = { type: "root" };

/**
 * Users, roles, and what they may do: etcd's auth store (server/auth/store.go), whose rules and revisions it follows.
 * Deterministic as the store around it. What a command says is validated before.
 */
export class AuthStore {
  #revision: AuthRevision = FIRST_REVISION;
  #tokenKey: Uint8Array | null = null;
  #users: Map<string, User> = new Map();
  #roles: Map<string, Role> = new Map();
  /** How often anything has changed here, to be compared; no part of the state. */
  #changes = 0;
  #sizeBytes: number | null = null;
  readonly #granted: Map<string, GrantedRanges> = new Map();

  /** Whether it is asked who may do what. */
  get isEnabled(): boolean {
    return this.#tokenKey !== null;
  }

  get revision(): AuthRevision {
    return this.#revision;
  }

  get changes(): number {
    return this.#changes;
  }

  /** What tokens are signed with; null while authentication is off. */
  get tokenKey(): Uint8Array | null {
    return this.#tokenKey;
  }

  /** As size.ts counts them. */
  get sizeBytes(): number {
    this.#sizeBytes ??= sizeOf(this.#users.values(), this.#roles.values());
    return this.#sizeBytes;
  }

  user(name: string): User | undefined {
    return this.#users.get(name);
  }

  /** `root` may do everything, whatever was granted to it. */
  role(name: string): Role | undefined {
    return this.#roles.get(name);
  }

  /** Users and roles in the order of their names. */
  state(): AuthState {
    const byName = <T extends { readonly name: string }>(items: Iterable<T>): T[] =>
      [...items].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return {
      revision: this.#revision,
      tokenKey: this.#tokenKey,
      users: byName(this.#users.values()),
      roles: byName(this.#roles.values()),
    };
  }

  /** Takes the place of everything. Names must be unique. */
  restore({ revision, tokenKey, users, roles }: AuthState): void {
    this.#users = new Map(users.map((user) => [user.name, user]));
    this.#roles = new Map(roles.map((role) => [role.name, role]));
    this.#revision = revision;
    this.#tokenKey = tokenKey;
    this.#changed();
  }

  // Who may

  /** What a caller may do now. */
  standing(caller: Caller): Standing {
    if (!this.isEnabled || caller.type === "trusted") return EVERYTHING;
    if (caller.type === "anonymous") return { type: "refused", code: "userEmpty" };
    const user = this.#users.get(caller.name);
    if (user?.since !== caller.since) return { type: "refused", code: "authOldRevision" };
    return user.roles.includes(ROOT) ? EVERYTHING : { type: "user", granted: this.#grantedTo(user) };
  }

  #grantedTo({ name, roles }: User): GrantedRanges {
    let granted = this.#granted.get(name);
    if (granted === undefined) {
      granted = new GrantedRanges(roles.flatMap((role) => this.#roles.get(role)?.permissions ?? []));
      this.#granted.set(name, granted);
    }
    return granted;
  }

  // Changes

  /** Makes a change. Returns why not, and then nothing has changed. */
  execute(command: AuthCommand): AuthErrorCode | null {
    switch (command.op) {
      case "enable":
        return this.#enable(command.tokenKey);
      case "disable":
        return this.#disable();
      case "userAdd":
        return this.#userAdd(command.name, command.passwordHash);
      case "userDelete":
        return this.#userDelete(command.name);
      case "userChangePassword":
        return this.#userChangePassword(command.name, command.passwordHash);
      case "userGrantRole":
        return this.#userGrantRole(command.name, command.role);
      case "userRevokeRole":
        return this.#userRevokeRole(command.name, command.role);
      case "roleAdd":
        return this.#roleAdd(command.role);
      case "roleDelete":
        return this.#roleDelete(command.role);
      case "roleGrantPermission":
        return this.#roleGrantPermission(command.role, command.permission);
      case "roleRevokePermission":
        return this.#roleRevokePermission(command.role, command.key, command.rangeEnd);
      default:
        return assertNever(command, "change of auth");
    }
  }

  /** As in etcd, no new revision; and no new key when it is on already, or every token would be void. */
  #enable(tokenKey: Uint8Array): AuthErrorCode | null {
    if (this.isEnabled) return null;
    const root = this.#users.get(ROOT);
    if (root === undefined) return "rootUserNotExist";
    if (!root.roles.includes(ROOT)) return "rootRoleNotExist";
    // A copy: the command lives in a larger buffer.
    this.#tokenKey = tokenKey.slice();
    return this.#changed();
  }

  #disable(): AuthErrorCode | null {
    if (!this.isEnabled) return null;
    this.#tokenKey = null;
    // What was proved until now is void, also where a member does not know yet that the key is another.
    for (const user of this.#users.values()) {
      this.#users.set(user.name, { ...user, since: this.#revision + 1 });
    }
    return this.#committed();
  }

  #userAdd(name: string, passwordHash: string | null): AuthErrorCode | null {
    if (this.#users.has(name)) return "userExists";
    this.#users.set(name, { name, passwordHash, since: this.#revision + 1, roles: [] });
    return this.#committed();
  }

  #userDelete(name: string): AuthErrorCode | null {
    if (this.isEnabled && name === ROOT) return "invalidAuthManagement";
    return this.#users.delete(name) ? this.#committed() : "userNotFound";
  }

  #userChangePassword(name: string, given: string): AuthErrorCode | null {
    const user = this.#users.get(name);
    if (user === undefined) return "userNotFound";
    // As in etcd, who was made without a password stays without.
    const passwordHash = user.passwordHash === null ? null : given;
    this.#users.set(name, { ...user, passwordHash, since: this.#revision + 1 });
    return this.#committed();
  }

  #userGrantRole(name: string, role: string): AuthErrorCode | null {
    const user = this.#users.get(name);
    if (user === undefined) return "userNotFound";
    // As in etcd, root need not be there.
    if (role !== ROOT && !this.#roles.has(role)) return "roleNotFound";
    if (user.roles.includes(role)) return null;
    this.#users.set(name, { ...user, roles: [...user.roles, role].toSorted() });
    return this.#committed();
  }

  #userRevokeRole(name: string, role: string): AuthErrorCode | null {
    if (this.isEnabled && name === ROOT && role === ROOT) return "invalidAuthManagement";
    const user = this.#users.get(name);
    if (user === undefined) return "userNotFound";
    if (!user.roles.includes(role)) return "roleNotGranted";
    this.#users.set(name, withoutRole(user, role));
    return this.#committed();
  }

  #roleAdd(name: string): AuthErrorCode | null {
    if (this.#roles.has(name)) return "roleExists";
    this.#roles.set(name, { name, permissions: [] });
    return this.#committed();
  }

  #roleDelete(name: string): AuthErrorCode | null {
    if (this.isEnabled && name === ROOT) return "invalidAuthManagement";
    if (!this.#roles.delete(name)) return "roleNotFound";
    for (const user of this.#users.values()) {
      if (user.roles.includes(name)) this.#users.set(user.name, withoutRole(user, name));
    }
    return this.#committed();
  }

  #roleGrantPermission(name: string, permission: Permission): AuthErrorCode | null {
    const role = this.#roles.get(name);
    if (role === undefined) return "roleNotFound";
    const { access, key, rangeEnd } = permission;
    const others = role.permissions.filter((each) => !isOf(each, key, rangeEnd));
    const permissions = [...others, { access, key: key.slice(), rangeEnd: rangeEnd.slice() }];
    permissions.sort((a, b) => compareBytes(a.key, b.key) || compareBytes(a.rangeEnd, b.rangeEnd));
    this.#roles.set(name, { name, permissions });
    return this.#committed();
  }

  #roleRevokePermission(name: string, key: Uint8Array, rangeEnd: Uint8Array): AuthErrorCode | null {
    const role = this.#roles.get(name);
    if (role === undefined) return "roleNotFound";
    const permissions = role.permissions.filter((each) => !isOf(each, key, rangeEnd));
    if (permissions.length === role.permissions.length) return "permissionNotGranted";
    this.#roles.set(name, { name, permissions });
    return this.#committed();
  }

  #committed(): null {
    this.#revision++;
    return this.#changed();
  }

  #changed(): null {
    this.#changes++;
    this.#sizeBytes = null;
    this.#granted.clear();
    return null;
  }
}

function withoutRole(user: User, role: string): User {
  return { ...user, roles: user.roles.filter((each) => each !== role) };
}

function isOf(permission: Permission, key: Uint8Array, rangeEnd: Uint8Array): boolean {
  return equalBytes(permission.key, key) && equalBytes(permission.rangeEnd, rangeEnd);
}

function sizeOf(users: Iterable<User>, roles: Iterable<Role>): number {
  let bytes = 0;
  for (const { name, passwordHash, roles: granted } of users) {
    bytes += AUTH_ENTRY_BYTES + name.length + (passwordHash?.length ?? 0);
    for (const role of granted) bytes += role.length;
  }
  for (const { name, permissions } of roles) {
    bytes += AUTH_ENTRY_BYTES + name.length;
    for (const { key, rangeEnd } of permissions) bytes += AUTH_ENTRY_BYTES + key.length + rangeEnd.length;
  }
  return bytes;
}
