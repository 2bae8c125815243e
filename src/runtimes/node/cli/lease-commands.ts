import { setTimeout as sleep } from "node:timers/promises";
import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { ExitCode } from "./exit-codes.ts";
import { exactly, leaseId, printJson } from "./kv-commands.ts";
import { bytes, id, integer, list, object } from "./replies.ts";

export const LEASE_OPTIONS: OptionTable = new Map([
  ["id", "value"],
  ["ttl-ms", "value"],
  ["once", "switch"],
  ["keys", "switch"],
]);

export const LEASE_HELP = `d-engine lease grant <seconds> [--id <id>]
d-engine lease grant --ttl-ms <milliseconds>
d-engine lease revoke <id>
d-engine lease keep-alive <id> [--once]
d-engine lease timetolive <id> [--keys]
d-engine lease list

Grants, ends and renews leases. Ids are hexadecimal, as in etcdctl.

  --id <id>      choose the lease's id (default: the server does)
  --ttl-ms <ms>  a time to live in milliseconds, below a second too
  --once         renew once; without it, for as long as the lease lives
  --keys         also print the keys attached to the lease
`;

const ACTIONS: Readonly<Record<string, (context: ClientContext) => Promise<ExitCode>>> = {
  grant,
  revoke,
  "keep-alive": keepAlive,
  timetolive: timeToLive,
  list: listLeases,
};

export async function lease(context: ClientContext): Promise<ExitCode> {
  const [name, ...positionals] = context.positionals;
  if (name === undefined) throw invalid(`<action> is missing: ${Object.keys(ACTIONS).join(", ")}`);
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) throw invalid(`there is no action ${name}: ${Object.keys(ACTIONS).join(", ")}`);
  return await action({ ...context, positionals });
}

async function grant(context: ClientContext): Promise<ExitCode> {
  const ttlMs = context.number("ttl-ms");
  const ttl = ttlMs === undefined ? exactly(context, ["seconds"])[0] : (exactly(context, []), "0");
  if (!/^\d{1,15}$/.test(ttl)) throw invalid(`<seconds> must be a whole number, not "${ttl}"`);
  const given = context.option("id");
  const reply = await context.api.write("/v3/lease/grant", {
    TTL: ttl,
    ...(ttlMs === undefined ? {} : { ttl_ms: ttlMs }),
    ...(given === undefined ? {} : { ID: leaseId(given) }),
  });
  return print(context, reply, `lease ${id(reply, "ID")} granted with TTL(${spanOf(reply)})`);
}

async function revoke(context: ClientContext): Promise<ExitCode> {
  const [text] = exactly(context, ["id"]);
  const reply = await context.api.write("/v3/lease/revoke", { ID: leaseId(text) });
  return print(context, reply, `lease ${text} revoked`);
}

async function keepAlive(context: ClientContext): Promise<ExitCode> {
  const [text] = exactly(context, ["id"]);
  const ID = leaseId(text);
  for (;;) {
    const reply = object(await context.api.read("/v3/lease/keepalive", { ID }), "result");
    const seconds = integer(reply, "TTL");
    if (seconds === 0n) {
      print(context, reply, `lease ${text} expired or revoked.`);
      return ExitCode.notFound;
    }
    print(context, reply, `lease ${text} keepalived with TTL(${spanOf(reply)})`);
    if (context.has("once")) return ExitCode.ok;
    const ttlMs = Number(integer(reply, "ttl_ms")) || Number(seconds) * 1000;
    await sleep(Math.min(ttlMs / 3, MAX_PAUSE_MS));
  }
}

/** A renewal a day shows at least that somebody is there. */
const MAX_PAUSE_MS = 86_400_000;

async function timeToLive(context: ClientContext): Promise<ExitCode> {
  const [text] = exactly(context, ["id"]);
  const withKeys = context.has("keys");
  const reply = await context.api.read("/v3/lease/timetolive", { ID: leaseId(text), keys: withKeys });
  if (integer(reply, "TTL") < 0n) {
    print(context, reply, `lease ${text} already expired`);
    return ExitCode.notFound;
  }
  const keys = Array.isArray(reply["keys"]) ? reply["keys"].map((_, i) => keyText(reply, i)) : [];
  const attached = withKeys ? `, attached keys([${keys.join(" ")}])` : "";
  const granted = `lease ${text} granted with TTL(${integer(reply, "grantedTTL")}s)`;
  return print(context, reply, `${granted}, remaining(${integer(reply, "TTL")}s)${attached}`);
}

async function listLeases(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const reply = await context.api.read("/v3/lease/leases", {});
  const ids = list(reply, "leases").map((each) => id(each, "ID"));
  return print(context, reply, [`found ${ids.length} leases`, ...ids].join("\n"));
}

function print(context: ClientContext, reply: JsonObject, line: string): ExitCode {
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`${line}\n`);
  return ExitCode.ok;
}

/** Seconds, or milliseconds where seconds do not say it all. */
function spanOf(reply: JsonObject): string {
  const ms = integer(reply, "ttl_ms");
  return ms > 0n ? `${ms}ms` : `${integer(reply, "TTL")}s`;
}

function keyText(reply: JsonObject, index: number): string {
  return new TextDecoder().decode(bytes({ key: (reply["keys"] as readonly unknown[])[index] }, "key"));
}
