/*
 * Who may do what: etcd's users, roles and permissions (authpb), in TypeScript's naming. Names are strings, keys are
 * bytes.
 */

/** Counts the changes of users, roles and permissions. A store that never had any is at 1, as in etcd. */
export type AuthRevision = number;

/**
 * On whose behalf something is done. Which of them may do it is decided by the state that it is done to.
 *
 * - `anonymous`: nobody said who asks. With authentication on, that is refused.
 * - `trusted`: this process itself, which holds the stores in its hands anyway.
 * - `user`: whoever proved to be that user with the password that was set at `since`.
 */
export type Caller =
  | { readonly type: "anonymous" }
  | { readonly type: "trusted" }
  | { readonly type: "user"; readonly name: string; readonly since: AuthRevision };

export const ANONYMOUS: Caller = { type: "anonymous" };
export const TRUSTED: Caller = { type: "trusted" };

/** What a permission allows. */
export type Access = "read" | "write" | "readWrite";

/** Access to a key or, with `rangeEnd`, to a range of keys: the bounds are those of a range request. */
export interface Permission {
  readonly access: Access;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** Somebody who may be asked for a password. */
export interface User {
  readonly name: string;
  /** Says by itself how it is to be checked; null for a user who has no password and cannot log in with one. */
  readonly passwordHash: string | null;
  /**
   * When the password was set, or authentication last switched off: what was proved with an earlier one, before that, or
   * for an earlier user of that name, is void.
   */
  readonly since: AuthRevision;
  /** Ascending. */
  readonly roles: readonly string[];
}

/** Permissions under a name, for users to be given. */
export interface Role {
  readonly name: string;
  /** By key. */
  readonly permissions: readonly Permission[];
}

/** A change of who may do what. */
export type AuthCommand =
  /** `tokenKey`: 32 random bytes, with which all members sign and check users' tokens from now on. */
  | { readonly op: "enable"; readonly tokenKey: Uint8Array }
  | { readonly op: "disable" }
  | { readonly op: "userAdd"; readonly name: string; readonly passwordHash: string | null }
  | { readonly op: "userDelete"; readonly name: string }
  | { readonly op: "userChangePassword"; readonly name: string; readonly passwordHash: string }
  | { readonly op: "userGrantRole"; readonly name: string; readonly role: string }
  | { readonly op: "userRevokeRole"; readonly name: string; readonly role: string }
  | { readonly op: "roleAdd"; readonly role: string }
  | { readonly op: "roleDelete"; readonly role: string }
  | { readonly op: "roleGrantPermission"; readonly role: string; readonly permission: Permission }
  | {
      readonly op: "roleRevokePermission";
      readonly role: string;
      readonly key: Uint8Array;
      readonly rangeEnd: Uint8Array;
    };

/** Why a change was not made, or something may not be done. The names are those of the engine's error table. */
export type AuthErrorCode =
  | "rootUserNotExist"
  | "rootRoleNotExist"
  | "userExists"
  | "userNotFound"
  | "roleExists"
  | "roleNotFound"
  | "roleNotGranted"
  | "permissionNotGranted"
  | "invalidAuthManagement"
  | "userEmpty"
  | "permissionDenied"
  | "authOldRevision";

/** The user and the role that authentication cannot be without. Whoever has the role may do everything. */
export const ROOT = "root";

export const TOKEN_KEY_BYTES = 32;
/** Of users and roles, in UTF-8. */
export const MAX_AUTH_NAME_BYTES = 256;
export const MAX_PASSWORD_HASH_LENGTH = 256;
