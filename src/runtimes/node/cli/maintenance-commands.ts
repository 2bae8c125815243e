import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { memberId, status } from "./cluster-commands.ts";
import { CliError, ExitCode } from "./exit-codes.ts";
import { exactly, printJson } from "./kv-commands.ts";
import { base64, id, integer, object, text } from "./replies.ts";
import { table } from "./terminal.ts";

export const COMPACT_OPTIONS: OptionTable = new Map([["physical", "switch"]]);

export const COMPACT_HELP = `d-engine compact <revision> [--physical]

Forgets the history before a revision. Its own state stays readable, and so does everything newer.

  --physical  as in etcdctl, where it waits until space has been freed; here that is done while the members run
`;

export async function compact(context: ClientContext): Promise<ExitCode> {
  const [revision] = exactly(context, ["revision"]);
  if (!/^\d{1,16}$/.test(revision)) throw invalid(`<revision> must be a whole number, not "${revision}"`);
  const physical = context.has("physical");
  const reply = await context.api.write("/v3/kv/compaction", { revision, physical });
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`compacted revision ${revision}\n`);
  return ExitCode.ok;
}

export const MOVE_LEADER_OPTIONS: OptionTable = new Map();

export const MOVE_LEADER_HELP = `d-engine move-leader <id>

Has the leader hand over to another member, and waits until that leads. Ids are in hex, as member list prints them. The
leader must be among the endpoints.
`;

/** Only the leader can hand over, so it is looked for first. */
export async function moveLeader(context: ClientContext): Promise<ExitCode> {
  const [given] = exactly(context, ["id"]);
  const targetID = memberId(given);
  const { endpoint, from } = await leaderEndpoint(context);
  const reply = await context.api.ask(endpoint, "/v3/maintenance/transfer-leadership", { targetID });
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`Leadership transferred from ${from} to ${given}\n`);
  return ExitCode.ok;
}

async function leaderEndpoint({
  api,
}: ClientContext): Promise<{ readonly endpoint: string; readonly from: string }> {
  const problems: string[] = [];
  let reached = false;
  for (const endpoint of api.endpoints) {
    try {
      const reply = await api.ask(endpoint, "/v3/maintenance/status", {});
      reached = true;
      const self = id(object(reply, "header"), "member_id");
      if (id(reply, "leader") === self) return { endpoint, from: self };
      problems.push(`${endpoint}: member ${self} does not lead`);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      problems.push(`${endpoint}: ${error.message}`);
    }
  }
  const exitCode = reached ? ExitCode.failed : ExitCode.unreachable;
  throw new CliError(`the leader is not among the endpoints\n${problems.join("\n")}`, exitCode);
}

export const ENDPOINT_OPTIONS: OptionTable = new Map([["rev", "value"]]);

export const ENDPOINT_HELP = `d-engine endpoint status
d-engine endpoint health
d-engine endpoint hashkv [--rev <revision>]

Asks each endpoint, and fails when one of them does not answer: what it says of itself (as d-engine status); whether it
can answer a linearizable read; the hash of its keys, which is the same on all members at the same revision.

  --rev <revision>  as of an earlier revision, which all members must have
`;

export async function endpoint(context: ClientContext): Promise<ExitCode> {
  const [action, ...positionals] = context.positionals;
  const run = action === undefined ? undefined : ENDPOINT_ACTIONS.get(action);
  if (run === undefined) {
    throw invalid(
      `endpoint takes ${[...ENDPOINT_ACTIONS.keys()].join(", ")}${action === undefined ? "" : `, not "${action}"`}`,
    );
  }
  if (action !== "hashkv" && context.option("rev") !== undefined)
    throw invalid("--rev belongs to endpoint hashkv");
  return await run({ ...context, positionals });
}

export const HASHKV_OPTIONS: OptionTable = ENDPOINT_OPTIONS;

export const HASHKV_HELP = `d-engine hashkv [--rev <revision>]

Prints the hash of each endpoint's keys. At the same revision it is the same on all members, whatever each of them has
compacted; "d-engine endpoint hashkv" is the same command.

  --rev <revision>  as of an earlier revision, which all members must have
`;

export async function hashkv(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const revision = context.number("rev") ?? 0;
  const results = await askAll(context, "/v3/maintenance/hashkv", { revision });
  return report(context, results, "hashkv", ["ENDPOINT", "HASH", "REVISION", "COMPACTED"], (reply) => [
    text(reply, "hash"),
    String(integer(reply, "hash_revision")),
    String(integer(reply, "compact_revision")),
  ]);
}

/** As etcdctl does it: a key that nobody needs is read. */
async function health(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const request = { key: base64("health"), keys_only: true, consistency: "linearizable" };
  const results = await askAll(context, "/v3/kv/range", request);
  return report(context, results, "health", ["ENDPOINT", "HEALTH", "TOOK"], (_reply, tookMs) => [
    "healthy",
    `${tookMs.toFixed(1)} ms`,
  ]);
}

const ENDPOINT_ACTIONS: ReadonlyMap<string, (context: ClientContext) => Promise<ExitCode>> = new Map([
  ["status", status],
  ["health", health],
  ["hashkv", hashkv],
]);

interface Asked {
  readonly endpoint: string;
  readonly tookMs: number;
  readonly reply: JsonObject | null;
  readonly error: CliError | null;
}

async function askAll({ api }: ClientContext, path: string, request: JsonObject): Promise<readonly Asked[]> {
  return await Promise.all(
    api.endpoints.map(async (each) => {
      const startedMs = performance.now();
      const answer = await api.ask(each, path, request).then(
        (reply) => ({ reply, error: null }),
        (error: unknown) => {
          if (error instanceof CliError) return { reply: null, error };
          throw error;
        },
      );
      return { endpoint: each, tookMs: performance.now() - startedMs, ...answer };
    }),
  );
}

/** A line for each endpoint; what went wrong stands in the second column. */
function report(
  context: ClientContext,
  results: readonly Asked[],
  name: string,
  headings: readonly string[],
  cells: (reply: JsonObject, tookMs: number) => readonly string[],
): ExitCode {
  const json = results.map(({ endpoint: at, reply, error, tookMs }) =>
    reply === null
      ? { endpoint: at, error: error?.message }
      : { endpoint: at, took_ms: tookMs, [name]: reply },
  );
  const rows = results.map(({ endpoint: at, reply, error, tookMs }) =>
    reply === null ? [at, error?.message ?? ""] : [at, ...cells(reply, tookMs)],
  );
  context.terminal.out(context.has("json") ? `${JSON.stringify(json)}\n` : table(headings, rows));
  return results.find(({ error }) => error !== null)?.error?.exitCode ?? ExitCode.ok;
}
