import { EngineError } from "../../core/errors/index.ts";
import type { LogLevel } from "../../core/node/index.ts";
import { type ObjectLocation, isShared, parseStorageUrl } from "../node/config/storage-url.ts";
import { LOG_LEVELS } from "../node/node-logger.ts";
import { objectPrefix } from "../node/storage/describe-storage.ts";
import type { ClientTokenSource } from "./client-token.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** Everything that the function in front of nodes can be told. Durations in milliseconds, sizes in bytes. */
export interface FrontConfig {
  /** Client URLs of the nodes; may be none where there is a store. */
  readonly endpoints: readonly string[];
  /** Where a node keeps its log, for reads without the nodes; null: there are none. */
  readonly store: StoredPlace | null;
  readonly token: ClientTokenSource;
  /** A copy that was compared with the store so long ago is as good as new. */
  readonly maxAgeMs: number;
  readonly maxStateBytes: number;
  readonly maxRequestBytes: number;
  /** Answers leave as they come, and not as one piece at the end. */
  readonly streaming: boolean;
  readonly logLevel: LogLevel;
}

export interface StoredPlace {
  readonly location: ObjectLocation;
  /** The node's own prefix in it. */
  readonly prefix: string;
  /** The node's. */
  readonly name: string;
  readonly groupId: string;
}

const DEFAULT_MAX_AGE_MS = 1000;
const DEFAULT_MEMORY_MB = 1024;
const DEFAULT_REQUEST_BYTES = 1.5 * (1 << 20);

/**
 * Reads the function's variables. Names and meanings are those of the node's settings where both have them: so that the
 * node's store is found, `D_ENGINE_STORAGE`, `ETCD_NAME`, `D_ENGINE_GROUP` and `ETCD_INITIAL_CLUSTER_TOKEN` are the
 * node's.
 *
 * @throws EngineError `invalidConfig`, naming the variable.
 */
export function frontConfig(env: Env): FrontConfig {
  const endpoints = endpointsOf(env["D_ENGINE_ENDPOINTS"] ?? "");
  const store = storeOf(env);
  if (endpoints.length === 0 && store === null) {
    throw invalid("D_ENGINE_ENDPOINTS: the client URLs of the nodes are needed, or D_ENGINE_STORAGE");
  }
  // What the platform gives the function; half of it, since a state is replaced by a newer one beside it.
  const memoryMb = number(env, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", { min: 1, max: 1e6 }, DEFAULT_MEMORY_MB);
  return {
    endpoints,
    store,
    token: {
      token: textOf(env, "D_ENGINE_CLIENT_TOKEN"),
      secretId: textOf(env, "D_ENGINE_CLIENT_TOKEN_SECRET"),
    },
    maxAgeMs: number(env, "D_ENGINE_MAX_AGE", { min: 0, max: 3_600_000 }, DEFAULT_MAX_AGE_MS),
    maxStateBytes: number(
      env,
      "D_ENGINE_MAX_STATE_BYTES",
      { min: 1, max: Number.MAX_SAFE_INTEGER },
      Math.floor(memoryMb / 2) << 20,
    ),
    maxRequestBytes: number(
      env,
      "ETCD_MAX_REQUEST_BYTES",
      { min: 1024, max: 64 << 20 },
      DEFAULT_REQUEST_BYTES,
    ),
    streaming: isStreaming(env),
    logLevel: oneOf(env, "ETCD_LOG_LEVEL", LOG_LEVELS, "info"),
  };
}

/** Known before anything else, since the platform must be told it when the module is loaded. */
export function isStreaming(env: Env): boolean {
  return oneOf(env, "D_ENGINE_STREAMING", ["true", "false"], "false") === "true";
}

function endpointsOf(text: string): readonly string[] {
  const urls = text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));
  for (const url of urls) {
    const { protocol, pathname, search, username, password } = URL.parse(url) ?? { protocol: "" };
    const isBare = pathname === "/" && search === "" && username === "" && password === "";
    if ((protocol === "https:" || protocol === "http:") && isBare) continue;
    // Not quoted in the message: somebody may have put a password into it.
    throw invalid("D_ENGINE_ENDPOINTS must be http or https URLs without a path or credentials");
  }
  return [...new Set(urls.map((url) => new URL(url).origin))];
}

function storeOf(env: Env): StoredPlace | null {
  const text = textOf(env, "D_ENGINE_STORAGE");
  if (text === null) return null;
  const location = parseStorageUrl({ text, origin: "D_ENGINE_STORAGE" });
  if (!isShared(location)) {
    throw invalid(
      "D_ENGINE_STORAGE: a function can read a bucket or a table, and no disk of another machine",
    );
  }
  const name = textOf(env, "ETCD_NAME");
  if (name === null) throw invalid("ETCD_NAME: the name of the node whose log is read is needed");
  const groupId = textOf(env, "D_ENGINE_GROUP") ?? "default";
  const initialClusterToken = textOf(env, "ETCD_INITIAL_CLUSTER_TOKEN") ?? "d-engine-cluster";
  const prefix = objectPrefix(location, { name, groupId, initialClusterToken });
  return { location, prefix, name, groupId };
}

function textOf(env: Env, name: string): string | null {
  const text = env[name]?.trim() ?? "";
  return text === "" ? null : text;
}

function number(
  env: Env,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
  byDefault: number,
): number {
  const text = textOf(env, name);
  if (text === null) return byDefault;
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
}

function oneOf<T extends string>(env: Env, name: string, values: readonly T[], byDefault: T): T {
  const text = textOf(env, name) ?? byDefault;
  const value = values.find((each) => each === text);
  if (value === undefined) throw invalid(`${name} must be one of ${values.join(", ")}, not "${text}"`);
  return value;
}

function invalid(detail: string): EngineError {
  return new EngineError("invalidConfig", { detail });
}
