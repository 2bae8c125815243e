import { type ChildProcess, spawn } from "node:child_process";
import type { Run } from "../support/program.ts";
import { type CommandResult, execute } from "../support/command.ts";
import { until } from "../support/waiting.ts";

const ENV = { ETCDCTL_API: "3" };

/** A command that goes on until it is ended. */
export interface Running {
  /** Waits until what it has printed so far contains this. */
  prints(text: string): Promise<void>;
  hasPrinted(text: string): boolean;
  /** What it reads. */
  write(text: string): void;
  /** Ends it as Ctrl-C does; everything that it printed. */
  interrupt(): Promise<string>;
}

/**
 * `etcdctl`, as Debian has it, with the same endpoints again and again. They are given as URLs, of which this version
 * makes an `:authority` for some commands that is none (`http://HOST:PORT`).
 */
export class Etcdctl {
  readonly #run: Run;
  readonly #urls: readonly string[];
  readonly #args: readonly string[];

  constructor(run: Run, urls: readonly string[], args: readonly string[] = []) {
    this.#run = run;
    this.#urls = urls;
    this.#args = [`--endpoints=${urls.join(",")}`, ...args];
  }

  /** The same, with more flags for each command. */
  with(...args: readonly string[]): Etcdctl {
    return new Etcdctl(this.#run, this.#urls, [...this.#args.slice(1), ...args]);
  }

  async result(...args: readonly string[]): Promise<CommandResult> {
    return await execute("etcdctl", [...this.#args, ...args], { env: ENV, timeoutMs: 100_000 });
  }

  /** What it printed, to whichever stream; it must succeed. */
  async ok(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.result(...args);
    if (exitCode !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${exitCode} ${stdout}${stderr}`);
    return stdout === "" ? stderr : stdout;
  }

  /** Requires that the servers refuse it, in these words. */
  async refuses(says: string, ...args: readonly string[]): Promise<void> {
    const { exitCode, stdout, stderr } = await this.result(...args);
    this.#run.require(
      exitCode !== 0 && `${stdout}${stderr}`.includes(says),
      `etcdctl ${args.join(" ")}: fails with "${says}"${exitCode !== 0 ? "" : ` but gave ${stdout}`}${stderr.includes(says) ? "" : stderr}`,
    );
  }

  /** Requires that it prints exactly this. */
  async prints(expected: string | RegExp, ...args: readonly string[]): Promise<string> {
    const printed = await this.ok(...args);
    const fits = typeof expected === "string" ? printed === expected : expected.test(printed);
    this.#run.require(
      fits,
      `etcdctl ${args.join(" ")}${fits ? "" : `: ${JSON.stringify(printed)} is not ${String(expected)}`}`,
    );
    return printed;
  }

  /** With something to read, which ends. */
  async reads(input: string, expected: string | RegExp, ...args: readonly string[]): Promise<void> {
    const running = this.start(...args);
    running.write(input);
    running.child.stdin!.end();
    const printed = await running.ended;
    const fits = typeof expected === "string" ? printed === expected : expected.test(printed);
    this.#run.require(
      fits,
      `etcdctl ${args.join(" ")} <<< ${JSON.stringify(input)}${fits ? "" : `: ${JSON.stringify(printed)}`}`,
    );
  }

  start(
    ...args: readonly string[]
  ): Running & { readonly child: ChildProcess; readonly ended: Promise<string> } {
    const child = spawn("etcdctl", [...this.#args, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...ENV },
    });
    this.#run.cleanUp(() => child.kill("SIGKILL"));
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    const ended = new Promise<string>((resolve) => child.once("close", () => resolve(printed)));
    return {
      child,
      ended,
      prints: (text) =>
        until(20, `etcdctl ${args.join(" ")} to print ${text}, not ${printed}`, async () =>
          printed.includes(text),
        ).then(() => undefined),
      hasPrinted: (text) => printed.includes(text),
      write: (text) => child.stdin.write(text),
      interrupt: () => {
        child.kill("SIGINT");
        return ended;
      },
    };
  }
}
