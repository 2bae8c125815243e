import { EngineError } from "../../core/errors/index.ts";
import { MAX_COMMAND_BYTES } from "../../core/node/codec/index.ts";
import { type Consistency, type LogLevel, NODE_DEFAULTS } from "../../core/node/index.ts";
import { isGroupName } from "./object-address.ts";
import { parseNodes, type WorkersNode } from "./node-list.ts";
import type { ObjectNamespace, WorkersEnv } from "./platform.ts";
import { LOG_LEVELS } from "./workers-logger.ts";

/** Everything that a Worker and its objects can be told. Durations in milliseconds, sizes in bytes. */
export interface WorkersConfig {
  readonly nodes: readonly WorkersNode[];
  /** Names of nodes that are to leave the group. */
  readonly removedNodes: readonly string[];
  readonly clusterToken: string;
  /** The group of requests that name none. */
  readonly defaultGroup: string;
  /** Groups that may be created besides the default one: names, or beginnings of names that end in `*`. */
  readonly groups: readonly string[];
  /** Null until it is set: every request is refused then. */
  readonly peerSecret: Uint8Array | null;
  readonly clientToken: string | null;
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Without anything to do for this long the group goes to sleep; 0 = never. */
  readonly sleepAfterMs: number;
  /** How long a leader lets writes gather: each costs a row on every node, however many go together. */
  readonly lingerMs: number;
  readonly snapshotEntries: number;
  readonly maxRequestBytes: number;
  readonly maxTxnOps: number;
  readonly quotaBytes: number;
  readonly defaultConsistency: Consistency;
  readonly logLevel: LogLevel;
}

/** An isolate has 128 MB, which several objects may share, and the log's tail and requests need some of it. */
const QUOTA_BYTES: number = 32 << 20;
/** As for every other runtime. */
const MIN_SECRET_LENGTH = 16;

const CONSISTENCIES: readonly Consistency[] = ["linearizable", "lease", "eventual"];

/**
 * Reads the Worker's variables and secrets. Names and meanings are those of the settings of `d-engine serve` in the
 * environment, where both have them.
 *
 * @throws EngineError `invalidConfig`, naming the variable.
 */
export function workersConfig(env: WorkersEnv): WorkersConfig {
  const known = CONFIGS.get(env) ?? readConfig(env);
  CONFIGS.set(env, known);
  return known;
}

/** A Worker or an object has the same variables as long as it lives. */
const CONFIGS = new WeakMap<WorkersEnv, WorkersConfig>();

function readConfig(env: WorkersEnv): WorkersConfig {
  const vars = new Variables(env);
  const heartbeatIntervalMs = vars.number("ETCD_HEARTBEAT_INTERVAL", { min: 10, max: 60_000 }, 500);
  const electionTimeoutMs = vars.number("ETCD_ELECTION_TIMEOUT", { min: 30, max: 600_000 }, 2500);
  if (electionTimeoutMs < heartbeatIntervalMs * 3) {
    throw invalid("ETCD_ELECTION_TIMEOUT must be at least three times ETCD_HEARTBEAT_INTERVAL");
  }
  const defaultGroup = vars.text("D_ENGINE_GROUP", "default");
  if (!isGroupName(defaultGroup)) throw invalid("D_ENGINE_GROUP is no name of a group");
  const groups = vars.list("D_ENGINE_GROUPS");
  const wrong = groups.find((pattern) => pattern !== "*" && !isGroupName(pattern.replace(/\*$/, "")));
  if (wrong !== undefined) throw invalid(`D_ENGINE_GROUPS: "${wrong}" is no name of a group`);
  const peerSecret = vars.secret("D_ENGINE_PEER_SECRET");
  const clientToken = vars.secret("D_ENGINE_CLIENT_TOKEN");
  if (clientToken !== null && !/^[\x21-\x7e]+$/.test(clientToken)) {
    throw invalid("D_ENGINE_CLIENT_TOKEN: only printable ASCII without spaces can be sent in a header");
  }
  return {
    nodes: parseNodes(vars.text("D_ENGINE_NODES", "n1")),
    removedNodes: vars.list("D_ENGINE_REMOVED_NODES"),
    clusterToken: vars.text("ETCD_INITIAL_CLUSTER_TOKEN", "d-engine-cluster"),
    defaultGroup,
    groups,
    peerSecret: peerSecret === null ? null : new TextEncoder().encode(peerSecret),
    clientToken,
    heartbeatIntervalMs,
    electionTimeoutMs,
    requestTimeoutMs: vars.number("D_ENGINE_REQUEST_TIMEOUT", { min: 100, max: 600_000 }, 10_000),
    sleepAfterMs: vars.number("D_ENGINE_SLEEP_AFTER", { min: 0, max: 86_400_000 }, 10_000),
    lingerMs: vars.number("D_ENGINE_LINGER", { min: 0, max: 10_000 }, 0),
    snapshotEntries: vars.number("ETCD_SNAPSHOT_COUNT", { min: 1, max: 1e9 }, 10_000),
    maxRequestBytes: vars.number(
      "ETCD_MAX_REQUEST_BYTES",
      { min: 1024, max: MAX_COMMAND_BYTES },
      NODE_DEFAULTS.maxRequestBytes,
    ),
    maxTxnOps: vars.number("ETCD_MAX_TXN_OPS", { min: 1, max: 10_000 }, NODE_DEFAULTS.maxTxnOps),
    quotaBytes: vars.number("ETCD_QUOTA_BACKEND_BYTES", { min: 0, max: 2 ** 30 }, 0) || QUOTA_BYTES,
    defaultConsistency: vars.oneOf("D_ENGINE_DEFAULT_CONSISTENCY", CONSISTENCIES, "linearizable"),
    logLevel: vars.oneOf("ETCD_LOG_LEVEL", LOG_LEVELS, "info"),
  };
}

/** Whether requests may address, and so create, this group. */
export function mayUseGroup({ defaultGroup, groups }: WorkersConfig, group: string): boolean {
  if (!isGroupName(group)) return false;
  if (group === defaultGroup) return true;
  return groups.some((pattern) =>
    pattern.endsWith("*") ? group.startsWith(pattern.slice(0, -1)) : group === pattern,
  );
}

/** The binding of the objects' class. @throws EngineError `invalidConfig`. */
export function raftNamespace(env: WorkersEnv): ObjectNamespace {
  const { RAFT } = env as { readonly RAFT?: ObjectNamespace };
  if (RAFT !== undefined && typeof RAFT.idFromName === "function") return RAFT;
  throw invalid("there is no Durable Object binding named RAFT");
}

class Variables {
  readonly #env: Readonly<Record<string, unknown>>;

  constructor(env: WorkersEnv) {
    this.#env = env as Readonly<Record<string, unknown>>;
  }

  text(name: string, byDefault: string): string {
    const value = this.#env[name];
    if (value === undefined || value === null || value === "") return byDefault;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    if (typeof value !== "string") throw invalid(`${name} must be text`);
    return value.trim();
  }

  /** Null if it is not set. Nothing of it is told. */
  secret(name: string): string | null {
    const text = this.text(name, "");
    if (text === "" || text.length >= MIN_SECRET_LENGTH) return text === "" ? null : text;
    throw invalid(`${name}: at least ${MIN_SECRET_LENGTH} characters are needed, ${text.length} are given`);
  }

  list(name: string): readonly string[] {
    const text = this.text(name, "");
    return text === "" ? [] : [...new Set(text.split(",").map((part) => part.trim()))];
  }

  number(
    name: string,
    { min, max }: { readonly min: number; readonly max: number },
    byDefault: number,
  ): number {
    const text = this.text(name, String(byDefault));
    const value = Number(text);
    if (/^[0-9]+$/.test(text) && value >= min && value <= max) return value;
    throw invalid(`${name} must be a whole number between ${min} and ${max}, not "${text}"`);
  }

  oneOf<T extends string>(name: string, values: readonly T[], byDefault: T): T {
    const text = this.text(name, byDefault);
    const value = values.find((each) => each === text);
    if (value === undefined) throw invalid(`${name} must be one of ${values.join(", ")}, not "${text}"`);
    return value;
  }
}

function invalid(detail: string): EngineError {
  return new EngineError("invalidConfig", { detail });
}
