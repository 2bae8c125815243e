import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../runtimes/node/free-ports.ts";
import { CLIENT_TOKEN, PEER_SECRET, type Vars } from "../../runtimes/workers/local-cluster.ts";
import { REPOSITORY } from "../support/installed-package.ts";
import type { Run } from "../support/program.ts";
import { until } from "../support/waiting.ts";
import { type Deployment, SETTINGS } from "./deployment.ts";

const WRANGLER = join(REPOSITORY, "node_modules/wrangler/bin/wrangler.js");
const READY_SECONDS = 60;
const CONFIG_BYTES = 8192;

/** In workerd, under `wrangler dev` and the repository's wrangler.toml but for its entry and its variables. */
export async function underWrangler(run: Run, dir: string): Promise<Deployment> {
  const [port, inspectorPort] = await freePorts(2);
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(dir, "wrangler.log");
  const config = join(dir, "wrangler.toml");
  let vars = SETTINGS;
  writeConfig(config, vars);
  writeFileSync(
    join(dir, ".dev.vars"),
    `D_ENGINE_PEER_SECRET=${PEER_SECRET}\nD_ENGINE_CLIENT_TOKEN=${CLIENT_TOKEN}\n`,
  );
  const args = ["dev", `--config=${config}`, `--port=${port}`, `--inspector-port=${inspectorPort}`];
  args.push("--ip=127.0.0.1", `--persist-to=${join(dir, "state")}`, "--log-level=warn");

  let wrangler: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    const log = openSync(logFile, "a");
    // A group of its own: workerd is a child of wrangler's, and must not outlive it.
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: dir,
      stdio: ["ignore", log, log],
      detached: true,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" },
    });
    closeSync(log);
    wrangler = child;
    await until(READY_SECONDS, "wrangler dev to serve", async () => {
      if (child.exitCode !== null) throw new Error(`wrangler ended:\n${readFileSync(logFile, "utf8")}`);
      return await serves(url);
    });
  };
  const kill = async (): Promise<void> => {
    const child = wrangler;
    wrangler = null;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    process.kill(-child.pid, "SIGKILL");
    await exited;
  };
  run.cleanUp(kill);
  await start();
  return {
    url,
    async restart() {
      await kill();
      await start();
    },
    async deploy(changed) {
      vars = { ...vars, ...changed };
      // wrangler sees the file change, and reloads.
      writeConfig(config, vars);
    },
  };
}

function writeConfig(file: string, vars: Vars): void {
  const main = join(REPOSITORY, "test/blackbox/workers/harmed-worker.ts");
  const [before] = readFileSync(join(REPOSITORY, "wrangler.toml"), "utf8").split("[vars]");
  const text = before!.replace(/^main = .*$/m, `main = ${JSON.stringify(main)}`);
  const settings = Object.entries(vars).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  overwrite(file, `${text}[vars]\n${settings.join("\n")}\n`);
}

// Always as long, and never emptied in between: wrangler, which reads a change at once, ends when it finds half a file.
function overwrite(file: string, text: string): void {
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT);
  try {
    writeSync(fd, text.padEnd(CONFIG_BYTES, "\n"), 0);
  } finally {
    closeSync(fd);
  }
}

/** Whether the Worker answers, be it with a refusal. */
async function serves(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => null);
  return response?.status === 401;
}
