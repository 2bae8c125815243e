import { spawn } from "node:child_process";
import { CLI } from "./server.ts";

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  /** On top of the process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Runs a program to its end. */
export async function execute(
  file: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 60_000 }: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? -1));
  });
  return { exitCode, stdout, stderr };
}

/** `d-engine` on the command line, from the sources. */
export async function dEngine(...args: readonly string[]): Promise<CommandResult> {
  return await execute(process.execPath, [CLI, ...args]);
}

/** The same, for commands that must succeed; what they printed. */
export async function dEngineOk(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await dEngine(...args);
  if (exitCode !== 0) throw new Error(`d-engine ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout;
}
