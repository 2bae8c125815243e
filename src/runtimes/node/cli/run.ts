import { EngineError } from "../../../core/errors/index.ts";
import type { OptionTable } from "../config/arguments.ts";
import { suggestion } from "../config/nearest.ts";
import { invalid } from "../config/raw-settings.ts";
import { VERSION } from "../version.ts";
import { alarm, ALARM_HELP, ALARM_OPTIONS } from "./alarm-command.ts";
import {
  auth,
  AUTH_HELP,
  AUTH_OPTIONS,
  role,
  ROLE_HELP,
  ROLE_OPTIONS,
  user,
  USER_HELP,
  USER_OPTIONS,
} from "./auth-commands.ts";
import { type ClientContext, clientContext, COMMON_OPTIONS_HELP } from "./client-options.ts";
import {
  member,
  MEMBER_HELP,
  MEMBER_OPTIONS,
  status,
  STATUS_HELP,
  STATUS_OPTIONS,
} from "./cluster-commands.ts";
import { CliError, EXIT_CODE_HELP, ExitCode } from "./exit-codes.ts";
import {
  del,
  DEL_HELP,
  DEL_OPTIONS,
  get,
  GET_HELP,
  GET_OPTIONS,
  put,
  PUT_HELP,
  PUT_OPTIONS,
} from "./kv-commands.ts";
import { lease, LEASE_HELP, LEASE_OPTIONS } from "./lease-commands.ts";
import { elect, ELECT_HELP, ELECT_OPTIONS, lock, LOCK_HELP, LOCK_OPTIONS } from "./lock-commands.ts";
import {
  compact,
  COMPACT_HELP,
  COMPACT_OPTIONS,
  endpoint,
  ENDPOINT_HELP,
  ENDPOINT_OPTIONS,
  hashkv,
  HASHKV_HELP,
  HASHKV_OPTIONS,
  moveLeader,
  MOVE_LEADER_HELP,
  MOVE_LEADER_OPTIONS,
} from "./maintenance-commands.ts";
import { serve, serveHelp } from "./serve.ts";
import { snapshot, SNAPSHOT_HELP, SNAPSHOT_OPTIONS } from "./snapshot-commands.ts";
import type { Terminal } from "./terminal.ts";
import { txn, TXN_HELP, TXN_OPTIONS } from "./txn-command.ts";
import { watch, WATCH_HELP, WATCH_OPTIONS } from "./watch-command.ts";

interface Command {
  readonly summary: string;
  readonly help: () => string;
  /** Null when help was asked for. */
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<ExitCode | null>;
}

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ["serve", { summary: "run one member of a cluster", help: serveHelp, run: serve }],
  ["status", client("what each endpoint says of itself", STATUS_HELP, STATUS_OPTIONS, status)],
  ["endpoint", client("whether each endpoint is well", ENDPOINT_HELP, ENDPOINT_OPTIONS, endpoint)],
  ["hashkv", client("compare the members' states", HASHKV_HELP, HASHKV_OPTIONS, hashkv)],
  ["get", client("print a key's value", GET_HELP, GET_OPTIONS, get)],
  ["put", client("write a value", PUT_HELP, PUT_OPTIONS, put)],
  ["del", client("remove keys", DEL_HELP, DEL_OPTIONS, del)],
  ["txn", client("run a transaction", TXN_HELP, TXN_OPTIONS, txn)],
  ["compact", client("forget old history", COMPACT_HELP, COMPACT_OPTIONS, compact)],
  ["watch", client("print changes as they happen", WATCH_HELP, WATCH_OPTIONS, watch)],
  ["lease", client("grant, revoke, renew and list leases", LEASE_HELP, LEASE_OPTIONS, lease)],
  ["lock", client("run a command while holding a lock", LOCK_HELP, LOCK_OPTIONS, lock)],
  ["elect", client("lead, or see who does", ELECT_HELP, ELECT_OPTIONS, elect)],
  [
    "snapshot",
    client("save the state, and begin a cluster with it", SNAPSHOT_HELP, SNAPSHOT_OPTIONS, snapshot),
  ],
  ["alarm", client("list and disarm alarms", ALARM_HELP, ALARM_OPTIONS, alarm)],
  ["member", client("list, add, promote, update and remove members", MEMBER_HELP, MEMBER_OPTIONS, member)],
  ["auth", client("ask everybody who they are, or nobody", AUTH_HELP, AUTH_OPTIONS, auth)],
  ["user", client("add, change and remove users", USER_HELP, USER_OPTIONS, user)],
  ["role", client("say what roles permit", ROLE_HELP, ROLE_OPTIONS, role)],
  ["move-leader", client("hand leadership over", MOVE_LEADER_HELP, MOVE_LEADER_OPTIONS, moveLeader)],
]);

/** Runs one command line, without the program's name, and resolves with its exit status. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "version") {
    terminal.out(`d-engine ${VERSION}\n`);
    return ExitCode.ok;
  }
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    terminal.out(overview());
    return name === undefined ? ExitCode.usage : ExitCode.ok;
  }
  try {
    const command = COMMANDS.get(name);
    if (command === undefined)
      throw invalid(`there is no command ${name}${suggestion(name, COMMANDS.keys())}`);
    const exitCode = await command.run(rest, terminal);
    if (exitCode !== null) return exitCode;
    terminal.out(command.help());
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CliError) {
      terminal.error(`${error.message}\n`);
      return error.exitCode;
    }
    if (error instanceof EngineError && error.code === "invalidConfig") {
      terminal.error(
        `d-engine: ${error.detail ?? error.message}\nd-engine ${COMMANDS.has(name) ? `${name} ` : ""}--help says more\n`,
      );
      return ExitCode.usage;
    }
    throw error;
  }
}

function client(
  summary: string,
  help: string,
  options: OptionTable,
  action: (context: ClientContext) => Promise<ExitCode>,
): Command {
  return {
    summary,
    help: () => `${help}\n${COMMON_OPTIONS_HELP}\n${EXIT_CODE_HELP}`,
    run: async (args, terminal) => {
      const context = clientContext(args, options, terminal);
      return context === null ? null : action(context);
    },
  };
}

function overview(): string {
  const commands = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(11)} ${summary}`);
  return `d-engine ${VERSION}: a coordination engine with the etcd v3 API\n\n${commands.join("\n")}\n\nd-engine <command> --help says more.\n\n${EXIT_CODE_HELP}`;
}
