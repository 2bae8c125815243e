import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep, until } from "./waiting.ts";

export const CLI: string = fileURLToPath(new URL("../../../src/runtimes/node/cli/main.ts", import.meta.url));

export type Flags = Readonly<Record<string, string>>;

/** One `d-engine serve` process after the other, with the same flags. */
export class Server {
  readonly name: string;
  readonly url: string;
  readonly flags: Flags;
  /** What clients must send. */
  readonly headers: Readonly<Record<string, string>>;
  readonly logFile: string;
  #child: ChildProcess | null = null;

  /** @param flags without `--name` and `--listen-client-urls`. */
  constructor(dir: string, name: string, url: string, flags: Flags) {
    this.name = name;
    this.url = url;
    const token = flags["client-token"];
    this.headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    this.logFile = join(dir, `${name}.log`);
    this.flags = { name, "listen-client-urls": url, "advertise-client-urls": url, ...flags };
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  /** Starts it without waiting for anything. */
  launch(extra: Flags = {}): ChildProcess {
    if (this.#child !== null) throw new Error(`${this.name} is running already`);
    const args = Object.entries({ ...this.flags, ...extra }).map(([name, value]) => `--${name}=${value}`);
    const log = openSync(this.logFile, "a");
    const child = spawn(process.execPath, [CLI, "serve", ...args], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#child = child;
    child.once("exit", () => {
      if (this.#child === child) this.#child = null;
    });
    return child;
  }

  /** Starts it; resolves when it serves clients. */
  async start(extra: Flags = {}): Promise<void> {
    const child = this.launch(extra);
    await until(30, `${this.name} to serve`, async () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${this.name} ended with ${child.exitCode ?? child.signalCode}:\n${this.logTail()}`);
      }
      const health = await this.get("/livez").catch(() => null);
      return health?.ok === true;
    });
  }

  /** Starts it, expecting that it will end by itself; its exit status. */
  async startInVain(seconds: number, extra: Flags = {}): Promise<number> {
    const child = this.launch(extra);
    const exited = once(child, "exit");
    const ended = await Promise.race([exited.then(() => true), sleep(seconds * 1000).then(() => false)]);
    if (!ended) {
      await this.signal("SIGKILL");
      throw new Error(`${this.name} should not have started, but runs:\n${this.logTail()}`);
    }
    return child.exitCode ?? -1;
  }

  /** Sends a signal; after one that ends it, resolves when it has ended, with its exit status. */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null) return null;
    const exited = once(child, "exit");
    child.kill(signal);
    if (signal === "SIGSTOP" || signal === "SIGCONT") return null;
    await exited;
    return child.exitCode;
  }

  /** Resolves when it has ended by itself, with its exit status. */
  async ended(seconds: number): Promise<number> {
    const child = this.#child;
    if (child === null) throw new Error(`${this.name} is not running`);
    await until(
      seconds,
      `${this.name} to end`,
      async () => child.exitCode !== null || child.signalCode !== null,
    );
    return child.exitCode ?? -1;
  }

  async get(path: string): Promise<{ readonly ok: boolean; readonly text: string }> {
    const response = await fetch(this.url + path, { signal: AbortSignal.timeout(5000) });
    return { ok: response.ok, text: await response.text() };
  }

  /** Everything it has said since its first start. */
  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : "";
  }

  logTail(): string {
    return this.log().slice(-3000);
  }
}
