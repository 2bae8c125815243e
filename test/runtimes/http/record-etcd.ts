// Records what a real etcd's JSON gateway answers to the scenarios, for etcd-replies.test.ts to compare with:
//
//     node test/runtimes/http/record-etcd.ts > test/runtimes/http/etcd-3.4-replies.json
//
// Needs `etcd` on the PATH (Debian: etcd-server). Each scenario gets a fresh single node on loopback.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SCENARIOS, type Scenario } from "./etcd-scenarios.ts";
import { type Recording, replyLine } from "./recording.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function startEtcd(
  directory: string,
): Promise<{ readonly url: string; readonly process: ChildProcess }> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(
    "etcd",
    [
      ["--name", "default", "--data-dir", directory],
      ["--listen-client-urls", url, "--advertise-client-urls", url],
      ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ["--initial-cluster", `default=${peerUrl}`],
    ].flat(),
    { stdio: "ignore" },
  );
  for (let attempt = 0; attempt < 100; attempt++) {
    const health = await fetch(`${url}/health`).catch(() => null);
    if (health?.ok === true) return { url, process: child };
    await sleep(100);
  }
  child.kill();
  throw new Error("etcd did not become healthy");
}

async function record(scenario: Scenario): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "record-etcd-"));
  const etcd = await startEtcd(directory);
  try {
    const replies: string[] = [];
    for (const { path, body } of scenario.steps) {
      const reply = await fetch(etcd.url + path, { method: "POST", body });
      replies.push(replyLine(reply.status, await reply.text()));
    }
    return replies;
  } finally {
    etcd.process.kill();
    await once(etcd.process, "exit");
    rmSync(directory, { recursive: true });
  }
}

const version = execFileSync("etcd", ["--version"], { encoding: "utf8" }).split("\n")[0] ?? "";
const scenarios: Record<string, string[]> = {};
for (const scenario of SCENARIOS) scenarios[scenario.name] = await record(scenario);
const recording: Recording = { version, scenarios };
process.stdout.write(`${JSON.stringify(recording, null, 2)}\n`);
