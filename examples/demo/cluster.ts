import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../src/runtimes/node/cli/main.ts", import.meta.url));

/** One member: a process of its own, with a data directory of its own. */
export interface DemoNode {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
  process: ChildProcess | null;
}

/** Three `d-engine serve` processes on loopback, with SQLite in a temporary directory. */
export class DemoCluster {
  readonly nodes: readonly DemoNode[];
  readonly #dir: string;

  private constructor(dir: string, nodes: readonly DemoNode[]) {
    this.#dir = dir;
    this.nodes = nodes;
  }

  static async create(): Promise<DemoCluster> {
    const dir = await mkdtemp(join(tmpdir(), "d-engine-demo-"));
    const ports = await freePorts(6);
    const nodes = ["n1", "n2", "n3"].map((name, i) => ({
      name,
      url: `http://127.0.0.1:${ports[2 * i]}`,
      peerUrl: `http://127.0.0.1:${ports[2 * i + 1]}`,
      process: null,
    }));
    return new DemoCluster(dir, nodes);
  }

  /** Starts a member's process; it is up when its `/livez` answers. */
  async start(node: DemoNode): Promise<void> {
    const log = await open(this.#logFile(node), "a");
    const flags = {
      "--name": node.name,
      "--data-dir": join(this.#dir, node.name),
      "--listen-client-urls": node.url,
      "--advertise-client-urls": node.url,
      "--listen-peer-urls": node.peerUrl,
      "--initial-advertise-peer-urls": node.peerUrl,
      "--initial-cluster": this.nodes.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(","),
    };
    const child = spawn(process.execPath, [CLI, "serve", ...Object.entries(flags).flat()], {
      stdio: ["ignore", log.fd, log.fd],
    });
    await log.close();
    node.process = child;
    await until(10_000, `${node.name} to listen`, async () => {
      if (child.exitCode !== null) throw new Error(`${node.name} exited:\n${await this.#tail(node)}`);
      const response = await fetch(`${node.url}/livez`).catch(() => null);
      await response?.text();
      return response?.ok === true;
    });
  }

  /** SIGKILL: no goodbye, nothing flushed. */
  async kill(node: DemoNode): Promise<void> {
    const child = node.process;
    if (child === null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    node.process = null;
    await exited;
  }

  async destroy(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.kill(node)));
    await rm(this.#dir, { recursive: true, force: true });
  }

  #logFile(node: DemoNode): string {
    return join(this.#dir, `${node.name}.log`);
  }

  async #tail(node: DemoNode): Promise<string> {
    return (await readFile(this.#logFile(node), "utf8")).slice(-2000);
  }
}

/** Asks again every few milliseconds until the answer is yes. */
export async function until(timeoutMs: number, what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Below the range of outgoing connections: one of those could take the port of a member that is down for a while. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
