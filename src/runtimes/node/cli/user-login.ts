import { PostError, postJson, type PostOptions } from "./json-post.ts";

export interface Credentials {
  readonly user: string;
  /** Asked for when it is first needed. */
  readonly password: () => Promise<string>;
}

/** Why there is no token. Nothing else has been sent. */
export interface LoginFailure {
  readonly problem: string;
  /** gRPC code; null when no answer came. */
  readonly code: number | null;
}

/** gRPC's UNAUTHENTICATED, and what etcd says of a token that is older than its user. */
const UNAUTHENTICATED = 16;
const OLD_REVISION = "etcdserver: revision of auth store is old";
const NOT_ENABLED = "etcdserver: authentication is not enabled";

/** The token of the user on whose behalf a command runs. */
export class UserLogin {
  readonly #credentials: Credentials;
  #headers: Readonly<Record<string, string>> | null = null;

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** What goes with every request, or why it cannot. */
  async headers(
    endpoint: string,
    options: PostOptions,
  ): Promise<Readonly<Record<string, string>> | LoginFailure> {
    if (this.#headers !== null) return this.#headers;
    const body = JSON.stringify({
      name: this.#credentials.user,
      password: await this.#credentials.password(),
    });
    let status: number;
    let text: string;
    try {
      ({ status, text } = await postJson(`${endpoint}/v3/auth/authenticate`, body, options));
    } catch (error) {
      if (!(error instanceof PostError)) throw error;
      return { problem: error.message, code: null };
    }
    const reply = answerOf(text);
    const { token, message, code } = reply;
    // Nobody is asked who they are.
    if (message === NOT_ENABLED) this.#headers = {};
    else if (status === 200 && typeof token === "string") {
      this.#headers = "authorization" in options.headers ? { token } : { authorization: token };
    }
    if (this.#headers !== null) return this.#headers;
    const problem = typeof message === "string" ? message : `logging in: status ${status}`;
    return { problem, code: typeof code === "number" ? code : status };
  }

  /** Whether a refusal is about a token that has become too old: then the next one is another. */
  mayRenew(code: number | null, problem: string): boolean {
    const isStale = code === UNAUTHENTICATED || problem.startsWith(OLD_REVISION);
    if (isStale) this.#headers = null;
    return isStale;
  }
}

export function isFailure(headers: Readonly<Record<string, string>> | LoginFailure): headers is LoginFailure {
  return "problem" in headers;
}

function answerOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}
