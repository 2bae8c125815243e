import { suggestion } from "./nearest.ts";
import { invalid, type RawValue } from "./raw-settings.ts";

/** Where a member keeps what it must not forget. */
export type StorageLocation =
  | { readonly type: "sqlite"; readonly dir: string }
  | { readonly type: "memory" }
  | ObjectLocation;

/** Objects of a store that other processes can reach too. */
export interface ObjectLocation {
  readonly type: "s3" | "gs" | "r2" | "dynamodb";
  /** Bucket or table. */
  readonly container: string;
  /** Without slashes around it; may be empty. */
  readonly prefix: string;
  readonly endpoint?: string;
  readonly region?: string;
  /** R2: whose bucket it is. */
  readonly account?: string;
  /** DynamoDB: see its adapter. */
  readonly shards?: number;
  readonly createTable?: boolean;
  /** How long a write may wait for others to share its request, in milliseconds. */
  readonly lingerMs?: number;
}

/** Whether processes on other machines can reach it, and take it over. */
export function isShared(location: StorageLocation): location is ObjectLocation {
  return location.type !== "sqlite" && location.type !== "memory";
}

type ObjectOption = "endpoint" | "region" | "account" | "shards" | "createTable" | "lingerMs";

const OPTIONS: Readonly<Record<ObjectLocation["type"], readonly ObjectOption[]>> = {
  s3: ["region", "endpoint", "lingerMs"],
  gs: ["endpoint", "lingerMs"],
  r2: ["account", "endpoint", "lingerMs"],
  dynamodb: ["region", "endpoint", "shards", "createTable", "lingerMs"],
};

const FORMS =
  "sqlite:DIR, memory:, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, r2://BUCKET/PREFIX or dynamodb://TABLE/PREFIX";
const MAX_LINGER_MS = 10_000;
const MAX_SHARDS = 64;

/** @throws EngineError `invalidConfig`. */
export function parseStorageUrl({ text, origin }: RawValue): StorageLocation {
  const [, scheme, rest] = /^([a-z0-9]+):(.*)$/.exec(text.trim()) ?? [];
  if (rest === undefined) throw invalid(`${origin} must be ${FORMS}`);
  switch (scheme) {
    case "sqlite":
      if (rest === "") throw invalid(`${origin}: sqlite: must be followed by a directory`);
      return { type: "sqlite", dir: rest };
    case "memory":
      if (rest !== "") throw invalid(`${origin}: memory: has nothing after it`);
      return { type: "memory" };
    case "s3":
    case "gs":
    case "r2":
    case "dynamodb":
      return objectLocation(scheme, rest, origin);
    default:
      throw invalid(`${origin}: there is no storage of the kind ${scheme}: ${FORMS}`);
  }
}

function objectLocation(type: ObjectLocation["type"], rest: string, origin: string): ObjectLocation {
  // Not quoted in the message: somebody may have put a password into it.
  if (rest.includes("@")) {
    throw invalid(`${origin} must hold no credentials: the store's SDK takes them from the environment`);
  }
  const [, container, path = "", query = ""] =
    /^\/\/([\w.-]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(rest) ?? [];
  if (container === undefined)
    throw invalid(`${origin}: ${type}:${rest} is not of the form ${type}://NAME/PREFIX`);
  const prefix = path.replace(/\/+$/, "");
  if (!/^(?:[\w.-]+(?:\/[\w.-]+)*)?$/.test(prefix)) {
    throw invalid(
      `${origin}: "${path}" must be letters, digits, dots, dashes and underscores between single slashes`,
    );
  }
  return { type, container, prefix, ...objectOptions(type, query, origin) };
}

function objectOptions(
  type: ObjectLocation["type"],
  query: string,
  origin: string,
): Omit<ObjectLocation, "type" | "container" | "prefix"> {
  const options: { [option in ObjectOption]?: string } = {};
  for (const [name, value] of new URLSearchParams(query)) {
    const known = OPTIONS[type].find((option) => option === name);
    if (known === undefined) {
      throw invalid(
        `${origin}: ${type}: has no option "${name}"${suggestion(name, OPTIONS[type])}; it has ${OPTIONS[type].join(", ")}`,
      );
    }
    if (options[known] !== undefined) throw invalid(`${origin}: ${name} is given twice`);
    if (value === "") throw invalid(`${origin}: ${name} needs a value`);
    options[known] = value;
  }
  const { endpoint, region, account, shards, createTable, lingerMs } = options;
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw invalid(`${origin}: endpoint must be an http(s) URL, not "${endpoint}"`);
  }
  if (type === "r2" && (endpoint === undefined) === (account === undefined)) {
    throw invalid(`${origin}: r2: needs account=ID, or else the endpoint of the bucket's jurisdiction`);
  }
  if (account !== undefined && !/^[0-9a-f]{32}$/.test(account)) {
    throw invalid(`${origin}: account must be the 32 hexadecimal digits of a Cloudflare account`);
  }
  if (createTable !== undefined && createTable !== "true" && createTable !== "false") {
    throw invalid(`${origin}: createTable must be true or false, not "${createTable}"`);
  }
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(account === undefined ? {} : { account }),
    ...(shards === undefined ? {} : { shards: wholeNumber("shards", shards, 1, MAX_SHARDS, origin) }),
    ...(createTable === undefined ? {} : { createTable: createTable === "true" }),
    ...(lingerMs === undefined
      ? {}
      : { lingerMs: wholeNumber("lingerMs", lingerMs, 0, MAX_LINGER_MS, origin) }),
  };
}

function wholeNumber(name: string, text: string, min: number, max: number, origin: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(`${origin}: ${name} must be a whole number from ${min} to ${max}, not "${text}"`);
}
