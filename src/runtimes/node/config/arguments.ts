import { parseArgs } from "node:util";
import { invalid, knownSetting, type RawSettings, type RawValue } from "./raw-settings.ts";
import { suggestion } from "./nearest.ts";
import { SETTINGS } from "./settings.ts";

/** What stands on a command line besides its options. */
export interface ParsedArguments {
  /** Option name → value; a switch's value is "true" or what follows its equals sign. */
  readonly options: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
}

/** Option name → whether it takes a value. */
export type OptionTable = ReadonlyMap<string, "value" | "switch">;

const SHORT_OPTIONS: Readonly<Record<string, string>> = { h: "help", i: "interactive" };

/**
 * Reads `--name value`, `--name=value`, `--switch` and positionals, in any order; `--` ends the options. Refuses
 * unknown and repeated options and missing values.
 *
 * @param unknown makes the error for an option that is not in the table.
 */
export function parseArguments(
  args: readonly string[],
  table: OptionTable,
  unknown: (name: string) => Error = (name) =>
    invalid(`there is no option --${name}${suggestion(name, table.keys(), "--")}`),
): ParsedArguments {
  // Not strict, because its messages could not suggest anything; the tokens are checked below instead.
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      [...table].map(([name, kind]) => [name, { type: kind === "value" ? "string" : "boolean" }]),
    ),
  });
  const options = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const name = token.rawName.startsWith("--") ? token.name : (SHORT_OPTIONS[token.name] ?? token.name);
    const kind = table.get(name);
    if (kind === undefined) throw unknown(name);
    if (options.has(name)) throw invalid(`--${name} is given twice`);
    if (kind === "value" && !hasValue(token)) throw invalid(`--${name} needs a value`);
    options.set(name, token.value ?? "true");
  }
  return { options, positionals };
}

/** Server settings among the arguments of `serve`, and the other options it has. */
export function settingsFromArguments(args: readonly string[]): {
  readonly settings: RawSettings;
  readonly configFile: string | undefined;
  readonly help: boolean;
} {
  const table = new Map<string, "value" | "switch">([
    ["config-file", "value"],
    ["help", "switch"],
  ]);
  for (const { name, kind } of SETTINGS.values()) table.set(name, kind === "switch" ? "switch" : "value");
  const { options, positionals } = parseArguments(args, table, (name) => {
    knownSetting(name, `--${name}`, "--");
    return invalid(`--${name} is not a known setting`);
  });
  const [stray] = positionals;
  if (stray !== undefined) throw invalid(`"${stray}" belongs to no flag`);
  const settings = new Map<string, RawValue>();
  for (const [name, text] of options) {
    if (SETTINGS.has(name)) settings.set(name, { text, origin: `--${name}` });
  }
  return { settings, configFile: options.get("config-file"), help: options.has("help") };
}

function hasValue(token: {
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}): boolean {
  if (token.value === undefined || token.value === "") return false;
  // `--name --data-dir x`: the value was forgotten. Whoever means it writes `--name=--data-dir`.
  return token.inlineValue === true || !token.value.startsWith("--");
}
