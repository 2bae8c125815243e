import { prefixRange } from "../../../core/node/index.ts";
import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { ExitCode } from "./exit-codes.ts";
import { exactly, printJson } from "./kv-commands.ts";
import { base64, bytes, list, text, texts } from "./replies.ts";
import { table } from "./terminal.ts";

export const AUTH_OPTIONS: OptionTable = new Map();
export const USER_OPTIONS: OptionTable = new Map([["no-password", "switch"]]);
export const ROLE_OPTIONS: OptionTable = new Map([
  ["prefix", "switch"],
  ["from-key", "switch"],
]);

export const AUTH_HELP = `d-engine auth enable
d-engine auth disable
d-engine auth status

While authentication is on, everybody must say who they are (--user), and may do what their roles permit. To switch it
on there must be a user "root" with the role "root", who may do everything:

  d-engine user add root
  d-engine user grant-role root root
  d-engine auth enable
`;

export const USER_HELP = `d-engine user add <name>[:<password>] [--no-password]
d-engine user passwd <name>
d-engine user get <name>
d-engine user list
d-engine user delete <name>
d-engine user grant-role <name> <role>
d-engine user revoke-role <name> <role>

A password that is not given is asked for, or read from the first line of the input.

  --no-password   the user cannot log in with a password
`;

export const ROLE_HELP = `d-engine role add <role>
d-engine role get <role>
d-engine role list
d-engine role delete <role>
d-engine role grant-permission <role> read|write|readwrite <key> [<end>] [--prefix | --from-key]
d-engine role revoke-permission <role> <key> [<end>] [--prefix | --from-key]

A permission is for a key, for the keys up to <end>, which is not among them, or

  --prefix     for every key that begins with <key>; "" means all
  --from-key   for every key from <key> on
`;

type Action = (context: ClientContext) => Promise<ExitCode>;

export const auth: Action = (context) =>
  dispatch(context, {
    enable: (inner) => plain(inner, [], "/v3/auth/enable", () => ({}), "authentication is on"),
    disable: (inner) => plain(inner, [], "/v3/auth/disable", () => ({}), "authentication is off"),
    status: authStatus,
  });

export const user: Action = (context) =>
  dispatch(context, {
    add: addUser,
    passwd: changePassword,
    get: getUser,
    list: (inner) => names(inner, "/v3/auth/user/list", "users"),
    delete: (inner) => plain(inner, ["name"], "/v3/auth/user/delete", ([name]) => ({ name }), "deleted"),
    "grant-role": (inner) =>
      plain(
        inner,
        ["name", "role"],
        "/v3/auth/user/grant",
        ([name, role]) => ({ user: name, role }),
        "granted",
      ),
    "revoke-role": (inner) =>
      plain(inner, ["name", "role"], "/v3/auth/user/revoke", ([name, role]) => ({ name, role }), "revoked"),
  });

export const role: Action = (context) =>
  dispatch(context, {
    add: (inner) => plain(inner, ["role"], "/v3/auth/role/add", ([name]) => ({ name }), "added"),
    get: getRole,
    list: (inner) => names(inner, "/v3/auth/role/list", "roles"),
    delete: (inner) =>
      plain(inner, ["role"], "/v3/auth/role/delete", ([name]) => ({ role: name }), "deleted"),
    "grant-permission": grantPermission,
    "revoke-permission": revokePermission,
  });

async function dispatch(
  context: ClientContext,
  actions: Readonly<Record<string, Action>>,
): Promise<ExitCode> {
  const [name, ...positionals] = context.positionals;
  const choices = Object.keys(actions).join(", ");
  if (name === undefined) throw invalid(`<action> is missing: ${choices}`);
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) throw invalid(`there is no action ${name}: ${choices}`);
  return await action({ ...context, positionals });
}

/** What is sent, and then said to be done. */
async function plain<const Names extends readonly string[]>(
  context: ClientContext,
  parameters: Names,
  path: string,
  request: (given: { readonly [I in keyof Names]: string }) => JsonObject,
  done: string,
): Promise<ExitCode> {
  const reply = await context.api.write(path, request(exactly(context, parameters)));
  return say(context, reply, done);
}

function say(context: ClientContext, reply: JsonObject, done: string): ExitCode {
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`${done}\n`);
  return ExitCode.ok;
}

async function authStatus(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const reply = await context.api.read("/v3/auth/status", {});
  const state = reply["enabled"] === true ? "on" : "off";
  return say(context, reply, `authentication is ${state}, auth revision ${String(reply["authRevision"])}`);
}

async function addUser(context: ClientContext): Promise<ExitCode> {
  const [given] = exactly(context, ["name"]);
  const [name, inline] = split(given);
  const request = context.has("no-password")
    ? { name, options: { no_password: true } }
    : { name, password: inline ?? (await newPassword(context, name)) };
  return say(context, await context.api.write("/v3/auth/user/add", request), `user ${name} added`);
}

async function changePassword(context: ClientContext): Promise<ExitCode> {
  const [name] = exactly(context, ["name"]);
  const password = await newPassword(context, name);
  const reply = await context.api.write("/v3/auth/user/changepw", { name, password });
  return say(context, reply, `the password of ${name} is another one`);
}

/** What comes before the first colon, and what after it. */
export function split(given: string): readonly [string, string | undefined] {
  const at = given.indexOf(":");
  return at === -1 ? [given, undefined] : [given.slice(0, at), given.slice(at + 1)];
}

async function newPassword({ terminal }: ClientContext, name: string): Promise<string> {
  const password = await terminal.readSecret(`Password of ${name}: `);
  if (password === "") throw invalid("the password is empty; --no-password makes a user without one");
  if (terminal.asksPeople && (await terminal.readSecret("The same again: ")) !== password) {
    throw invalid("these were two different passwords");
  }
  return password;
}

async function getUser(context: ClientContext): Promise<ExitCode> {
  const [name] = exactly(context, ["name"]);
  const reply = await context.api.read("/v3/auth/user/get", { name });
  return say(context, reply, `User: ${name}\nRoles: ${texts(reply, "roles").join(" ")}`);
}

async function names(context: ClientContext, path: string, field: string): Promise<ExitCode> {
  exactly(context, []);
  const reply = await context.api.read(path, {});
  if (context.has("json")) printJson(context, reply);
  else for (const name of texts(reply, field)) context.terminal.out(`${name}\n`);
  return ExitCode.ok;
}

async function getRole(context: ClientContext): Promise<ExitCode> {
  const [name] = exactly(context, ["role"]);
  const reply = await context.api.read("/v3/auth/role/get", { role: name });
  const rows = list(reply, "perm").map((each) => {
    const end = Buffer.from(bytes(each, "range_end"));
    const shown = end.equals(Buffer.from([0])) ? "(and all after it)" : end.toString();
    return [
      (text(each, "permType") || "READ").toLowerCase(),
      Buffer.from(bytes(each, "key")).toString(),
      shown,
    ];
  });
  return say(context, reply, table(["ACCESS", "KEY", "END"], rows).trimEnd());
}

const ACCESSES = ["read", "write", "readwrite"];

async function grantPermission(context: ClientContext): Promise<ExitCode> {
  const [name, access, ...rest] = context.positionals;
  if (name === undefined) throw invalid("<role> is missing");
  if (access === undefined || !ACCESSES.includes(access))
    throw invalid(`one of ${ACCESSES.join(", ")} is missing`);
  const perm = { permType: access.toUpperCase(), ...rangeOf(context, rest) };
  return say(context, await context.api.write("/v3/auth/role/grant", { name, perm }), "granted");
}

async function revokePermission(context: ClientContext): Promise<ExitCode> {
  const [name, ...rest] = context.positionals;
  if (name === undefined) throw invalid("<role> is missing");
  const request = { role: name, ...rangeOf(context, rest) };
  return say(context, await context.api.write("/v3/auth/role/revoke", request), "revoked");
}

function rangeOf(context: ClientContext, given: readonly string[]): JsonObject {
  const [key, end, ...more] = given;
  const [prefix, fromKey] = [context.has("prefix"), context.has("from-key")];
  if (key === undefined) throw invalid("<key> is missing");
  if (more.length > 0) throw invalid(`there is one argument too many: ${more[0]}`);
  if ([end !== undefined, prefix, fromKey].filter(Boolean).length > 1) {
    throw invalid("<end>, --prefix and --from-key exclude each other");
  }
  if (prefix) {
    const range = prefixRange(Buffer.from(key));
    return { key: base64(range.key), range_end: base64(range.rangeEnd) };
  }
  if (fromKey) return { key: base64(key === "" ? "\0" : key), range_end: base64("\0") };
  return { key: base64(key), range_end: base64(end ?? "") };
}
