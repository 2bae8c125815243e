import { readFileSync } from "node:fs";
import { invalid } from "../config/raw-settings.ts";
import type { OptionTable, ParsedArguments } from "../config/arguments.ts";
import { parseArguments } from "../config/arguments.ts";
import { parseUrlList } from "../config/urls.ts";
import { ApiClient } from "./api-client.ts";
import { split } from "./auth-commands.ts";
import type { Terminal } from "./terminal.ts";
import { type Credentials, UserLogin } from "./user-login.ts";

/** What every command that talks to a cluster takes. */
const COMMON: OptionTable = new Map([
  ["endpoints", "value"],
  ["token", "value"],
  ["user", "value"],
  ["cacert", "value"],
  ["cert", "value"],
  ["key", "value"],
  ["timeout", "value"],
  ["json", "switch"],
  ["help", "switch"],
]);

export const COMMON_OPTIONS_HELP: string = `Options of every client command
  --endpoints <urls>   client URLs, tried in turn (default http://127.0.0.1:2379) [D_ENGINE_ENDPOINTS]
  --token <token>      client token [D_ENGINE_TOKEN]
  --user <name>[:<password>]  whose rights to use; a password that is neither here nor in D_ENGINE_PASSWORD is
                       asked for [D_ENGINE_USER]
  --cacert <file>      authority of the servers' certificates (PEM)
  --cert <file>        own certificate (PEM), with --key <file>
  --timeout <ms>       how long to wait for an endpoint (default 10000)
  --json               print the API's reply as it is
`;

/** One command's arguments, and the way to the cluster. */
export interface ClientContext {
  readonly api: ApiClient;
  readonly terminal: Terminal;
  readonly positionals: readonly string[];
  /** An option's value; undefined when it is not given. */
  option(name: string): string | undefined;
  has(name: string): boolean;
  /** A whole number; undefined when the option is not given. */
  number(name: string): number | undefined;
}

/** Reads a command's arguments; null when help was asked for. */
export function clientContext(
  args: readonly string[],
  own: OptionTable,
  terminal: Terminal,
): ClientContext | null {
  const parsed = parseArguments(args, new Map([...COMMON, ...own]));
  const { options, positionals } = parsed;
  if (options.has("help")) return null;
  const number = (name: string): number | undefined => {
    const text = options.get(name);
    if (text === undefined) return undefined;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw invalid(`--${name} must be a whole number, not "${text}"`);
  };
  return {
    api: apiClient(parsed, number("timeout") ?? 10_000, terminal),
    terminal,
    positionals,
    option: (name) => options.get(name),
    has: (name) => options.get(name) === "true",
    number,
  };
}

function apiClient({ options }: ParsedArguments, timeoutMs: number, terminal: Terminal): ApiClient {
  const { env } = terminal;
  const fromFlag = options.get("endpoints");
  const endpoints = fromFlag ?? env["D_ENGINE_ENDPOINTS"] ?? "http://127.0.0.1:2379";
  const token = options.get("token") ?? env["D_ENGINE_TOKEN"];
  const credentials = credentialsOf(options, terminal);
  if (options.has("cert") !== options.has("key")) throw invalid("--cert and --key belong together");
  return new ApiClient({
    endpoints: parseUrlList(endpoints, fromFlag === undefined ? "D_ENGINE_ENDPOINTS" : "--endpoints"),
    timeoutMs,
    ...(credentials === null ? {} : { login: new UserLogin(credentials) }),
    headers: token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` },
    tls: {
      ...pemFile(options, "cacert", "ca"),
      ...pemFile(options, "cert", "cert"),
      ...pemFile(options, "key", "key"),
    },
  });
}

function credentialsOf(options: ReadonlyMap<string, string>, terminal: Terminal): Credentials | null {
  const { env } = terminal;
  const [user, inline] = split(options.get("user") ?? env["D_ENGINE_USER"] ?? "");
  if (user === "") return null;
  const given = inline ?? env["D_ENGINE_PASSWORD"];
  let asked: Promise<string> | null = null;
  return {
    user,
    password: () => {
      asked ??= given === undefined ? terminal.readSecret(`Password of ${user}: `) : Promise.resolve(given);
      return asked;
    },
  };
}

function pemFile(
  options: ReadonlyMap<string, string>,
  option: string,
  name: "ca" | "cert" | "key",
): Partial<Record<"ca" | "cert" | "key", Uint8Array>> {
  const path = options.get(option);
  if (path === undefined) return {};
  try {
    return { [name]: readFileSync(path) };
  } catch (error) {
    throw invalid(`--${option}: cannot read ${path}: ${(error as Error).message}`);
  }
}
