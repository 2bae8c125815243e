// Durable Objects and the Worker in front, in workerd: together, with one of them harmed, and asleep.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { KvStore } from "../../src/core/kv/index.ts";
import { BackupReader } from "../../src/core/node/index.ts";
import { EmbeddedEngine } from "../../src/runtimes/node/index.ts";
import { freePorts } from "../runtimes/node/free-ports.ts";
import {
  bundle,
  CLIENT_TOKEN,
  type ClusterOptions,
  LocalCluster,
  PEER_SECRET,
} from "../runtimes/workers/local-cluster.ts";

let script: string;
beforeAll(async () => {
  script = await bundle("test/runtimes/workers/observed-worker.ts");
}, 60_000);

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: Partial<ClusterOptions> = {}): Promise<LocalCluster> {
  const cluster = await LocalCluster.start({ script, ...options });
  undo.push(() => cluster.stop());
  return cluster;
}

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "d-engine-workers-"));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

interface MemberList {
  readonly members: readonly { readonly name?: string; readonly isLearner?: boolean }[];
}

async function members(cluster: LocalCluster): Promise<string[]> {
  const response = await cluster.fetch("/v3/cluster/member/list", { method: "POST", body: "{}" });
  const { members: list = [] } = (await response.json()) as Partial<MemberList>;
  return list.map(({ name = "?", isLearner }) => (isLearner === true ? `${name} learns` : name)).sort();
}

async function leader(cluster: LocalCluster): Promise<string> {
  const response = await cluster.fetch("/kv/any");
  await response.text();
  return response.headers.get("X-D-Engine-Leader-Node") ?? "nobody";
}

const patient = { timeout: 15_000, interval: 100 };

describe("three objects", () => {
  let cluster: LocalCluster;
  const events: string[] = [];
  beforeAll(async () => {
    const vars = { D_ENGINE_SLEEP_AFTER: "400", D_ENGINE_GROUPS: "orders,team-*" };
    cluster = await LocalCluster.start({ script, vars, log: (line) => events.push(line) });
  });
  afterAll(() => cluster.stop());

  it("are not awakened by whoever lacks the token", async () => {
    for (const path of ["/kv/a", "/health", "/g/orders/kv/a", "/raft", "/version"]) {
      const response = await fetch(cluster.url + path);
      expect([response.status, await response.json()]).toMatchObject([401, { reason: "unauthenticated" }]);
    }
    expect(events).toEqual([]);
  });

  it("elect a leader, write, and read under three policies", async () => {
    expect((await cluster.put("greeting", "hello")).status).toBe(200);
    for (const consistency of ["linearizable", "lease"]) {
      expect(await cluster.get("greeting", `?consistency=${consistency}`)).toBe("hello");
    }
    // Any replica may answer this one, also one that has not heard of the write yet.
    await expect.poll(() => cluster.get("greeting", "?consistency=eventual")).toBe("hello");
  });

  it("speak etcd's API", async () => {
    const body = JSON.stringify({ key: btoa("k"), value: btoa("v") });
    const put = await cluster.fetch("/v3/kv/put", { method: "POST", body });
    expect(await put.json()).toMatchObject({ header: { raft_term: expect.any(String) } });
    const range = await cluster.fetch("/v3/kv/range", { method: "POST", body: `{"key":"${btoa("k")}"}` });
    expect(await range.json()).toMatchObject({ kvs: [{ key: btoa("k"), value: btoa("v"), version: "1" }] });
    await expect.poll(() => members(cluster), patient).toEqual(["n1", "n2", "n3"]);
  });

  it("give their state as a snapshot that ends with its SHA-256, and a hash of it", async () => {
    const post = (path: string): Promise<string> =>
      cluster.fetch(path, { method: "POST", body: "{}" }).then((response) => response.text());
    for (let i = 0; i < 40; i++)
      await cluster.fetch(`/kv/large-${i}`, { method: "PUT", body: "x".repeat(20_000) });
    const { hash } = JSON.parse(await post("/v3/maintenance/hashkv")) as { readonly hash: number };
    const store = new KvStore();
    const restorer = store.restorer();
    const reader = new BackupReader((content) => restorer.push(content));
    const lines = (await post("/v3/maintenance/snapshot")).trimEnd().split("\n");
    for (const line of lines) {
      const { result } = JSON.parse(line) as { readonly result: { readonly blob: string } };
      reader.push(Buffer.from(result.blob, "base64"));
    }
    const { groupId, revision } = reader.finish();
    restorer.finish();
    expect([groupId, revision]).toEqual(["default", store.revision]);
    expect(Number.parseInt(store.hash().slice(-8), 16)).toBe(hash);
    expect(lines.length).toBeGreaterThan(4);
    await cluster.fetch("/kv/large-?prefix=1", { method: "DELETE" });
  });

  it("count what is billed", async () => {
    const written = async (): Promise<number> => {
      const text = await (await cluster.fetch("/metrics")).text();
      expect(text).toContain("etcd_server_is_leader 1\n");
      expect(text).toMatch(/^d_engine_propose_commit_duration_seconds_count [1-9]/m);
      expect(text).toMatch(/^etcd_server_leader_changes_seen_total [1-9]/m);
      return Number(/^d_engine_rows_written ([0-9]+)$/m.exec(text)?.[1]);
    };
    const before = await written();
    for (let i = 0; i < 5; i++) await cluster.put("counted", String(i));
    expect(await written()).toBeGreaterThanOrEqual(before + 5);
  });

  it("go on when the leader is aborted while writes are under way, and keep what was acknowledged", async () => {
    const acknowledged: number[] = [];
    const writer = async (from: number): Promise<void> => {
      for (let i = from; i < from + 15; i++) {
        const response = await cluster.put(`w${i}`, String(i));
        await response.text();
        if (response.ok) acknowledged.push(i);
      }
    };
    const before = await leader(cluster);
    const writers = [writer(0), writer(100), writer(200)];
    await sleep(60);
    await cluster.harm(before, "abort");
    await Promise.all(writers);
    expect(acknowledged.length).toBeGreaterThan(20);
    for (const i of acknowledged) expect(await cluster.get(`w${i}`)).toBe(String(i));
  });

  it("serve other groups, each by itself, and only those that are allowed", async () => {
    const put = await cluster.fetch("/g/team-7/kv/greeting", { method: "PUT", body: "seven" });
    expect(put.status).toBe(200);
    expect(await (await cluster.fetch("/g/team-7/kv/greeting")).text()).toBe("seven");
    expect(await cluster.get("greeting")).toBe("hello");
    for (const group of ["other", "team%2F7", "..", "", "a".repeat(200)]) {
      const response = await fetch(`${cluster.url}/g/${group}/kv/a`, {
        headers: { Authorization: `Bearer ${CLIENT_TOKEN}` },
      });
      expect([group, response.status]).toEqual([group, expect.toSatisfy((status) => status >= 400)]);
    }
  });

  it("cost nothing while they sleep, and answer the first request without waiting for an election", async () => {
    await cluster.put("greeting", "still here");
    await sleep(1500);
    events.length = 0;
    await sleep(1000);
    expect(events).toEqual([]);
    for (const node of ["n1", "n2", "n3"]) expect(await cluster.harm(node, "alarm")).toBe("null");
    for (const node of ["n1", "n2", "n3"]) await cluster.evict(node);
    const startedMs = performance.now();
    expect(await cluster.get("greeting")).toBe("still here");
    console.log(`asleep to first answer: ${Math.round(performance.now() - startedMs)} ms`);
    expect(events.filter((line) => line === "@made").length).toBeGreaterThanOrEqual(2);
  });

  it("are there in time for a lease, though the group sleeps", async () => {
    expect((await cluster.fetch("/kv/leased?ttl=3", { method: "PUT", body: "x" })).status).toBe(200);
    const leading = await leader(cluster);
    await sleep(1500);
    expect(Number(await cluster.harm(leading, "alarm"))).toBeGreaterThan(Date.now());
    await expect.poll(() => cluster.get("leased", "?consistency=eventual"), patient).toMatch(/^404/);
    await expect.poll(() => cluster.harm(leading, "alarm"), patient).toBe("null");
  });

  it("wake without the leader that put them to sleep", async () => {
    const before = await leader(cluster);
    await sleep(1500);
    // It takes so long for each request that it might as well be gone.
    await cluster.harm(before, "delay=60000");
    const others = ["n1", "n2", "n3"].filter((name) => name !== before);
    expect(await cluster.get("greeting")).toBe("still here");
    expect(others).toContain(await leader(cluster));
    await cluster.harm(before, "delay=0");
  });
});

describe("storage", () => {
  it("outlives the runtime", async () => {
    const dir = await tempDir();
    const first = await LocalCluster.start({ script, dir });
    await first.put("kept", "yes");
    await first.stop();
    const second = await start({ dir });
    expect(await second.get("kept")).toBe("yes");
  });
});

describe("the configuration", () => {
  it("makes three of one, and puts a new node in the place of one that was lost", async () => {
    const dir = await tempDir();
    const cluster = await start({ dir, vars: { D_ENGINE_NODES: "n1" } });
    await cluster.put("since", "one");
    expect(await members(cluster)).toEqual(["n1"]);

    await cluster.redeploy({ script, dir });
    expect(await cluster.get("since")).toBe("one");
    await expect.poll(() => members(cluster), patient).toEqual(["n1", "n2", "n3"]);

    await cluster.harm("n2", "lose").catch(() => undefined);
    expect(await cluster.get("since")).toBe("one");
    const vars = { D_ENGINE_NODES: "n1,n4,n3", D_ENGINE_REMOVED_NODES: "n2" };
    await cluster.redeploy({ script, dir, vars });
    expect(await cluster.get("since")).toBe("one");
    await expect.poll(() => members(cluster), patient).toEqual(["n1", "n3", "n4"]);
    expect((await cluster.put("since", "four")).status).toBe(200);
  }, 60_000);
});

describe("a mixed cluster", () => {
  it("of one object and two Node processes survives the loss of its leader on either side", async () => {
    const [objectPort, ...nodePorts] = await freePorts(3);
    const urls = {
      n1: `http://127.0.0.1:${objectPort}`,
      n2: `http://127.0.0.1:${nodePorts[0]}`,
      n3: `http://127.0.0.1:${nodePorts[1]}`,
    };
    const nodes = await Promise.all(
      (["n2", "n3"] as const).map(async (name) => {
        const engine = await EmbeddedEngine.start(await tempDir(), {
          name,
          initialCluster: urls,
          peerSecret: PEER_SECRET,
          heartbeatInterval: 60,
          electionTimeout: 300,
          env: {},
        });
        undo.push(() => engine.stop());
        return { name, engine };
      }),
    );
    const vars = { D_ENGINE_NODES: `n1@weur=${urls.n1},n2=${urls.n2},n3=${urls.n3}` };
    const cluster = await start({ vars, port: objectPort! });
    expect((await cluster.put("where", "everywhere")).status).toBe(200);
    for (const { engine } of nodes) expect(await engine.client().getText("where")).toBe("everywhere");

    // The object's turn to lead, and to lose its memory.
    const object = (await nodes[0]!.engine.engine.memberList()).members.find(({ name }) => name === "n1")!;
    const leading = nodes.find(({ engine }) => engine.isLeader);
    await leading?.engine.engine.transferLeadership(object.id);
    expect(await leader(cluster)).toBe("n1");
    await cluster.harm("n1", "abort").catch(() => undefined);
    expect((await cluster.put("where", "still everywhere")).status).toBe(200);

    // And that of a process.
    await expect.poll(() => nodes.some(({ engine }) => engine.leaderId !== null), patient).toBe(true);
    const inProcess = nodes.find(({ engine }) => engine.isLeader) ?? nodes[0]!;
    await inProcess.engine.stop();
    expect(await cluster.get("where")).toBe("still everywhere");
    expect((await cluster.put("where", "two of three")).status).toBe(200);
  }, 40_000);
});
