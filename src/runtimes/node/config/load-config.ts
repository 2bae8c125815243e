import { readFileSync } from "node:fs";
import { settingsFromArguments } from "./arguments.ts";
import {
  invalid,
  mergeSettings,
  type RawSettings,
  settingsFromEnv,
  settingsFromJson,
  settingsFromOptions,
} from "./raw-settings.ts";
import { type ServerConfig, serverConfig } from "./server-config.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A configuration that has been checked. */
export interface LoadedConfig {
  readonly config: ServerConfig;
  /** Nothing wrong enough to refuse. */
  readonly warnings: readonly string[];
}

/**
 * A server's configuration from its command line, the environment and the file that `--config-file` (or
 * `D_ENGINE_CONFIG_FILE`) names, in this order. Null when help was asked for.
 */
export function loadServerConfig(args: readonly string[], env: Env): LoadedConfig | null {
  const { settings, configFile, help } = settingsFromArguments(args);
  if (help) return null;
  const { D_ENGINE_CONFIG_FILE: fileInEnv, ...rest } = env;
  const environment = settingsFromEnv(rest);
  const file =
    readConfigFile(configFile, "--config-file") ?? readConfigFile(fileInEnv, "D_ENGINE_CONFIG_FILE");
  const merged = mergeSettings(settings, environment.settings, file ?? new Map());
  return { config: serverConfig(merged, "server"), warnings: environment.warnings };
}

/** An embedded engine's configuration from its options and the environment, in this order. */
export function loadEmbeddedConfig(options: Readonly<Record<string, unknown>>, env: Env): LoadedConfig {
  const environment = settingsFromEnv(env);
  const merged = mergeSettings(settingsFromOptions(options), environment.settings);
  return { config: serverConfig(merged, "embedded"), warnings: environment.warnings };
}

function readConfigFile(path: string | undefined, origin: string): RawSettings | null {
  if (path === undefined || path === "") return null;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw invalid(`${origin}: cannot read ${path}: ${(error as Error).message}`);
  }
  return settingsFromJson(text, path);
}
