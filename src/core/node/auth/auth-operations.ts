import { EngineError } from "../../errors/index.ts";
import {
  ANONYMOUS,
  type AuthCommand,
  type Caller,
  type KvCommand,
  type KvResult,
  type KvStore,
  type Permission,
  ROOT,
  TOKEN_KEY_BYTES,
} from "../../kv/index.ts";
import type { CallOptions, ReadOptions, ResponseHeader, WithHeader } from "../engine.ts";
import type { Random } from "../ports.ts";
import type { Access } from "./access.ts";
import type { AuthChange, AuthEngine, Identities } from "./auth-engine.ts";

export interface AuthOperationsOptions {
  readonly store: KvStore;
  readonly access: Access;
  readonly random: Random;
  readonly header: () => ResponseHeader;
  readonly barrier: (options: ReadOptions) => Promise<void>;
  readonly write: (command: KvCommand, call: CallOptions) => Promise<KvResult>;
}

/** Whoever has the role may do everything, which no list of permissions says. */
const OF_ROOT: readonly Permission[] = [
  { access: "readWrite", key: new Uint8Array(0), rangeEnd: Uint8Array.of(0) },
];

/** Users and roles, changed through the log and read linearizably. */
export class AuthOperations implements AuthEngine {
  readonly #options: AuthOperationsOptions;
  readonly identities: Identities;

  constructor(options: AuthOperationsOptions) {
    this.#options = options;
    const { store, barrier } = options;
    this.identities = {
      get tokenKey() {
        return store.auth.tokenKey;
      },
      find: (name) => store.auth.user(name),
      refresh: (call = {}) => barrier({ ...call, consistency: "linearizable" }),
    };
  }

  async status(options: CallOptions = {}): ReturnType<AuthEngine["status"]> {
    const { store, header } = this.#options;
    await this.#requireRootOfGroup(options);
    const { isEnabled, revision } = store.auth;
    return { enabled: isEnabled, authRevision: revision, header: header() };
  }

  async change(change: AuthChange, options: CallOptions = {}): Promise<WithHeader> {
    const { header, write } = this.#options;
    await write({ type: "auth", request: this.#complete(change) }, options);
    return { header: header() };
  }

  async userRoles(name: string, options: CallOptions = {}): ReturnType<AuthEngine["userRoles"]> {
    const { store, header } = this.#options;
    const caller = await this.#known(options);
    this.#requireOwn(caller, caller.type === "user" && caller.name === name);
    const user = store.auth.user(name);
    if (user === undefined) throw new EngineError("userNotFound");
    return { roles: user.roles, header: header() };
  }

  async users(options: CallOptions = {}): ReturnType<AuthEngine["users"]> {
    const { store, header } = this.#options;
    await this.#requireRootOfGroup(options);
    return { names: store.auth.state().users.map(({ name }) => name), header: header() };
  }

  async rolePermissions(name: string, options: CallOptions = {}): ReturnType<AuthEngine["rolePermissions"]> {
    const { store, header } = this.#options;
    const caller = await this.#known(options);
    const own = caller.type === "user" && store.auth.user(caller.name)?.roles.includes(name) === true;
    this.#requireOwn(caller, own);
    const role = store.auth.role(name);
    if (role === undefined) throw new EngineError("roleNotFound");
    return { permissions: name === ROOT ? OF_ROOT : role.permissions, header: header() };
  }

  async roles(options: CallOptions = {}): ReturnType<AuthEngine["roles"]> {
    const { store, header } = this.#options;
    await this.#requireRootOfGroup(options);
    return { names: store.auth.state().roles.map(({ name }) => name), header: header() };
  }

  requireRoot(options: Pick<CallOptions, "caller"> = {}): void {
    this.#options.access.requireRoot(options);
  }

  /** Root, or whoever is trusted: who is told what the group has decided, too, and not what this member knows of it. */
  async #requireRootOfGroup(options: CallOptions): Promise<void> {
    const { access, barrier } = this.#options;
    await barrier({ ...options, consistency: "linearizable" });
    access.requireRoot(options);
  }

  /** A caller who is somebody, by what the group has decided. */
  async #known(options: CallOptions): Promise<Caller> {
    const { access, barrier } = this.#options;
    await barrier({ ...options, consistency: "linearizable" });
    access.requireUser(options);
    return options.caller ?? ANONYMOUS;
  }

  #requireOwn(caller: Caller, isOwn: boolean): void {
    if (!isOwn && !this.#options.access.isRoot(caller)) throw new EngineError("permissionDenied");
  }

  /** The state machine has no chance to draw a key from. */
  #complete(change: AuthChange): AuthCommand {
    if (change.op !== "enable") return change;
    const tokenKey = new Uint8Array(TOKEN_KEY_BYTES);
    const view = new DataView(tokenKey.buffer);
    for (let at = 0; at < TOKEN_KEY_BYTES; at += 8) view.setBigUint64(at, this.#options.random.id());
    return { op: "enable", tokenKey };
  }
}
