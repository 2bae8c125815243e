import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import { parseUrlList } from "../config/urls.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { CliError, ExitCode } from "./exit-codes.ts";
import { exactly, printJson } from "./kv-commands.ts";
import { id, integer, list, object, text, texts } from "./replies.ts";
import { table } from "./terminal.ts";

export const STATUS_OPTIONS: OptionTable = new Map();

export const STATUS_HELP = `d-engine status

Prints what each endpoint says of itself. Fails when one of them does not answer.
`;

export async function status(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const { api, terminal } = context;
  const results = await Promise.all(
    api.endpoints.map(async (endpoint) => {
      try {
        return { endpoint, reply: await api.ask(endpoint, "/v3/maintenance/status", {}) };
      } catch (error) {
        if (error instanceof CliError) return { endpoint, error };
        throw error;
      }
    }),
  );
  if (context.has("json")) {
    terminal.out(
      `${JSON.stringify(results.map(({ endpoint, reply, error }) => ({ endpoint, status: reply, error: error?.message })))}\n`,
    );
  } else {
    terminal.out(table(STATUS_HEADINGS, results.map(statusRow)));
  }
  const failed = results.filter(({ error }) => error !== undefined);
  return failed[0]?.error?.exitCode ?? ExitCode.ok;
}

const STATUS_HEADINGS = [
  "ENDPOINT",
  "ID",
  "ROLE",
  "TERM",
  "INDEX",
  "APPLIED",
  "REVISION",
  "DB SIZE",
  "ERRORS",
];

function statusRow(result: {
  readonly endpoint: string;
  readonly reply?: JsonObject;
  readonly error?: Error;
}): readonly string[] {
  const { endpoint, reply, error } = result;
  if (reply === undefined) return [endpoint, "-", "-", "-", "-", "-", "-", "-", error?.message ?? ""];
  const header = object(reply, "header");
  const isLeader = integer(reply, "leader") === integer(header, "member_id");
  const role = reply["isLearner"] === true ? "learner" : isLeader ? "leader" : "follower";
  return [
    endpoint,
    id(header, "member_id"),
    role,
    text(reply, "raftTerm"),
    text(reply, "raftIndex"),
    text(reply, "raftAppliedIndex"),
    text(header, "revision"),
    `${integer(reply, "dbSize")} B`,
    texts(reply, "errors").join("; "),
  ];
}

export const MEMBER_OPTIONS: OptionTable = new Map([
  ["peer-urls", "value"],
  ["voter", "switch"],
]);

export const MEMBER_HELP = `d-engine member list
d-engine member add <name> --peer-urls=<urls> [--voter]
d-engine member promote <id>
d-engine member update <id> --peer-urls=<urls>
d-engine member remove <id>

A new member joins as a learner, which copies the data and has no vote; promote makes it a voter once it has
caught up. "add" prints the settings with which to start it. Ids are in hex, as "list" prints them.

  --peer-urls <urls>   where other members reach this one
  --voter              add a voter at once (it counts towards the quorum before it has any data)
`;

export async function member(context: ClientContext): Promise<ExitCode> {
  const [action, ...rest] = context.positionals;
  const run = action === undefined ? undefined : MEMBER_ACTIONS.get(action);
  if (run === undefined) {
    throw invalid(
      `member takes ${[...MEMBER_ACTIONS.keys()].join(", ")}${action === undefined ? "" : `, not "${action}"`}`,
    );
  }
  return run({ ...context, positionals: rest });
}

type Action = (context: ClientContext) => Promise<ExitCode>;

const MEMBER_ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ["list", listMembers],
  ["add", addMember],
  ["promote", (context) => changeMember(context, "promote", "is a voter now")],
  ["update", updateMember],
  ["remove", (context) => changeMember(context, "remove", "was removed")],
]);

async function listMembers(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const reply = await context.api.read("/v3/cluster/member/list", {});
  if (context.has("json")) return done(context, reply, "");
  const rows = list(reply, "members").map((each) => [
    id(each, "ID"),
    hasStarted(each) ? "started" : "unstarted",
    text(each, "name"),
    texts(each, "peerURLs").join(","),
    texts(each, "clientURLs").join(","),
    each["isLearner"] === true ? "learner" : "voter",
  ]);
  return done(context, reply, table(["ID", "STATUS", "NAME", "PEER URLS", "CLIENT URLS", "VOTE"], rows));
}

async function addMember(context: ClientContext): Promise<ExitCode> {
  const [name] = exactly(context, ["name"]);
  const isLearner = !context.has("voter");
  const peerURLs = peerUrls(context);
  const reply = await context.api.write("/v3/cluster/member/add", { peerURLs, isLearner });
  const added = object(reply, "member");
  const addedId = id(added, "ID");
  const cluster = list(reply, "members").flatMap((each) => {
    // One that has not started yet has told no name; any will do for it.
    const memberName = id(each, "ID") === addedId ? name : text(each, "name") || id(each, "ID");
    return texts(each, "peerURLs").map((url) => `${memberName}=${url}`);
  });
  const next = isLearner ? `Once it has caught up: d-engine member promote ${addedId}` : "";
  return done(
    context,
    reply,
    `Member ${addedId} added to cluster ${id(object(reply, "header"), "cluster_id")}. Start it with\n\n` +
      `ETCD_NAME="${name}"\n` +
      `ETCD_INITIAL_CLUSTER="${cluster.join(",")}"\n` +
      `ETCD_INITIAL_ADVERTISE_PEER_URLS="${peerURLs.join(",")}"\n` +
      `ETCD_INITIAL_CLUSTER_STATE="existing"\n\n` +
      `or\n\nd-engine serve --name=${name} --initial-cluster=${cluster.join(",")} ` +
      `--initial-advertise-peer-urls=${peerURLs.join(",")} --initial-cluster-state=existing\n\n` +
      `and the peer secret of the others, if they have one. ${next}\n`,
  );
}

async function updateMember(context: ClientContext): Promise<ExitCode> {
  const [given] = exactly(context, ["id"]);
  const reply = await context.api.write("/v3/cluster/member/update", {
    ID: memberId(given),
    peerURLs: peerUrls(context),
  });
  return done(context, reply, `Member ${given} is reached at ${peerUrls(context).join(",")} now\n`);
}

async function changeMember(context: ClientContext, action: string, outcome: string): Promise<ExitCode> {
  const [given] = exactly(context, ["id"]);
  const reply = await context.api.write(`/v3/cluster/member/${action}`, { ID: memberId(given) });
  return done(context, reply, `Member ${given} ${outcome}\n`);
}

function done(context: ClientContext, reply: JsonObject, summary: string): ExitCode {
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(summary);
  return ExitCode.ok;
}

function peerUrls(context: ClientContext): readonly string[] {
  const given = context.option("peer-urls");
  if (given === undefined) throw invalid("--peer-urls is missing");
  return parseUrlList(given, "--peer-urls");
}

/** As the API wants it. */
export function memberId(hex: string): string {
  if (/^[0-9a-f]{1,16}$/i.test(hex)) return BigInt(`0x${hex}`).toString();
  throw invalid(`"${hex}" is not a member id in hex`);
}

/** As in etcd: a member tells its name when it first starts. */
function hasStarted(each: JsonObject): boolean {
  return text(each, "name") !== "";
}
