import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Endpoint, status, type Status } from "./api.ts";
import { freePorts } from "../../runtimes/node/free-ports.ts";
import type { Run } from "./program.ts";
import { type Flags, Server } from "./server.ts";
import { until } from "./waiting.ts";

/** A directory that is removed when the program ends. */
export async function workDir(run: Run): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-blackbox-"));
  run.cleanUp(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Founding members on loopback, each with a data directory of its own; not started yet. */
export async function cluster(run: Run, dir: string, size: number, flags: Flags = {}): Promise<Server[]> {
  const ports = await freePorts(2 * size);
  const names = Array.from({ length: size }, (_, i) => `n${i + 1}`);
  const peerUrls = names.map((_, i) => `http://127.0.0.1:${ports[2 * i + 1]}`);
  return names.map((name, i) => {
    const server = new Server(dir, name, `http://127.0.0.1:${ports[2 * i]}`, {
      "data-dir": join(dir, name),
      "listen-peer-urls": peerUrls[i]!,
      "initial-advertise-peer-urls": peerUrls[i]!,
      "initial-cluster": names.map((each, j) => `${each}=${peerUrls[j]}`).join(","),
      ...flags,
    });
    run.cleanUp(() => server.signal("SIGKILL"));
    return server;
  });
}

/** The server that leads and that all of them take for the leader. */
export async function leaderOf<E extends Endpoint>(servers: readonly E[], seconds = 20): Promise<E> {
  return await until(seconds, "a leader on whom all agree", async () => {
    const seen = await Promise.all(servers.map((server) => status(server)));
    const leaderId = seen[0]?.leaderId ?? null;
    if (leaderId === null || seen.some((each) => each?.leaderId !== leaderId)) return null;
    return servers[seen.findIndex((each) => each?.nodeId === leaderId && each.role === "leader")] ?? null;
  });
}

/** Waits until all have applied the same; their hashes, which may differ only if something is broken. */
export async function settledHashes(servers: readonly Endpoint[], seconds = 30): Promise<string[]> {
  return await until(seconds, "all members to have applied the same", async () => {
    const seen = await Promise.all(servers.map((server) => status(server)));
    if (!sameApplied(seen)) return null;
    const hashed = await Promise.all(servers.map((server) => status(server, true)));
    return sameApplied([...seen, ...hashed]) ? hashed.map((each) => each!.stateHash!) : null;
  });
}

function sameApplied(seen: readonly (Status | null)[]): boolean {
  return seen.every((each) => each !== null && each.appliedIndex === seen[0]?.appliedIndex);
}
