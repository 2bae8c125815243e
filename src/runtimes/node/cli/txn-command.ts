import type { OptionTable } from "../config/arguments.ts";
import type { JsonObject } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { ExitCode } from "./exit-codes.ts";
import { exactly, printJson, printLine } from "./kv-commands.ts";
import { bytes, integer, list, object } from "./replies.ts";
import type { Terminal } from "./terminal.ts";
import { parseComparison, parseOperation } from "./txn-text.ts";

export const TXN_OPTIONS: OptionTable = new Map([["interactive", "switch"]]);

export const TXN_HELP = `d-engine txn [--interactive]

Reads a transaction from standard input, in etcdctl's notation, and runs it: comparisons, one a line; an empty line;
what is done if all of them hold; an empty line; what is done if not.

  value("key") = "text"
  version("key") > "0"

  put key "another text"
  get key

  del key --prefix

What is compared: value, mod (the revision of the last change), create, version, lease; by =, !=, > or <. What is done:
get, put and del, with the options of these commands. Text in "..." may have escapes.

Prints SUCCESS if the comparisons held and FAILURE if not, and then what each operation gave; the exit status is 0
either way.

  --interactive  say what is to be typed next, on standard error; -i for short
`;

const PARTS = [
  ["compares:", parseComparison],
  ["success requests (get, put, del):", parseOperation],
  ["failure requests (get, put, del):", parseOperation],
] as const;

export async function txn(context: ClientContext): Promise<ExitCode> {
  exactly(context, []);
  const [compare, success, failure] = await readParts(context);
  const reply = await context.api.write("/v3/kv/txn", { compare, success, failure });
  if (context.has("json")) printJson(context, reply);
  else printReply(context.terminal, reply);
  return ExitCode.ok;
}

/** Nothing is read behind the empty line that ends the last part. */
async function readParts(context: ClientContext): Promise<readonly (readonly JsonObject[])[]> {
  const { terminal } = context;
  const parts: JsonObject[][] = PARTS.map(() => []);
  let at = 0;
  const prompt = (): void => {
    if (context.has("interactive") && at < PARTS.length) terminal.error(`${PARTS[at]![0]}\n`);
  };
  prompt();
  for await (const line of terminal.inputLines()) {
    if (line.trim() === "") {
      at++;
      prompt();
      if (at === PARTS.length) break;
    } else {
      parts[at]!.push(PARTS[at]![1](line));
    }
  }
  return parts;
}

/** As etcdctl prints it. */
function printReply(terminal: Terminal, reply: JsonObject): void {
  terminal.out(reply["succeeded"] === true ? "SUCCESS\n" : "FAILURE\n");
  for (const response of list(reply, "responses")) {
    terminal.out("\n");
    if ("response_put" in response) printPut(terminal, object(response, "response_put"));
    else if ("response_delete_range" in response)
      printDeletion(terminal, object(response, "response_delete_range"));
    else printEntries(terminal, list(object(response, "response_range"), "kvs"));
  }
}

function printPut(terminal: Terminal, put: JsonObject): void {
  terminal.out("OK\n");
  if ("prev_kv" in put) printEntries(terminal, [object(put, "prev_kv")]);
}

function printDeletion(terminal: Terminal, deletion: JsonObject): void {
  terminal.out(`${integer(deletion, "deleted")}\n`);
  printEntries(terminal, list(deletion, "prev_kvs"));
}

function printEntries(terminal: Terminal, kvs: readonly JsonObject[]): void {
  for (const kv of kvs) {
    printLine(terminal, bytes(kv, "key"));
    printLine(terminal, bytes(kv, "value"));
  }
}
