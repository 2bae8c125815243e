// A Worker and its objects in the real runtime, workerd, on this machine.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Miniflare, NoOpLog } from "miniflare";

export const CLIENT_TOKEN = "a-token-of-clients";
export const PEER_SECRET = "a-secret-of-peers";
const WORKER = "d-engine";

export type Vars = Readonly<Record<string, string>>;

/** What `wrangler deploy` would upload, made from an entry as it is in the repository. */
export async function bundle(entry: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-bundle-"));
  try {
    const args = ["node_modules/wrangler/bin/wrangler.js", "deploy", entry, "--dry-run", "--outdir", dir];
    await promisify(execFile)(process.execPath, args, {
      env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
    });
    return await readFile(join(dir, basename(entry).replace(/ts$/, "js")), "utf8");
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export interface ClusterOptions {
  readonly script: string;
  readonly vars?: Vars;
  /** Where storage outlives the process. */
  readonly dir?: string;
  readonly port?: number;
  /** More URLs than one: `http://HOST:PORT`. */
  readonly sockets?: readonly { readonly host: string; readonly port: number }[];
  readonly log?: (line: string) => void;
}

/** Quick enough for tests: the platform's own latencies are not there. */
const QUICK: Vars = {
  ETCD_HEARTBEAT_INTERVAL: "60",
  ETCD_ELECTION_TIMEOUT: "300",
  D_ENGINE_REQUEST_TIMEOUT: "4000",
};

export class LocalCluster {
  readonly miniflare: Miniflare;
  readonly url: string;

  private constructor(miniflare: Miniflare, url: URL) {
    this.miniflare = miniflare;
    this.url = url.origin;
  }

  static async start(options: ClusterOptions): Promise<LocalCluster> {
    const miniflare = new Miniflare(miniflareOptions(options));
    return new LocalCluster(miniflare, await miniflare.ready);
  }

  /** A request with the client token. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("Authorization")) headers.set("Authorization", `Bearer ${CLIENT_TOKEN}`);
    return await fetch(`${this.url}${path}`, { ...init, headers });
  }

  async put(key: string, value: string): Promise<Response> {
    return await this.fetch(`/kv/${key}`, { method: "PUT", body: value });
  }

  /** The value, or what was answered instead. */
  async get(key: string, query = ""): Promise<string> {
    const response = await this.fetch(`/kv/${key}${query}`);
    const text = await response.text();
    return response.ok ? text : `${response.status} ${text}`;
  }

  /** The same Worker anew, with other variables or another script; storage in a directory is kept. */
  async redeploy(options: ClusterOptions): Promise<void> {
    await this.miniflare.setOptions(miniflareOptions({ ...options, port: Number(new URL(this.url).port) }));
  }

  /**
   * Does something to an object of the observed Worker: `abort` it, `lose` its storage, `delay=ms` its answers, let
   * its alarm `ring=ms` from now; or asks it for its `alarm`, its `metrics`, or how many `timers` there are.
   */
  async harm(node: string, harm: string, group = "default"): Promise<string> {
    const Authorization = `Bearer ${CLIENT_TOKEN}`;
    const headers = { "X-Harm-Object": `${group}/${node}`, "X-Harm": harm, Authorization };
    const response = await fetch(this.url, { headers });
    return await response.text();
  }

  /** Takes an object's memory away, as the platform does with those that are idle. */
  async evict(node: string, group = "default"): Promise<void> {
    await this.miniflare.unsafeEvictDurableObject(WORKER, "RaftObject", { name: `${group}/${node}` });
  }

  async stop(): Promise<void> {
    await this.miniflare.dispose();
  }
}

function miniflareOptions({
  script,
  vars,
  dir,
  port,
  sockets,
  log,
}: ClusterOptions): ConstructorParameters<typeof Miniflare>[0] {
  return convertV4MiniflareOptions({
    name: WORKER,
    host: "127.0.0.1",
    port: port ?? 0,
    modules: true,
    script,
    compatibilityDate: "2026-10-01",
    compatibilityFlags: ["enable_request_signal"],
    durableObjects: { RAFT: { className: "RaftObject", useSQLite: true } },
    bindings: {
      D_ENGINE_NODES: "n1,n2,n3",
      D_ENGINE_PEER_SECRET: PEER_SECRET,
      D_ENGINE_CLIENT_TOKEN: CLIENT_TOKEN,
      ...QUICK,
      ...vars,
    },
    ...(dir === undefined ? {} : { resourcePersistencePath: dir }),
    ...(sockets === undefined ? {} : { unsafeDirectSockets: [...sockets] }),
    log: new NoOpLog(),
    handleStructuredLogs: ({ message }) => log?.(message),
  });
}
