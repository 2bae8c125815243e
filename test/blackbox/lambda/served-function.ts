import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { type FunctionHost, type FunctionOptions, lambdaEnv } from "./function-host.ts";
import { RuntimeApi, type Streamed } from "./runtime-api.ts";

const LOG_CHARACTERS = 2000;

/** A function's process with our own Runtime API. */
export class ServedFunction implements FunctionHost {
  readonly #api: RuntimeApi;
  readonly #child: ChildProcess;
  readonly #timeoutMs: number;

  private constructor(api: RuntimeApi, child: ChildProcess, { logFile, timeoutMs }: FunctionOptions) {
    this.#api = api;
    this.#child = child;
    this.#timeoutMs = timeoutMs;
    child.once("exit", (code, signal) => {
      const said = signal === null ? readFileSync(logFile, "utf8").slice(-LOG_CHARACTERS) : "";
      api.fail(new Error(`the process ended with ${code ?? signal} ${said}`));
    });
  }

  static async start(options: FunctionOptions): Promise<ServedFunction> {
    const api = new RuntimeApi();
    const address = await api.listen();
    const log = openSync(options.logFile, "a");
    const [command = "", ...args] = options.runtime;
    const child = spawn(command, [...args, options.handler], {
      cwd: options.dir,
      env: { ...lambdaEnv(options), AWS_LAMBDA_RUNTIME_API: address },
      stdio: ["ignore", log, log],
      // A process group of its own.
      detached: true,
    });
    closeSync(log);
    return new ServedFunction(api, child, options);
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  processGroup(): number | null {
    return this.isAlive ? (this.#child.pid ?? null) : null;
  }

  invoke(event: object): Promise<unknown> {
    return this.#inTime(this.#api.invoke(event, this.#timeoutMs));
  }

  /** For a handler that streams: what it sent, and when each piece came. */
  invokeStreaming(event: object): Promise<Streamed> {
    return this.#inTime(this.#api.invokeStreaming(event, this.#timeoutMs));
  }

  async kill(): Promise<void> {
    if (this.isAlive) {
      const exited = once(this.#child, "exit");
      process.kill(-this.#child.pid!, "SIGKILL");
      await exited;
    }
    await this.#api.close();
  }

  /** One that does not answer in time is killed, as Lambda does it. */
  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const timer = setTimeout(() => void this.kill(), this.#timeoutMs + 500);
    return await answer.finally(() => clearTimeout(timer));
  }
}
