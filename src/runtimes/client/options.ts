import { EngineError } from "../../core/errors/index.ts";
import type { Clock, Random } from "../../core/node/index.ts";

/** What carries requests: the platform's `fetch`, or something with its habits. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Whom the client talks to, and how patiently. Durations in milliseconds, sizes in bytes. */
export interface ConnectOptions {
  /** Base URLs of members, or of what stands before them, in no order: one is stayed with as long as it answers. */
  readonly endpoints: string | readonly string[];
  /** The client token. It is sent to the endpoints, and to no address that only a reply names, but for `discover`. */
  readonly token?: string;
  /**
   * With whose rights, where authentication is on (`auth enable`). The client logs in when it first needs to, and again
   * when its token has expired. The password goes to the endpoints, as the client token does.
   */
  readonly user?: string;
  readonly password?: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Ask the group for its members from time to time, and use the client URLs that they advertise as endpoints too.
   * Unencrypted ones are left out if all endpoints given are encrypted, and those on loopback if none given is.
   * Default: no.
   */
  readonly discover?: boolean;
  /** How long a call may take, all its attempts together, when it does not say. Default: 10,000. */
  readonly timeoutMs?: number;
  /** How long one endpoint may take to answer a read before another is asked. Default: 3,000. */
  readonly attemptTimeoutMs?: number;
  /** How long a watch may be silent before its endpoint is asked whether it lives. Default: 10,000. */
  readonly watchIdleMs?: number;
  /** Calls under way at the same time; more wait. Default: 256. */
  readonly maxConcurrentCalls?: number;
  /** Calls that wait for others; more are refused with `tooManyRequests`. Default: 10,000. */
  readonly maxWaitingCalls?: number;
  /** Largest reply, and largest message of a stream. Default: 64 MiB. */
  readonly maxReplyBytes?: number;
  /** Keys fetched at a time by scans. Default: 1,000. */
  readonly pageSize?: number;
  /** The group's limit of operations in one transaction. Default: 128. */
  readonly maxTxnOps?: number;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** The numbers that have a default here. */
export type Tuning = Readonly<
  Record<
    | "timeoutMs"
    | "attemptTimeoutMs"
    | "watchIdleMs"
    | "maxConcurrentCalls"
    | "maxWaitingCalls"
    | "maxReplyBytes",
    number
  >
>;

const CONNECT_DEFAULTS: Tuning = {
  timeoutMs: 10_000,
  attemptTimeoutMs: 3000,
  watchIdleMs: 10_000,
  maxConcurrentCalls: 256,
  maxWaitingCalls: 10_000,
  maxReplyBytes: 64 << 20,
};

const MAX_ENDPOINTS = 64;

/** @throws EngineError `invalidConfig`. */
export function parseEndpoints(given: string | readonly string[]): readonly string[] {
  const texts = typeof given === "string" ? given.split(",") : given;
  const urls = [...new Set(texts.map((text) => parseEndpoint(text.trim())))];
  if (urls.length === 0 || urls.length > MAX_ENDPOINTS) {
    throw invalid(`endpoints: between 1 and ${MAX_ENDPOINTS} are needed, not ${urls.length}`);
  }
  return urls;
}

function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const sound =
    url !== null &&
    (url.protocol === "http:" || url.protocol === "https:") &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === "";
  if (!sound) throw invalid(`endpoints: ${JSON.stringify(text.slice(0, 200))} is no http or https URL`);
  return url.href.replace(/\/+$/, "");
}

/** The headers of every request. @throws EngineError `invalidConfig`. */
export function requestHeaders({
  token,
  headers = {},
}: Pick<ConnectOptions, "token" | "headers">): Readonly<Record<string, string>> {
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw invalid("token: it must be of visible ASCII characters, without spaces, and not empty");
  }
  const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return { ...headers, ...authorization, "Content-Type": "application/json" };
}

/** @throws EngineError `invalidConfig`. */
export function credentialsOf({
  user,
  password,
}: Pick<ConnectOptions, "user" | "password">): { readonly user: string; readonly password: string } | null {
  if (user === undefined && password === undefined) return null;
  if (user === undefined || user === "" || password === undefined || password === "") {
    throw invalid("user and password: one is of no use without the other");
  }
  return { user, password };
}

/** The numbers given, and defaults for the others. @throws EngineError `invalidConfig` for one that is not positive. */
export function tuningOf(options: ConnectOptions): Tuning {
  const tuning: Record<string, number> = { ...CONNECT_DEFAULTS };
  for (const name of Object.keys(CONNECT_DEFAULTS) as (keyof Tuning)[]) {
    const value = options[name] ?? CONNECT_DEFAULTS[name];
    if (!(value > 0)) throw invalid(`${name}: it must be a positive number`);
    tuning[name] = value;
  }
  return tuning as Tuning;
}

function invalid(detail: string): EngineError {
  return new EngineError("invalidConfig", { detail });
}
