import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { freePorts } from "../../runtimes/node/free-ports.ts";
import { execute } from "../support/command.ts";
import { REPOSITORY } from "../support/installed-package.ts";
import type { Run } from "../support/program.ts";
import { until } from "../support/waiting.ts";

/**
 * What the container of examples/deploy does once it is built, without one: its entry point with its environment, on the
 * installed package, its health check, and its signal to stop.
 */
export async function useContainerfile(run: Run, dir: string): Promise<void> {
  const [port, peerPort] = await freePorts(2);
  const settings = containerfile();
  const env = {
    ...process.env,
    ...settings.env,
    PATH: `${join(dir, "node_modules/.bin")}${delimiter}${process.env["PATH"]}`,
    // Where the container has its volume.
    ETCD_DATA_DIR: join(dir, "volume"),
    ETCD_NAME: "n1",
    ETCD_LISTEN_CLIENT_URLS: `http://127.0.0.1:${port}`,
    ETCD_LISTEN_PEER_URLS: `http://127.0.0.1:${peerPort}`,
  };
  const [command = "", ...args] = settings.entryPoint;
  const [check = "", ...checkArgs] = settings.healthCheck;
  const isHealthy = async (): Promise<boolean> =>
    (await execute(check, checkArgs, { cwd: dir, env })).exitCode === 0;
  run.require(!(await isHealthy()), "the container's health check fails while nothing runs");
  const server = spawn(command, args, { cwd: dir, env, stdio: "ignore" });
  run.cleanUp(() => server.kill("SIGKILL"));
  await until(30, "the container's health check to pass", isHealthy);
  const exited = once(server, "exit");
  server.kill(settings.stopSignal);
  const [exitCode] = (await exited) as [number | null];
  run.require(exitCode === 0, "the container's entry point serves, is healthy, and ends when it is told to");
}

function containerfile(): {
  readonly env: Readonly<Record<string, string>>;
  readonly entryPoint: readonly string[];
  readonly healthCheck: readonly string[];
  readonly stopSignal: NodeJS.Signals;
} {
  const text = readFileSync(join(REPOSITORY, "examples/deploy/Containerfile"), "utf8").replaceAll(
    "\\\n",
    " ",
  );
  const only = (pattern: RegExp): string => {
    const found = [...text.matchAll(pattern)];
    if (found.length !== 1) throw new Error(`the Containerfile has ${found.length} times ${pattern.source}`);
    return found[0]![1]!;
  };
  return {
    env: Object.fromEntries(new URLSearchParams(only(/^ENV (.*)$/gm).replaceAll(" ", "&"))),
    entryPoint: JSON.parse(only(/^ENTRYPOINT (\[.*\])$/gm)) as string[],
    healthCheck: JSON.parse(only(/^HEALTHCHECK .*? CMD (\[.*\])$/gm)) as string[],
    stopSignal: only(/^STOPSIGNAL (\w+)$/gm) as NodeJS.Signals,
  };
}
