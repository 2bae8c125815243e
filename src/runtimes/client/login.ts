import { EngineError, GrpcCode } from "../../core/errors/index.ts";
import { type Patience, reasonOf } from "../../core/node/client/index.ts";

export interface LoginOptions {
  readonly user: string;
  readonly password: string;
  /** Asks one server; rejects as `Exchange.post` does. */
  readonly post: (url: string, body: string) => Promise<string>;
  /** The client token is in `Authorization` already, and a user's has its own place. */
  readonly hasClientToken: boolean;
}

/** What a refusal of a token says: another may do. */
const STALE: ReadonlySet<string> = new Set(["unauthenticated", "authOldRevision", "userEmpty"]);

type Headers = Readonly<Record<string, string>>;

const NONE: Headers = {};

/** A user's token: fetched when something is to be sent, shared by all that is, and fetched anew when it is refused. */
export class Login {
  readonly #options: LoginOptions;
  #headers: Promise<Headers> | null = null;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /**
   * Sends what needs a token, a second time if that was refused: whatever was refused so has not been done.
   *
   * @throws EngineError `authFailed`; `unreachable` when the server could not be asked for a token.
   */
  async send<T>(
    url: string,
    signal: Patience["signal"],
    attempt: (headers: Headers) => Promise<T>,
  ): Promise<T> {
    const asked = this.#known(url);
    try {
      return await attempt(await unlessAborted(asked, signal));
    } catch (error) {
      if (!(error instanceof EngineError) || !STALE.has(error.code)) throw error;
      if (this.#headers === asked) this.#headers = null;
      return await attempt(await unlessAborted(this.#known(url), signal));
    }
  }

  #known(url: string): Promise<Headers> {
    if (this.#headers === null) {
      const headers = this.#logIn(`${url.slice(0, url.lastIndexOf("/v3/"))}/v3/auth/authenticate`);
      this.#headers = headers;
      // Whoever comes next tries again.
      headers.catch(() => {
        if (this.#headers === headers) this.#headers = null;
      });
    }
    return this.#headers;
  }

  async #logIn(url: string): Promise<Headers> {
    const { user: name, password, post, hasClientToken } = this.#options;
    try {
      const token = tokenOf(await post(url, JSON.stringify({ name, password })));
      return hasClientToken ? { Token: token } : { Authorization: token };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      // Nobody is asked who they are; when that changes, requests are refused.
      if (error.code === "authNotEnabled") return NONE;
      if (error.grpcCode !== GrpcCode.unavailable) throw error;
      // What was to be sent was not, whatever became of this.
      throw new EngineError("unreachable", { detail: `logging in: ${error.detail ?? error.message}` });
    }
  }
}

function tokenOf(text: string): string {
  let token: unknown;
  try {
    ({ token } = JSON.parse(text) as { readonly token?: unknown });
  } catch {
    token = null;
  }
  if (typeof token === "string" && /^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new EngineError("badReply", { detail: "there is no token in the answer to a login" });
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw reasonOf(signal);
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(reasonOf(signal));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
