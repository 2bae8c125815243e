import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { ExitCode } from "./exit-codes.ts";
import { exactly, printJson } from "./kv-commands.ts";
import { id, list, text } from "./replies.ts";
import { table } from "./terminal.ts";

export const ALARM_OPTIONS: OptionTable = new Map();

export const ALARM_HELP = `d-engine alarm list
d-engine alarm disarm

"list" prints the alarms that are active, and the members that raised them. While NOSPACE is, a store has outgrown
--quota-backend-bytes: deletes and compaction go on, and everything that would let it grow is refused. Delete and
compact first, or give more; "disarm" then ends all alarms. Where there is still no room, the next write raises it
again.
`;

export async function alarm(context: ClientContext): Promise<ExitCode> {
  const [action, ...rest] = context.positionals;
  exactly({ ...context, positionals: rest }, []);
  if (action === "list") return print(context, await activeAlarms(context));
  if (action === "disarm") return await disarm(context);
  throw invalid(`alarm takes list, disarm${action === undefined ? "" : `, not "${action}"`}`);
}

function activeAlarms(context: ClientContext): Promise<JsonObject> {
  return context.api.read("/v3/maintenance/alarm", {});
}

/** One by one, as etcdctl does: etcd has no call that ends them all. */
async function disarm(context: ClientContext): Promise<ExitCode> {
  const reply = await activeAlarms(context);
  for (const each of list(reply, "alarms")) {
    const which = { memberID: text(each, "memberID"), alarm: text(each, "alarm") };
    await context.api.write("/v3/maintenance/alarm", { action: "DEACTIVATE", ...which });
  }
  return print(context, reply);
}

function print(context: ClientContext, reply: JsonObject): ExitCode {
  if (context.has("json")) {
    printJson(context, reply);
    return ExitCode.ok;
  }
  const rows = list(reply, "alarms").map((each) => [id(each, "memberID"), text(each, "alarm")]);
  if (rows.length > 0) context.terminal.out(table(["MEMBER", "ALARM"], rows));
  return ExitCode.ok;
}
