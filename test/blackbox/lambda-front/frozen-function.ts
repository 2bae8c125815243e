import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Answer, Invocation } from "../../runtimes/lambda/invocation.ts";

const FUNCTION = fileURLToPath(new URL("function.ts", import.meta.url));

/** A function's process, which is stopped whenever it has nothing to answer, as Lambda does it. */
export class FrozenFunction {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [FUNCTION], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout! });
  }

  /** One at a time. */
  async invoke(target: string, invocation: Invocation = {}): Promise<Answer> {
    this.#child.kill("SIGCONT");
    const line = once(this.#lines, "line", { signal: AbortSignal.timeout(30_000) });
    this.#child.stdin!.write(`${JSON.stringify({ target, invocation })}\n`);
    const answer = JSON.parse((await line)[0] as string) as Answer;
    this.#child.kill("SIGSTOP");
    return answer;
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}
