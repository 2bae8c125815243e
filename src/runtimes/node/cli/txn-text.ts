import { parseArguments } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import { keys, leaseId } from "./kv-commands.ts";
import { base64 } from "./replies.ts";

/*
 * etcdctl's notation of transactions: lines of comparisons, of what is done if all hold, and of what is done if not,
 * with an empty line after each part.
 *
 *   value("key") = "text"      mod, create, version and lease with numbers; = != > <
 *   put key value              get and del, with the options of these commands; "..." with escapes, '...' without
 */

/** One comparison, as the JSON API has it. @throws EngineError `invalidConfig`. */
export function parseComparison(line: string): JsonObject {
  const [, word, key, sign, operand] = COMPARISON.exec(line) ?? [];
  if (word === undefined || key === undefined || sign === undefined || operand === undefined) {
    throw invalid(`"${line}" is not of the form mod("key") > "0"`);
  }
  const target = Object.hasOwn(TARGETS, word) ? TARGETS[word] : undefined;
  if (target === undefined) {
    throw invalid(`"${word}" in "${line}" must be one of ${Object.keys(TARGETS).join(", ")}`);
  }
  const [name, field] = target;
  const value = unquoted(operand);
  const common = { key: base64(unquoted(key)), target: name, result: SIGNS[sign] };
  if (field === "value") return { ...common, value: base64(value) };
  if (field === "lease") return { ...common, lease: value === "0" ? "0" : leaseId(value) };
  if (!/^\d{1,18}$/.test(value)) throw invalid(`"${value}" in "${line}" must be a whole number`);
  return { ...common, [field]: value };
}

/** One operation, as the JSON API has it. @throws EngineError `invalidConfig`. */
export function parseOperation(line: string): JsonObject {
  const [command = "", ...args] = words(line);
  const operation = Object.hasOwn(OPERATIONS, command) ? OPERATIONS[command] : undefined;
  if (operation === undefined) throw invalid(`"${line}" must begin with get, put or del`);
  return operation(args, line);
}

type Field = "value" | "lease" | "mod_revision" | "create_revision" | "version";

const TARGETS: Readonly<Record<string, readonly [target: string, field: Field] | undefined>> = {
  value: ["VALUE", "value"],
  val: ["VALUE", "value"],
  mod: ["MOD", "mod_revision"],
  m: ["MOD", "mod_revision"],
  create: ["CREATE", "create_revision"],
  c: ["CREATE", "create_revision"],
  version: ["VERSION", "version"],
  ver: ["VERSION", "version"],
  lease: ["LEASE", "lease"],
};

const SIGNS: Readonly<Record<string, string>> = {
  "=": "EQUAL",
  "!=": "NOT_EQUAL",
  ">": "GREATER",
  "<": "LESS",
};

const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`;
const COMPARISON = new RegExp(String.raw`^\s*(\w+)\(\s*(${QUOTED})\s*\)\s*(!?=|>|<)\s*(${QUOTED})\s*$`);
const WORD = new RegExp(String.raw`\s+|(${QUOTED})|'([^']*)'|([^\s"']+)`, "y");

const GET = new Map([
  ["prefix", "switch"],
  ["keys-only", "switch"],
  ["limit", "value"],
  ["rev", "value"],
] as const);
const PUT = new Map([
  ["lease", "value"],
  ["ttl-ms", "value"],
  ["prev-kv", "switch"],
  ["ignore-value", "switch"],
  ["ignore-lease", "switch"],
] as const);
const DEL = new Map([
  ["prefix", "switch"],
  ["prev-kv", "switch"],
] as const);

const OPERATIONS: Readonly<
  Record<string, ((args: readonly string[], line: string) => JsonObject) | undefined>
> = {
  get(args, line) {
    const { options, positionals } = parseArguments(args, GET);
    const [key] = exactly(positionals, 1, line);
    const range = {
      ...keys(key!, options.has("prefix")),
      keys_only: options.has("keys-only"),
      limit: options.get("limit") ?? "0",
      revision: options.get("rev") ?? "0",
    };
    return { request_range: range };
  },
  put(args, line) {
    const { options, positionals } = parseArguments(args, PUT);
    const ignoresValue = options.has("ignore-value");
    const [key, value = ""] = exactly(positionals, ignoresValue ? 1 : 2, line);
    const [lease, ttlMs] = [options.get("lease"), options.get("ttl-ms")];
    const put = {
      key: base64(key!),
      value: base64(value),
      prev_kv: options.has("prev-kv"),
      ignore_value: ignoresValue,
      ignore_lease: options.has("ignore-lease"),
      ...(lease === undefined ? {} : { lease: leaseId(lease) }),
      ...(ttlMs === undefined ? {} : { ttl_ms: ttlMs }),
    };
    return { request_put: put };
  },
  del(args, line) {
    const { options, positionals } = parseArguments(args, DEL);
    const [key] = exactly(positionals, 1, line);
    return {
      request_delete_range: { ...keys(key!, options.has("prefix")), prev_kv: options.has("prev-kv") },
    };
  },
};

function exactly(positionals: readonly string[], count: number, line: string): readonly string[] {
  if (positionals.length === count) return positionals;
  throw invalid(`"${line}" must have ${count === 1 ? "a key" : "a key and a value"}, and nothing else`);
}

/** As a shell would: pieces that touch are one word. */
function words(line: string): readonly string[] {
  const found: string[] = [];
  let word: string | null = null;
  WORD.lastIndex = 0;
  while (WORD.lastIndex < line.length) {
    const match = WORD.exec(line);
    if (match === null) throw invalid(`a quotation mark in "${line}" is not closed`);
    const [, quoted, literal, bare] = match;
    const piece = quoted === undefined ? (literal ?? bare) : unquoted(quoted);
    if (piece !== undefined) {
      word = (word ?? "") + piece;
      continue;
    }
    if (word !== null) found.push(word);
    word = null;
  }
  return word === null ? found : [...found, word];
}

const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/g;
const CHARACTERS: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\u0007",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

/** What stands between quotation marks, with Go's escapes, as far as they are text. */
function unquoted(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(ESCAPE, (escape, hex?: string, u?: string, long?: string, octal?: string, one?: string) => {
      const code = hex ?? u ?? long;
      const point = code === undefined ? Number.parseInt(octal ?? "", 8) : Number.parseInt(code, 16);
      if (Number.isNaN(point)) {
        const character = Object.hasOwn(CHARACTERS, one ?? "") ? CHARACTERS[one ?? ""] : undefined;
        if (character === undefined) throw invalid(`${escape} in ${quoted} means nothing`);
        return character;
      }
      // A byte by itself is no text from there on.
      const isByte = hex !== undefined || octal !== undefined;
      if (point > (isByte ? 0x7f : 0x10ffff)) throw invalid(`${escape} in ${quoted} is no character`);
      return String.fromCodePoint(point);
    });
}
