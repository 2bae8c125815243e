import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { freePorts } from "../../runtimes/node/free-ports.ts";
import { until } from "../support/waiting.ts";
import { type FunctionHost, type FunctionOptions, lambdaEnv } from "./function-host.ts";

const INVOCATIONS = "/2015-03-31/functions/function/invocations";
/** On a machine that is busy with other things. */
const START_SECONDS = 30;
/** The emulator ends an invocation that takes too long by itself; this is for one that does not. */
const GRACE_MS = 10_000;

/**
 * AWS's Runtime Interface Emulator with a function of its own. It starts the function at the first invocation, in a
 * process group of its own, and anew after one that took too long; and it answers when the function is idle again.
 */
export class Emulator implements FunctionHost {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #timeoutMs: number;

  private constructor(child: ChildProcess, url: string, timeoutMs: number) {
    this.#child = child;
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  static async start(program: string, options: FunctionOptions): Promise<Emulator> {
    const [port, apiPort] = await freePorts(2);
    const log = openSync(options.logFile, "a");
    const where = [
      `--runtime-interface-emulator-address=127.0.0.1:${port}`,
      `--runtime-api-address=127.0.0.1:${apiPort}`,
    ];
    const child = spawn(program, [...where, ...options.runtime, options.handler], {
      cwd: options.dir,
      env: lambdaEnv(options),
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const emulator = new Emulator(child, `http://127.0.0.1:${port}${INVOCATIONS}`, options.timeoutMs);
    await until(START_SECONDS, "the emulator to listen", async () => {
      if (!emulator.isAlive) throw new Error(`the emulator ended with ${child.exitCode ?? child.signalCode}`);
      return await listens(port!);
    });
    return emulator;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  processGroup(): number | null {
    const { pid } = this.#child;
    return pid === undefined || !this.isAlive ? null : (childrenOf(pid)[0] ?? null);
  }

  async invoke(event: object): Promise<unknown> {
    const response = await fetch(this.#url, {
      method: "POST",
      body: JSON.stringify(event),
      signal: AbortSignal.timeout(this.#timeoutMs + GRACE_MS),
    });
    const text = await response.text();
    // It says in plain text that time was up, and has no other status for that.
    const result = parsed(text);
    if (response.ok && result !== null && !("errorType" in result)) return result;
    throw new Error(`the function failed: ${response.status} ${text.slice(0, 500)}`);
  }

  async kill(): Promise<void> {
    if (!this.isAlive) return;
    const group = this.processGroup();
    const exited = once(this.#child, "exit");
    // First, or it would start another function.
    this.#child.kill("SIGKILL");
    await exited;
    if (group !== null) killGroup(group);
  }
}

/** By whichever of its threads started them. */
function childrenOf(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) => {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8");
      return text.split(" ").filter(Boolean).map(Number);
    } catch {
      // The thread has ended meanwhile.
      return [];
    }
  });
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const connected = await once(socket, "connect").then(
    () => true,
    () => false,
  );
  socket.destroy();
  return connected;
}

function parsed(text: string): object | null {
  try {
    return JSON.parse(text) as object | null;
  } catch {
    return null;
  }
}
