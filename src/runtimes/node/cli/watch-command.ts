import { setTimeout as sleep } from "node:timers/promises";
import type { OptionTable } from "../config/arguments.ts";
import { type JsonObject, StreamEnd } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { CliError, ExitCode } from "./exit-codes.ts";
import { exactly, keys, printJson, printLine } from "./kv-commands.ts";
import { bytes, integer, list, object, text } from "./replies.ts";

export const WATCH_OPTIONS: OptionTable = new Map([
  ["prefix", "switch"],
  ["rev", "value"],
  ["initial", "switch"],
  ["prev", "switch"],
  ["count", "value"],
]);

export const WATCH_HELP = `d-engine watch <key> [options]

Prints each change of a key, or with --prefix of every key that begins with it, until it is interrupted: PUT or DELETE,
the key and the value, on lines of their own. When its server goes away it goes on where it was, with the next one that
can be reached.

  --prefix           every key that begins with <key>; "" means all
  --rev <revision>   begin with this revision, not with the next one
  --initial          begin with the present state
  --prev             print what was before as well, as PREV, on lines of its own
  --count <n>        end after so many changes
`;

/** Between two rounds of attempts to reach somebody. */
const RETRY_MS = 500;

export async function watch(context: ClientContext): Promise<ExitCode> {
  const [key] = exactly(context, ["key"]);
  const printer = new Printer(context, context.number("count") ?? Number.POSITIVE_INFINITY);
  const wanted: JsonObject = { ...keys(key, context.has("prefix")), prev_kv: context.has("prev") };
  let start: JsonObject = {
    start_revision: context.number("rev") ?? 0,
    initial_state: context.has("initial"),
  };
  let wasConnected = false;
  for (;;) {
    const problems: string[] = [];
    for (const endpoint of context.api.endpoints) {
      const follower = new Follower(printer);
      try {
        if (await follower.follow(context, endpoint, { create_request: { ...wanted, ...start } }))
          return ExitCode.ok;
      } catch (error) {
        if (!(error instanceof StreamEnd)) throw error;
        if (!error.elsewhere) throw new CliError(error.message, ExitCode.failed);
        problems.push(`${endpoint}: ${error.message}`);
      }
      if (follower.toldRevision === 0n) continue;
      wasConnected = true;
      start = { start_revision: String(follower.toldRevision + 1n) };
      context.terminal.error(`${problems.at(-1)}; goes on after revision ${follower.toldRevision}\n`);
    }
    // Who has been there may come back.
    if (!wasConnected) throw new CliError(problems.join("\n"), ExitCode.unreachable);
    await sleep(RETRY_MS);
  }
}

/** Listens to one endpoint for as long as it goes. */
class Follower {
  readonly #printer: Printer;
  /** Everything up to here has been printed; 0: nothing was heard. */
  toldRevision: bigint = 0n;

  constructor(printer: Printer) {
    this.#printer = printer;
  }

  /** True when there is nothing left to do. @throws StreamEnd */
  async follow({ api }: ClientContext, endpoint: string, request: JsonObject): Promise<boolean> {
    const start = integer(object(request, "create_request"), "start_revision");
    for await (const result of api.stream(endpoint, "/v3/watch", request)) {
      refuseEnd(result);
      if (result["created"] === true) {
        if (object(request, "create_request")["initial_state"] === true) continue;
        this.toldRevision = start > 0n ? start - 1n : integer(object(result, "header"), "revision");
        continue;
      }
      if (this.#printer.print(result)) return true;
      if (result["fragment"] !== true) this.toldRevision = integer(object(result, "header"), "revision");
    }
    return false;
  }
}

function refuseEnd(result: JsonObject): void {
  if (result["canceled"] !== true) return;
  const oldest = integer(result, "compact_revision");
  const reason =
    oldest > 0n ? `compacted: history begins at revision ${oldest}` : text(result, "cancel_reason");
  throw new CliError(reason, ExitCode.failed);
}

class Printer {
  readonly #context: ClientContext;
  #left: number;

  constructor(context: ClientContext, count: number) {
    this.#context = context;
    this.#left = count;
  }

  /** True when enough has been printed. */
  print(result: JsonObject): boolean {
    const events = list(result, "events");
    if (this.#context.has("json")) {
      if (events.length > 0) printJson(this.#context, result);
      this.#left -= events.length;
      return this.#left <= 0;
    }
    for (const event of events) {
      this.#printEvent(event);
      if (--this.#left <= 0) return true;
    }
    return false;
  }

  #printEvent(event: JsonObject): void {
    const { terminal } = this.#context;
    const before = event["prev_kv"] === undefined ? null : object(event, "prev_kv");
    if (before !== null) {
      terminal.out("PREV\n");
      printLine(terminal, bytes(before, "key"));
      printLine(terminal, bytes(before, "value"));
    }
    const kv = object(event, "kv");
    terminal.out(event["type"] === "DELETE" ? "DELETE\n" : "PUT\n");
    printLine(terminal, bytes(kv, "key"));
    printLine(terminal, bytes(kv, "value"));
  }
}
