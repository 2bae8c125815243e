import { type ChildProcess, fork } from "node:child_process";
import type { Problem } from "./problem.ts";
import type { RunResult } from "./simulation.ts";

/** Longest that one run may take before its process is taken to be stuck. */
const RUN_LIMIT_MS = 120_000;

/** One run, as a worker tells of it. */
export interface WorkerReport {
  readonly result: RunResult;
  readonly cpuMs: number;
  readonly marks: Readonly<Record<string, number>>;
}

export interface WorkerTask {
  readonly seed: number;
  /** Run it twice. */
  readonly repeat: boolean;
  /** Which scenarios the seed draws from: the short and hard ones, the long and calm ones, or whichever it comes to. */
  readonly draw: "hard" | "calm" | "objects" | "users" | "any" | "crashPoint";
  readonly crashPoint?: { readonly effect: number; readonly side: "before" | "after" };
}

export interface PoolOptions {
  readonly workers: number;
  readonly mutant: string | null;
  readonly marks: boolean;
}

/** Runs tasks in processes of their own until there are none left or `onReport` says that it is enough. */
export async function runInPool(
  options: PoolOptions,
  nextTask: () => WorkerTask | null,
  onReport: (report: WorkerReport) => "more" | "enough",
): Promise<void> {
  let enough = false;
  const next = (): WorkerTask | null => (enough ? null : nextTask());
  const children: ChildProcess[] = [];
  const onDone = (report: WorkerReport): void => {
    if (enough || onReport(report) === "more") return;
    enough = true;
    for (const child of children) child.kill("SIGKILL");
  };
  const works = Array.from({ length: options.workers }, () => work(options, next, onDone, children));
  await Promise.all(works);
}

/** One worker after another, should one die. */
async function work(
  options: PoolOptions,
  next: () => WorkerTask | null,
  onDone: (report: WorkerReport) => void,
  children: ChildProcess[],
): Promise<void> {
  for (let task = next(); task !== null; task = next()) {
    const args = [JSON.stringify({ mutant: options.mutant, marks: options.marks })];
    const child = fork(new URL("worker.ts", import.meta.url), args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // Most of what a run makes is garbage a moment later.
      execArgv: ["--max-semi-space-size=32"],
    });
    children.push(child);
    await serve(child, task, next, onDone);
  }
}

/** Gives a process one task after another, until there are none left or it is gone. */
async function serve(
  child: ChildProcess,
  first: WorkerTask,
  next: () => WorkerTask | null,
  onDone: (report: WorkerReport) => void,
): Promise<void> {
  let task: WorkerTask | null = first;
  let limit: NodeJS.Timeout | undefined;
  let stuck = false;
  const send = (): void => {
    clearTimeout(limit);
    if (task === null) {
      child.disconnect();
      return;
    }
    child.send(task);
    limit = setTimeout(() => {
      stuck = true;
      child.kill("SIGKILL");
    }, RUN_LIMIT_MS);
  };
  const ended = new Promise<void>((resolve) => {
    child.on("exit", (code, signal) => {
      clearTimeout(limit);
      const why = stuck ? `stuck for ${RUN_LIMIT_MS} ms` : `its process ended with ${code ?? signal}`;
      if (task !== null && (stuck || (signal !== "SIGKILL" && code !== 0))) onDone(crashReport(task, why));
      resolve();
    });
  });
  child.on("message", (report: WorkerReport) => {
    onDone(report);
    task = next();
    send();
  });
  send();
  await ended;
}

function crashReport({ seed }: WorkerTask, detail: string): WorkerReport {
  const problem: Problem = { kind: "crash", rule: "the process of the run", detail };
  const result: RunResult = {
    seed,
    problems: [problem],
    hash: "",
    events: 0,
    steps: 0,
    effects: 0,
    virtualMs: 0,
    crashes: 0,
    requests: { ok: 0, failed: 0, unknown: 0 },
    liveness: null,
  };
  return { result, cpuMs: 0, marks: {} };
}
