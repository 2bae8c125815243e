// Three-member clusters of server processes on loopback, with their data in a temporary directory.

import { type ChildProcess, spawn } from "node:child_process";
import { openSync, closeSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { existsSync } from "node:fs";

/** How to start one member. Both programs take etcd's flags. */
export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** d-engine from a checkout of its sources. */
export function engineProgram(name: string, root: string): Program {
  const main = join(root, "src/runtimes/node/cli/main.ts");
  return { name, command: process.execPath, args: [main, "serve", "--log-level", "warn"] };
}

/** The etcd on the PATH, or null. */
export function etcdProgram(): Program | null {
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  const command = directories.map((dir) => join(dir, "etcd")).find((path) => existsSync(path));
  return command === undefined
    ? null
    : { name: "etcd", command, args: ["--logger=zap", "--log-level=error"] };
}

interface Member {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
}

export class ServerCluster {
  readonly name: string;
  readonly #dir: string;
  readonly #members: readonly Member[];
  readonly #processes: ChildProcess[] = [];

  private constructor(name: string, dir: string, members: readonly Member[]) {
    this.name = name;
    this.#dir = dir;
    this.#members = members;
  }

  static async start(program: Program): Promise<ServerCluster> {
    const dir = await mkdtemp(join(tmpdir(), "d-engine-bench-"));
    const ports = await freePorts(6);
    const members = [1, 2, 3].map((n) => ({
      name: `n${n}`,
      url: `http://127.0.0.1:${ports[n - 1]}`,
      peerUrl: `http://127.0.0.1:${ports[n + 2]}`,
    }));
    const cluster = new ServerCluster(program.name, dir, members);
    try {
      for (const member of members) cluster.#spawn(program, member);
      await cluster.leader();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get urls(): readonly string[] {
    return this.#members.map(({ url }) => url);
  }

  get pids(): readonly number[] {
    return this.#processes.map(({ pid }) => pid!);
  }

  /** The URL of the member that all of them take for the leader. */
  async leader(): Promise<string> {
    const deadlineMs = performance.now() + 20_000;
    for (;;) {
      const seen = await Promise.all(this.urls.map(status));
      const leader = seen[0]?.leader;
      const agreed = leader !== undefined && leader !== "0" && seen.every((each) => each?.leader === leader);
      const url = agreed ? this.urls[seen.findIndex((each) => each?.header.member_id === leader)] : undefined;
      if (url !== undefined) return url;
      if (performance.now() > deadlineMs) throw new Error(`${this.name}: no leader\n${this.#logs()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Every process has ended and its data are gone when this resolves. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(endProcess));
    await rm(this.#dir, { recursive: true, force: true });
  }

  #spawn({ command, args }: Program, { name, url, peerUrl }: Member): void {
    const log = openSync(join(this.#dir, `${name}.log`), "a");
    const flags = {
      "--name": name,
      "--data-dir": join(this.#dir, name),
      "--listen-client-urls": url,
      "--advertise-client-urls": url,
      "--listen-peer-urls": peerUrl,
      "--initial-advertise-peer-urls": peerUrl,
      "--initial-cluster": this.#members.map((each) => `${each.name}=${each.peerUrl}`).join(","),
    };
    const own = PROFILE.flatMap((flag) => (command === process.execPath ? [flag] : []));
    const child = spawn(command, [...own, ...args, ...Object.entries(flags).flat()], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#processes.push(child);
  }

  #logs(): string {
    return this.#members
      .map(({ name }) => readFileSync(join(this.#dir, `${name}.log`), "utf8").slice(-1000))
      .join("");
  }
}

/** Flags for every d-engine server, to see where its time goes: `BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/x"`. */
const PROFILE = (process.env["BENCH_NODE_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "");

export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const insist = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exited;
  clearTimeout(insist);
}

interface Status {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
}

async function status(url: string): Promise<Status | null> {
  try {
    const response = await fetch(`${url}/v3/maintenance/status`, { method: "POST", body: "{}" });
    const body = await response.text();
    return response.ok ? (JSON.parse(body) as Status) : null;
  } catch {
    return null;
  }
}

export async function freePorts(count: number): Promise<number[]> {
  // All held at once, so that they differ.
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
