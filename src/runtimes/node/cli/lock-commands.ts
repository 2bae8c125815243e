import { spawn } from "node:child_process";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { OptionTable } from "../config/arguments.ts";
import { invalid } from "../config/raw-settings.ts";
import { type ApiClient, type JsonObject, StreamEnd } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { CliError, ExitCode } from "./exit-codes.ts";
import { exactly, printJson } from "./kv-commands.ts";
import { base64, bytes, integer, object } from "./replies.ts";
import { Session } from "./session.ts";

const DEFAULT_TTL_SECONDS = 10;
const RETRY_MS = 500;
/** What a shell says of a command that was ended by a signal, and of one that could not be started. */
const SIGNALED = 128;
const NOT_STARTED = 127;

export const LOCK_OPTIONS: OptionTable = new Map([
  ["ttl", "value"],
  ["try", "switch"],
]);

export const LOCK_HELP: string = `d-engine lock <name> [options] [-- <command> <argument>...]

Takes the lock, runs the command, gives the lock back, and exits as the command did. Without a command it prints the
lock's key and holds it until it is interrupted.

The command finds in its environment D_ENGINE_LOCK_KEY, the key that exists as long as the lock is held, and
D_ENGINE_LOCK_TOKEN, the fencing token: it grows from holder to holder, so that what the lock protects can refuse one
who lost it without noticing. If the lock is lost, the command is sent SIGTERM, and the exit status is 1.

  --ttl <seconds>  how long the lock survives this process (default ${DEFAULT_TTL_SECONDS})
  --try            do not wait for it
`;

export async function lock(context: ClientContext): Promise<ExitCode> {
  const [name, ...command] = context.positionals;
  if (name === undefined) throw invalid("<name> is missing");
  const request = { name: base64(name), try_lock: context.has("try") };
  return await holding(context, "/v3/lock/lock", request, async (reply, over) => {
    const key = bytes(reply, "key").toString();
    if (command.length > 0) {
      const token = String(integer(reply, "fencing_token"));
      const env = { D_ENGINE_LOCK_KEY: key, D_ENGINE_LOCK_TOKEN: token };
      return await runCommand(context, command, over, env);
    }
    if (context.has("json")) printJson(context, reply);
    else context.terminal.out(`${key}\n`);
    await aborted(over);
    return ExitCode.ok;
  });
}

export const ELECT_OPTIONS: OptionTable = new Map([
  ["ttl", "value"],
  ["listen", "switch"],
]);

export const ELECT_HELP: string = `d-engine elect <name> <proposal> [--ttl <seconds>]
d-engine elect <name> --listen

Waits to be elected, prints the leader's key and the proposal, and leads until it is interrupted; or prints who leads,
and every change of that.

  --ttl <seconds>  how long leadership survives this process (default ${DEFAULT_TTL_SECONDS})
  --listen         only look on
`;

export async function elect(context: ClientContext): Promise<ExitCode> {
  if (context.has("listen")) return await listen(context);
  const [name, proposal] = exactly(context, ["name", "proposal"]);
  const request = { name: base64(name), value: base64(proposal) };
  return await holding(context, "/v3/election/campaign", request, async (reply, over) => {
    if (context.has("json")) printJson(context, reply);
    else context.terminal.out(`${bytes(object(reply, "leader"), "key").toString()}\n${proposal}\n`);
    await aborted(over);
    return ExitCode.ok;
  });
}

async function listen(context: ClientContext): Promise<ExitCode> {
  const [name] = exactly(context, ["name"]);
  const problems: string[] = [];
  for (const endpoint of context.api.endpoints) {
    try {
      for await (const reply of context.api.stream(endpoint, "/v3/election/observe", {
        name: base64(name),
      })) {
        printLeader(context, reply);
      }
    } catch (error) {
      if (!(error instanceof StreamEnd)) throw error;
      if (!error.elsewhere) throw new CliError(error.message, ExitCode.failed);
      problems.push(`${endpoint}: ${error.message}`);
    }
  }
  throw new CliError(problems.join("\n"), ExitCode.unreachable);
}

function printLeader(context: ClientContext, reply: JsonObject): void {
  const kv = object(reply, "kv");
  if (context.has("json")) printJson(context, reply);
  else context.terminal.out(`${bytes(kv, "key").toString()}\n${bytes(kv, "value").toString()}\n`);
}

/**
 * Takes a place in a line, waits to be its first, does something then, and gives the place back. `over` aborts when the
 * lease on which the place rests has ended, or when the user wants it to.
 *
 * Each endpoint is asked with a lease of its own. One that has let go of the request may notice that late, and then takes
 * the place away that it had taken for it: it must not be the one that another has given since.
 */
async function holding(
  context: ClientContext,
  path: string,
  request: JsonObject,
  work: (reply: JsonObject, over: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const ttlSeconds = context.number("ttl") ?? DEFAULT_TTL_SECONDS;
  if (ttlSeconds < 1) throw invalid("--ttl must be at least 1");
  const interrupted = context.terminal.interrupted();
  const { api } = context;
  const ended: Promise<void>[] = [];
  try {
    for (let attempt = 0; ; attempt++) {
      const session =
        attempt === 0 ? await Session.begin(api, ttlSeconds) : await beginAgain(api, ttlSeconds, interrupted);
      try {
        const over = AbortSignal.any([session.lost, interrupted]);
        const endpoint = api.endpoints[attempt % api.endpoints.length]!;
        const reply = await api.attempt(endpoint, path, { ...request, lease: session.lease }, over);
        if (reply === null) continue;
        const status = await work(reply, over);
        if (!session.lost.aborted) return status;
        throw new CliError("the lease has ended, and what it held is lost", ExitCode.failed);
      } finally {
        ended.push(session.end());
      }
    }
  } finally {
    await Promise.all(ended);
  }
}

/** Somebody answered before, so somebody will again. */
async function beginAgain(api: ApiClient, ttlSeconds: number, interrupted: AbortSignal): Promise<Session> {
  for (;;) {
    await sleep(RETRY_MS, undefined, { signal: interrupted }).catch(() => {});
    if (interrupted.aborted) throw new CliError("given up while waiting", ExitCode.failed);
    try {
      return await Session.begin(api, ttlSeconds);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
    }
  }
}

/** What is held is not given back while the command still works: it is asked to end, and waited for. */
async function runCommand(
  { terminal }: ClientContext,
  [program, ...args]: readonly string[],
  over: AbortSignal,
  env: Readonly<Record<string, string>>,
): Promise<ExitCode> {
  const child = spawn(program!, args, { stdio: "inherit", env: { ...terminal.env, ...env } });
  const stop = (): void => void child.kill("SIGTERM");
  if (over.aborted) stop();
  else over.addEventListener("abort", stop, { once: true });
  const status = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      terminal.error(`d-engine: cannot run ${program}: ${error.message}\n`);
      resolve(NOT_STARTED);
    });
    child.once("exit", (code, signal) => resolve(code ?? SIGNALED + constants.signals[signal ?? "SIGTERM"]));
  });
  over.removeEventListener("abort", stop);
  // Whatever the command meant by it.
  return status as ExitCode;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
