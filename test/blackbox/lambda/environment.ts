import { readFileSync } from "node:fs";
import { Emulator } from "./emulator.ts";
import type { FunctionHost, FunctionOptions } from "./function-host.ts";
import { ServedFunction } from "./served-function.ts";

/** One execution environment: a process that runs only while it is invoked, and is stopped (SIGSTOP) in between. */
export class Environment {
  readonly #host: FunctionHost;
  #isBusy = false;
  invocations = 0;

  private constructor(host: FunctionHost) {
    this.#host = host;
  }

  static async start(options: FunctionOptions): Promise<Environment> {
    const { emulator } = options;
    const host =
      emulator === null ? await ServedFunction.start(options) : await Emulator.start(emulator, options);
    return new Environment(host);
  }

  get isFree(): boolean {
    return this.isAlive && !this.#isBusy;
  }

  get isAlive(): boolean {
    return this.#host.isAlive;
  }

  /** Whether the process stands still, as the kernel sees it. */
  get isFrozen(): boolean {
    const group = this.#host.processGroup();
    if (group === null) return false;
    const [, state] = /\) (\S) /.exec(readFileSync(`/proc/${group}/stat`, "utf8")) ?? [];
    return state === "T";
  }

  /** Takes it for the next `invoke`. */
  reserve(): this {
    this.#isBusy = true;
    return this;
  }

  /** Thaws it, and freezes it again once it has answered. */
  async invoke(event: object): Promise<unknown> {
    this.reserve();
    this.invocations++;
    this.#signal("SIGCONT");
    try {
      return await this.#host.invoke(event);
    } finally {
      this.#signal("SIGSTOP");
      this.#isBusy = false;
    }
  }

  async kill(): Promise<void> {
    await this.#host.kill();
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    const group = this.#host.processGroup();
    // None before the first invocation, and after one that took too long.
    if (group === null) return;
    try {
      process.kill(-group, signal);
    } catch {
      // It has just ended.
    }
  }
}
