import { EngineError } from "../../../core/errors/index.ts";
import { ANONYMOUS, type AuthRevision, type Caller } from "../../../core/kv/index.ts";
import { actAs, type CallOptions, type Engine, type Identities } from "../../../core/node/index.ts";
import type { RequestHeaders } from "../client-auth.ts";
import type { CertifiedUser } from "../options.ts";
import { isPassword } from "./password-hash.ts";
import { tooManyPasswords } from "./places.ts";
import { sameSecret } from "./same-bytes.ts";
import {
  type Claims,
  claimsOf,
  isInTime,
  isSigned,
  isUserToken,
  signToken,
  TOKEN_LIFETIME_MS,
} from "./user-token.ts";

export interface AccountsOptions {
  /** Of nobody in particular: what is asked of it is refused while authentication is on. */
  readonly engine: Engine;
  /** It is the door's business, and names no user. */
  readonly clientToken?: string | undefined;
  /** Absent: requests have no certificates. */
  readonly certifiedUser?: CertifiedUser;
  /** The wall clock, in milliseconds since the epoch. */
  readonly nowMs?: () => number;
}

/** A token that was found to be good, while nothing has changed. */
interface Known {
  readonly claims: Claims;
  readonly key: Uint8Array;
  readonly caller: Caller;
  readonly engine: Engine;
}

/** A user who needs no token. */
interface Certified {
  readonly since: AuthRevision;
  readonly engine: Engine;
}

/** Tokens that need not be checked again with every request. */
const MAX_KNOWN = 10_000;
/** Passwords that are checked, or wait for it, under one name. */
const MAX_ATTEMPTS = 8;

/** Who somebody is: passwords against tokens, and tokens against an engine that acts on the user's behalf. */
export class Accounts {
  readonly #engine: Engine;
  readonly #clientToken: string | undefined;
  readonly #nowMs: () => number;
  readonly #certifiedUser: CertifiedUser | undefined;
  readonly #tokens: Map<string, Known> = new Map();
  readonly #certified: Map<string, Certified> = new Map();
  /** Passwords that are being checked, by name; no more than may be checked and wait. */
  readonly #attempts: Map<string, number> = new Map();

  constructor({ engine, clientToken, certifiedUser, nowMs = () => Date.now() }: AccountsOptions) {
    this.#certifiedUser = certifiedUser;
    this.#engine = engine;
    this.#clientToken = clientToken;
    this.#nowMs = nowMs;
  }

  get #identities(): Identities {
    return this.#engine.auth.identities;
  }

  /**
   * A token for whoever knows a user's password.
   *
   * @throws EngineError `authNotEnabled`, `authFailed`, `tooManyRequests`, `authOldRevision` when the user was changed
   * meanwhile; as a linearizable read.
   */
  async logIn(name: string, password: string, options: CallOptions = {}): Promise<string> {
    const identities = this.#identities;
    await identities.refresh(options);
    if (identities.tokenKey === null) throw new EngineError("authNotEnabled");
    const user = identities.find(name);
    const isRight = await this.#attempt(name, () => isPassword(password, user?.passwordHash ?? null));
    if (!isRight || user === undefined) throw new EngineError("authFailed");
    const { tokenKey } = identities;
    // Deriving took a while.
    if (tokenKey === null || identities.find(name)?.since !== user.since)
      throw new EngineError("authOldRevision");
    const expiresAtMs = this.#nowMs() + TOKEN_LIFETIME_MS;
    return await signToken({ name, since: user.since, expiresAtMs }, tokenKey);
  }

  /** Whoever guesses at one name, which may be nobody's, leaves room for the others to log in. */
  async #attempt(name: string, check: () => Promise<boolean>): Promise<boolean> {
    const attempts = this.#attempts.get(name) ?? 0;
    if (attempts >= MAX_ATTEMPTS) throw tooManyPasswords();
    this.#attempts.set(name, attempts + 1);
    try {
      return await check();
    } finally {
      const left = this.#attempts.get(name)! - 1;
      if (left === 0) this.#attempts.delete(name);
      else this.#attempts.set(name, left);
    }
  }

  /** {@link engineOf} for a request over HTTP. */
  engineFor(request: Request, headers: RequestHeaders = request.headers): Engine | Promise<Engine> {
    return this.engineOf(headers, this.#certifiedUser?.(request) ?? null);
  }

  /**
   * The engine for whoever sends a request: at once where nothing has to be found out, since every request asks.
   *
   * @param certifiedUser who that is by a certificate, for want of a token.
   * @throws EngineError `unauthenticated`, at once or later, for a token that is not good; `permissionDenied` when no
   * user is called as the certificate says.
   */
  engineOf(headers: RequestHeaders, certifiedUser: string | null = null): Engine | Promise<Engine> {
    if (certifiedUser !== null && this.#presented(headers) === null) return this.#engineAs(certifiedUser);
    const known = this.#known(headers);
    if (known instanceof Promise) return known.then((found) => found?.engine ?? this.#engine);
    return known?.engine ?? this.#engine;
  }

  /** Who sends a request, for whoever must remember it. @throws as `engineOf`. */
  async callerOf(headers: RequestHeaders): Promise<Caller> {
    return (await this.#known(headers))?.caller ?? ANONYMOUS;
  }

  /** A certificate says a name: of the user of today, who may have been made anew since it was signed (as in etcd). */
  #engineAs(name: string): Engine | Promise<Engine> {
    const since = this.#identities.find(name)?.since;
    if (since === undefined) return this.#identities.tokenKey === null ? this.#engine : this.#findNamed(name);
    const known = this.#certified.get(name);
    if (known !== undefined && known.since === since) return known.engine;
    const engine = actAs(this.#engine, { type: "user", name, since });
    if (this.#certified.size >= MAX_KNOWN) this.#certified.clear();
    this.#certified.set(name, { since, engine });
    return engine;
  }

  async #findNamed(name: string): Promise<Engine> {
    await this.#identities.refresh();
    if (this.#identities.find(name) === undefined) throw new EngineError("permissionDenied");
    return await this.#engineAs(name);
  }

  /** Null: nobody says who asks, or nobody wants to know. */
  #known(headers: RequestHeaders): Known | null | Promise<Known | null> {
    const token = this.#presented(headers);
    if (token === null) return null;
    const { tokenKey } = this.#identities;
    // As in etcd, what is presented while authentication is off is nobody's concern.
    if (tokenKey === null && !isUserToken(token)) return null;
    const known = this.#tokens.get(token);
    return known !== undefined && known.key === tokenKey && this.#isGood(known.claims)
      ? known
      : this.#find(token);
  }

  /** What may be a user's token: the client token may be in the one place, and a user's in the other. */
  #presented(headers: RequestHeaders): string | null {
    const authorization = headers.get("Authorization")?.replace(/^Bearer +/i, "") ?? null;
    for (const text of [authorization, headers.get("Token")]) {
      if (text !== null && (this.#clientToken === undefined || !sameSecret(text, this.#clientToken)))
        return text;
    }
    return null;
  }

  async #find(token: string): Promise<Known | null> {
    this.#tokens.delete(token);
    const claims = claimsOf(token, this.#nowMs());
    if (claims === null && this.#identities.tokenKey !== null) throw new EngineError("unauthenticated");
    if (claims === null) return null;
    const found = await this.#check(token, claims);
    if (found !== null) return found;
    // This member may not have heard yet of the user, of the password, or that authentication is on.
    await this.#identities.refresh();
    const now = await this.#check(token, claims);
    if (now !== null || this.#identities.tokenKey === null) return now;
    throw new EngineError("unauthenticated");
  }

  async #check(token: string, claims: Claims): Promise<Known | null> {
    const key = this.#identities.tokenKey;
    if (key === null || !(await isSigned(token, key)) || !this.#isGood(claims)) return null;
    const { name, since } = claims;
    const caller: Caller = { type: "user", name, since };
    const known = { claims, key, caller, engine: actAs(this.#engine, caller) };
    if (this.#tokens.size >= MAX_KNOWN) this.#tokens.clear();
    this.#tokens.set(token, known);
    return known;
  }

  #isGood(claims: Claims): boolean {
    return this.#identities.find(claims.name)?.since === claims.since && isInTime(claims, this.#nowMs());
  }
}
