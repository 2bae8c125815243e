import type { AuthCommand, AuthRevision, Permission, User } from "../../kv/index.ts";
import type { CallOptions, WithHeader } from "../engine.ts";

/** A change of users and roles, as it is asked for: the key with which tokens are signed is the engine's to draw. */
export type AuthChange = Exclude<AuthCommand, { readonly op: "enable" }> | { readonly op: "enable" };

/** etcd's Auth service but for logging in, which is the affair of whoever checks passwords: see {@link Identities}. */
export interface AuthEngine {
  /** For root alone while authentication is on, as are all the others unless they say something else. */
  status(
    options?: CallOptions,
  ): Promise<{ readonly enabled: boolean; readonly authRevision: AuthRevision } & WithHeader>;
  /** @throws EngineError what the table of errors has about users and roles; `permissionDenied`, `userEmpty`. */
  change(change: AuthChange, options?: CallOptions): Promise<WithHeader>;
  /** The roles of a user. Users may ask about themselves. */
  userRoles(name: string, options?: CallOptions): Promise<{ readonly roles: readonly string[] } & WithHeader>;
  users(options?: CallOptions): Promise<{ readonly names: readonly string[] } & WithHeader>;
  /** The permissions of a role. Users may ask about the roles they have. */
  rolePermissions(
    name: string,
    options?: CallOptions,
  ): Promise<{ readonly permissions: readonly Permission[] } & WithHeader>;
  roles(options?: CallOptions): Promise<{ readonly names: readonly string[] } & WithHeader>;
  /**
   * For what is root's without being the engine's to do.
   *
   * @throws EngineError `userEmpty`, `permissionDenied`, `authOldRevision`, as far as this member knows.
   */
  requireRoot(options?: Pick<CallOptions, "caller">): void;
  readonly identities: Identities;
}

/** What it takes to find out who somebody is. Not to be shown to anybody. */
export interface Identities {
  /** With which tokens are signed; null while authentication is off, as far as this member knows. */
  readonly tokenKey: Uint8Array | null;
  /** As far as this member knows. */
  find(name: string): User | undefined;
  /** Resolves when this member knows everything that had been changed. @throws EngineError as a linearizable read. */
  refresh(options?: CallOptions): Promise<void>;
}
