import type { Consistency } from "../../../core/node/index.ts";
import { prefixRange } from "../../../core/node/index.ts";
import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { ExitCode } from "./exit-codes.ts";
import { base64, bytes, integer, list, object } from "./replies.ts";

const CONSISTENCIES: readonly Consistency[] = ["linearizable", "lease", "eventual"];

export const GET_OPTIONS: OptionTable = new Map([
  ["prefix", "switch"],
  ["keys-only", "switch"],
  ["limit", "value"],
  ["rev", "value"],
  ["consistency", "value"],
]);

export const GET_HELP = `d-engine get <key> [options]

Prints the value of a key, or with --prefix each key and its value on lines of their own.

  --prefix              every key that begins with <key>; "" means all
  --keys-only           leave values out
  --limit <n>           at most so many keys
  --rev <revision>      as of an earlier revision
  --consistency <how>   linearizable, lease or eventual (default: the server's)
`;

export async function get(context: ClientContext): Promise<ExitCode> {
  const [key] = exactly(context, ["key"]);
  const prefix = context.has("prefix");
  const consistency = context.option("consistency");
  if (consistency !== undefined && !CONSISTENCIES.some((known) => known === consistency)) {
    throw invalid(`--consistency must be one of ${CONSISTENCIES.join(", ")}, not "${consistency}"`);
  }
  const reply = await context.api.read("/v3/kv/range", {
    ...keys(key, prefix),
    keys_only: context.has("keys-only"),
    limit: context.number("limit") ?? 0,
    revision: context.number("rev") ?? 0,
    ...(consistency === undefined ? {} : { consistency }),
  });
  const kvs = list(reply, "kvs");
  if (context.has("json")) printJson(context, reply);
  else for (const kv of kvs) printEntry(context, kv, prefix);
  return kvs.length === 0 && !prefix ? ExitCode.notFound : ExitCode.ok;
}

function printEntry(context: ClientContext, kv: JsonObject, withKey: boolean): void {
  const keysOnly = context.has("keys-only");
  if (withKey || keysOnly) printLine(context.terminal, bytes(kv, "key"));
  if (!keysOnly) printLine(context.terminal, bytes(kv, "value"));
}

/** Bytes as they are, whatever they are, and a line end. */
export function printLine(terminal: ClientContext["terminal"], content: Uint8Array): void {
  terminal.out(content);
  terminal.out("\n");
}

export const PUT_OPTIONS: OptionTable = new Map([
  ["lease", "value"],
  ["ttl-ms", "value"],
]);

export const PUT_HELP = `d-engine put <key> <value> [options]

Writes a value; "-" reads it from standard input. Prints the revision of the write.

  --lease <id>   the key goes when this lease ends
  --ttl-ms <ms>  the key goes after so many milliseconds, unless it is put anew
`;

export async function put(context: ClientContext): Promise<ExitCode> {
  const [key, given] = exactly(context, ["key", "value"]);
  const value = given === "-" ? await context.terminal.readInput() : given;
  const lease = context.option("lease");
  const ttlMs = context.number("ttl-ms");
  const reply = await context.api.write("/v3/kv/put", {
    key: base64(key),
    value: base64(value),
    ...(lease === undefined ? {} : { lease: leaseId(lease) }),
    ...(ttlMs === undefined ? {} : { ttl_ms: ttlMs }),
  });
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`revision ${integer(object(reply, "header"), "revision")}\n`);
  return ExitCode.ok;
}

export const DEL_OPTIONS: OptionTable = new Map([["prefix", "switch"]]);

export const DEL_HELP = `d-engine del <key> [--prefix]

Removes a key, or with --prefix every key that begins with it, and prints how many there were.
`;

export async function del(context: ClientContext): Promise<ExitCode> {
  const [key] = exactly(context, ["key"]);
  const prefix = context.has("prefix");
  const reply = await context.api.write("/v3/kv/deleterange", keys(key, prefix));
  const deleted = integer(reply, "deleted");
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`${deleted}\n`);
  return deleted === 0n && !prefix ? ExitCode.notFound : ExitCode.ok;
}

/** What a request names by a key, or a prefix. */
export function keys(key: string, prefix: boolean): { readonly key: string; readonly range_end?: string } {
  if (!prefix) return { key: base64(key) };
  const range = prefixRange(new TextEncoder().encode(key));
  return { key: base64(range.key), range_end: base64(range.rangeEnd) };
}

export function printJson({ terminal }: ClientContext, reply: JsonObject): void {
  terminal.out(`${JSON.stringify(reply)}\n`);
}

/** The positionals, of which there must be as many as names. */
export function exactly<const Names extends readonly string[]>(
  { positionals }: ClientContext,
  names: Names,
): { readonly [I in keyof Names]: string } {
  const missing = names[positionals.length];
  if (missing !== undefined) throw invalid(`<${missing}> is missing`);
  const extra = positionals[names.length];
  if (extra !== undefined) throw invalid(`"${extra}" is one argument too many`);
  return positionals as unknown as { readonly [I in keyof Names]: string };
}

/** A lease id as the API wants it: decimal, of 64 bits with a sign. */
export function leaseId(text: string): string {
  const sign = text.startsWith("-") ? -1n : 1n;
  const digits = sign < 0n ? text.slice(1) : text;
  const value = /^[0-9a-f]{1,16}$/i.test(digits) ? sign * BigInt(`0x${digits}`) : 0n;
  if (value === 0n || BigInt.asIntN(64, value) !== value) {
    throw invalid(`"${text}" is no lease id: they are hexadecimal numbers, as lease list prints them`);
  }
  return String(value);
}
