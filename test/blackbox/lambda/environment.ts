import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { RuntimeApi } from "./runtime-api.ts";

export interface FunctionOptions {
  /** The command that asks the Runtime API for work, such as AWS's `aws-lambda-ric`, without the handler's name. */
  readonly runtime: readonly string[];
  /** Where the bundle is, and which of its exports is the handler: `index.handler`. */
  readonly dir: string;
  readonly handler: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly logFile: string;
}

/** One execution environment: a process that runs only while it is invoked, and is stopped (SIGSTOP) in between. */
export class Environment {
  readonly #options: FunctionOptions;
  readonly #api: RuntimeApi;
  readonly #child: ChildProcess;
  #isBusy = false;
  #isStopped = false;
  invocations = 0;

  private constructor(options: FunctionOptions, api: RuntimeApi, child: ChildProcess) {
    this.#options = options;
    this.#api = api;
    this.#child = child;
    child.once("exit", (code, signal) => {
      const said = signal === null ? readFileSync(options.logFile, "utf8").slice(-2000) : "";
      api.fail(new Error(`the process ended with ${code ?? signal} ${said}`));
    });
    api.onIdle = () => {
      // The first time it is only ready to begin; frozen it is when an answer was given.
      if (!this.#isBusy) this.#signal("SIGSTOP");
    };
  }

  static async start(options: FunctionOptions): Promise<Environment> {
    const api = new RuntimeApi();
    const address = await api.listen();
    const log = openSync(options.logFile, "a");
    const [command = "", ...args] = options.runtime;
    const child = spawn(command, [...args, options.handler], {
      cwd: options.dir,
      stdio: ["ignore", log, log],
      env: {
        ...process.env,
        ...options.env,
        AWS_LAMBDA_RUNTIME_API: address,
        AWS_LAMBDA_FUNCTION_NAME: "d-engine",
        AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
        AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/d-engine",
        AWS_LAMBDA_LOG_STREAM_NAME: "local",
        LAMBDA_TASK_ROOT: options.dir,
        _HANDLER: options.handler,
      },
    });
    closeSync(log);
    return new Environment(options, api, child);
  }

  get isFree(): boolean {
    return this.isAlive && !this.#isBusy;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && !this.#child.killed;
  }

  /** Whether the process stands still. */
  get isFrozen(): boolean {
    return this.#isStopped;
  }

  /** Takes it for the next `invoke`. */
  reserve(): this {
    this.#isBusy = true;
    return this;
  }

  /** Thaws it, and freezes it again once it has answered. One that does not answer in time is killed, as Lambda does. */
  async invoke(event: object): Promise<unknown> {
    this.reserve();
    this.invocations++;
    this.#signal("SIGCONT");
    const { timeoutMs } = this.#options;
    const timer = setTimeout(() => void this.kill(), timeoutMs + 500);
    try {
      return await this.#api.invoke(event, timeoutMs);
    } finally {
      clearTimeout(timer);
      this.#isBusy = false;
    }
  }

  async kill(): Promise<void> {
    if (!this.isAlive) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  async close(): Promise<void> {
    await this.kill();
    await this.#api.close();
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    if (!this.isAlive) return;
    this.#isStopped = signal === "SIGSTOP";
    // Not by kill(), which would take the process for one that was killed.
    if (this.#child.pid !== undefined) process.kill(this.#child.pid, signal);
  }
}
