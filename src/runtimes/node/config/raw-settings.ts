import { EngineError } from "../../../core/errors/index.ts";
import { suggestion } from "./nearest.ts";
import { envName, optionName, type Setting, SETTINGS, UNSUPPORTED } from "./settings.ts";

/** A setting as it was written, and where: errors name that place. */
export interface RawValue {
  readonly text: string;
  readonly origin: string;
}

/** Setting name → its value. */
export type RawSettings = ReadonlyMap<string, RawValue>;

/** Variables of our own in the environment that are no server settings. */
const OTHER_VARIABLES: readonly string[] = ["D_ENGINE_ENDPOINTS", "D_ENGINE_TOKEN"];

export function invalid(detail: string): EngineError {
  return new EngineError("invalidConfig", { detail });
}

/** The first source that names a setting wins. */
export function mergeSettings(...sources: readonly RawSettings[]): RawSettings {
  const merged = new Map<string, RawValue>();
  for (const source of sources) {
    for (const [name, value] of source) {
      if (!merged.has(name)) merged.set(name, value);
    }
  }
  return merged;
}

/** Settings in the environment. Unknown names with a known prefix are only warned of, as etcd does. */
export function settingsFromEnv(env: Readonly<Record<string, string | undefined>>): {
  readonly settings: RawSettings;
  readonly warnings: readonly string[];
} {
  const settings = new Map<string, RawValue>();
  const warnings: string[] = [];
  const byVariable = new Map([...SETTINGS.values()].map((setting) => [setting.env, setting]));
  const unsupported = new Map([...UNSUPPORTED].map(([name, why]) => [envName("ETCD", name), why]));
  for (const [variable, text] of Object.entries(env)) {
    // etcd takes an empty variable for one that is not set.
    if (text === undefined || text === "" || !/^(ETCD|D_ENGINE)_/.test(variable)) continue;
    const setting = byVariable.get(variable);
    const why = unsupported.get(variable);
    if (setting !== undefined) settings.set(setting.name, { text, origin: variable });
    else if (why !== undefined) throw invalid(`${variable} is not supported yet: ${why}`);
    else if (!OTHER_VARIABLES.includes(variable)) {
      warnings.push(`unknown environment variable ${variable}${suggestion(variable, byVariable.keys())}`);
    }
  }
  return { settings, warnings };
}

/** Settings in a JSON configuration file: an object with flag names as keys. */
export function settingsFromJson(text: string, path: string): RawSettings {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw invalid(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (!isRecord(parsed)) throw invalid(`${path} must hold a JSON object of settings`);
  const settings = new Map<string, RawValue>();
  for (const [name, value] of Object.entries(parsed)) {
    const origin = `"${name}" in ${path}`;
    if (name === "config-file") throw invalid(`${origin} is not possible: one file does not name another`);
    settings.set(knownSetting(name, origin).name, { text: asText(value, origin), origin });
  }
  return settings;
}

/** Settings given to EmbeddedEngine. */
export function settingsFromOptions(options: Readonly<Record<string, unknown>>): RawSettings {
  const byOption = new Map([...SETTINGS.keys()].map((name) => [optionName(name), name]));
  const settings = new Map<string, RawValue>();
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const origin = `option ${option}`;
    const name = byOption.get(option);
    if (name === undefined) {
      throw invalid(`there is no ${origin}${suggestion(option, byOption.keys())}`);
    }
    const text =
      name === "initial-cluster" && isRecord(value) ? clusterText(value, origin) : asText(value, origin);
    settings.set(name, { text, origin });
  }
  return settings;
}

/** The setting of that name; refuses unknown ones with a suggestion, and etcd's others with a reason. */
export function knownSetting(name: string, origin: string, prefix = ""): Setting {
  const setting = SETTINGS.get(name);
  if (setting !== undefined) return setting;
  const why = UNSUPPORTED.get(name);
  if (why !== undefined) throw invalid(`${origin} is not supported yet: ${why}`);
  throw invalid(`${origin} is not a known setting${suggestion(name, SETTINGS.keys(), prefix)}`);
}

function asText(value: unknown, origin: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (Array.isArray(value) && value.every((part) => typeof part === "string")) return value.join(",");
  throw invalid(`${origin} must be a string, a number, true, false or a list of strings`);
}

/** `{ n1: "http://a:2380" }` in etcd's notation. */
function clusterText(members: Readonly<Record<string, unknown>>, origin: string): string {
  return Object.entries(members)
    .flatMap(([name, urls]) =>
      asText(urls, origin)
        .split(",")
        .map((url) => `${name}=${url}`),
    )
    .join(",");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
