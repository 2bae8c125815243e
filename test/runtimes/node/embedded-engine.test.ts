import { get } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryStorage } from "../../../src/adapters/memory/index.ts";
import { EngineError } from "../../../src/core/errors/index.ts";
import { actAs, type AuthChange, type Logger, type Member } from "../../../src/core/node/index.ts";
import { type Client, createClient } from "../../../src/runtimes/client/index.ts";
import { EmbeddedEngine, type EmbeddedOptions, hashPassword } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const engines: EmbeddedEngine[] = [];
const quiet: Logger = { log: () => undefined };
/** Elections in a fraction of a second, so that the tests take no longer than they must. */
const QUICK = { logger: quiet, env: {}, heartbeatInterval: 50, electionTimeout: 300 };
const secret = "0123456789abcdef";

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
  await removeTempDirs();
});

async function start(dir: string, options: EmbeddedOptions = {}): Promise<EmbeddedEngine> {
  const engine = await EmbeddedEngine.start(dir, { ...QUICK, ...options });
  engines.push(engine);
  return engine;
}

async function stop(engine: EmbeddedEngine): Promise<void> {
  engines.splice(engines.indexOf(engine), 1);
  await engine.stop();
}

/** Options of founders on loopback. */
async function foundersOptions(names: readonly string[]): Promise<EmbeddedOptions[]> {
  const ports = await freePorts(names.length);
  const initialCluster = Object.fromEntries(names.map((name, i) => [name, `http://127.0.0.1:${ports[i]}`]));
  return names.map((name) => ({ name, initialCluster, peerSecret: secret }));
}

describe("a single embedded engine", () => {
  it("elects itself, and keeps what it was given over a restart", async () => {
    const dir = await tempDir();
    const first = await start(dir);
    const leader = await first.waitReady(30_000);
    expect(leader).toEqual({ id: first.nodeId, term: expect.any(Number) });
    expect([first.isLeader, first.leaderId, first.leaderInfo]).toEqual([true, first.nodeId, leader]);
    await first.client().put("greeting", "hello");
    expect(first.isStopped).toBe(false);
    await stop(first);
    expect(first.isStopped).toBe(true);
    await expect(first.client().put("too", "late")).rejects.toMatchObject({ code: "proposalDropped" });

    const second = await start(dir);
    await second.waitReady(30_000);
    expect(second.nodeId).toBe(first.nodeId);
    expect(await second.client().getText("greeting")).toBe("hello");
  });

  it("draws ids of its own, so that two of them are never taken for one", async () => {
    const [one, two] = [await start(await tempDir()), await start(await tempDir())];
    expect(one.nodeId).not.toBe(two.nodeId);
    expect(one.engine.status().clusterId).not.toBe(two.engine.status().clusterId);
  });

  it("has its directory to itself", async () => {
    const dir = await tempDir();
    await start(dir);
    await expect(start(dir)).rejects.toMatchObject({ code: "storageLocked" });
  });

  it("lets go of everything when it cannot start", async () => {
    const [port] = await freePorts(1);
    const options = { listenClientUrls: `http://127.0.0.1:${port}` };
    const dir = await tempDir();
    await start(await tempDir(), options);
    await expect(start(dir, options)).rejects.toThrow(/cannot listen on .*another process uses this port/);
    await start(dir);
  });

  it("serves HTTP when it is told where, here or in the environment", async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const engine = await start(await tempDir(), { env: { ETCD_LISTEN_CLIENT_URLS: url } });
    await engine.waitReady(30_000);
    await engine.client().put("k", "v");
    expect(await (await fetch(`${url}/kv/k`)).text()).toBe("v");
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^etcd_server_is_leader 1$/m);
    expect(metrics).toMatch(/^d_engine_request_duration_seconds_count\{operation="range"\} 1$/m);
    expect(metrics).toMatch(/^process_cpu_seconds_total /m);
    expect((await fetch(`${url}/raft`, { method: "POST", body: "x" })).status).toBe(404);
  });

  it("demands the client token where there is one", async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const engine = await start(await tempDir(), { listenClientUrls: url, clientToken: secret });
    await engine.waitReady(30_000);
    expect((await fetch(`${url}/kv/k`)).status).toBe(401);
    const headers = { authorization: `Bearer ${secret}` };
    expect((await fetch(`${url}/kv/k`, { headers })).status).toBe(404);
  });

  it("without a token is called by its address or its names, not by one that a web page has made point to it", async () => {
    const [port] = await freePorts(1);
    const engine = await start(await tempDir(), {
      listenClientUrls: `http://127.0.0.1:${port}`,
      advertiseClientUrls: `http://db.example:${port}`,
    });
    await engine.waitReady(30_000);
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const call = get({ port, host: "127.0.0.1", path: "/version", headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        call.on("error", reject);
      });
    expect(await statusFor(`127.0.0.1:${port}`)).toBe(200);
    expect(await statusFor(`db.example:${port}`)).toBe(200);
    expect(await statusFor(`evil.example:${port}`)).toBe(403);
  });

  it("serves clients and members on one address when both are given the same", async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const engine = await start(await tempDir(), { listenClientUrls: url, listenPeerUrls: url });
    await engine.waitReady(30_000);
    expect((await fetch(`${url}/version`)).status).toBe(200);
    const reply = await fetch(`${url}/raft`, { method: "POST", body: "x" });
    expect([reply.status, await reply.text()]).toEqual([400, "this is not a message between members"]);
  });

  it("tells who belongs to the group, now and when it changes", async () => {
    const engine = await start(await tempDir());
    await engine.waitReady(30_000);
    const seen: (readonly Member[])[] = [];
    const called: number[] = [];
    engine.onMembershipChange((members) => called.push(members.length));
    const watching = (async () => {
      for await (const members of engine.watchMembership()) seen.push(members);
    })();
    await expect.poll(() => seen.length).toBe(1);
    await engine.engine.memberAdd({ peerUrls: ["http://127.0.0.1:9"], isLearner: true });
    await expect.poll(() => seen.at(-1)?.length).toBe(2);
    expect(called).toContain(2);
    await stop(engine);
    await watching;
  });
});

describe("an embedded engine with users", () => {
  it("is not asked who it is, and can act as somebody; over HTTP everybody is asked, after a restart too", async () => {
    const dir = await tempDir();
    const [port] = await freePorts(1);
    const listenClientUrls = `http://127.0.0.1:${port}`;
    const first = await start(dir, { listenClientUrls });
    await first.waitReady(30_000);
    const { auth } = first.engine;
    const passwordHash = await hashPassword("pw");
    for (const change of [
      { op: "userAdd", name: "root", passwordHash },
      { op: "userGrantRole", name: "root", role: "root" },
      { op: "userAdd", name: "bob", passwordHash },
      { op: "enable" },
    ] satisfies AuthChange[]) {
      await auth.change(change);
    }
    await first.client().put("k", "v");
    const { since } = auth.identities.find("bob")!;
    const bob = actAs(first.engine, { type: "user", name: "bob", since });
    await expect(bob.range({ key: new Uint8Array([107]) })).rejects.toMatchObject({
      code: "permissionDenied",
    });
    await stop(first);
    const second = await start(dir, { listenClientUrls });
    await second.waitReady(30_000);
    expect(await second.client().getText("k")).toBe("v");
    const connect = (options: object): Client => createClient({ endpoints: listenClientUrls, ...options });
    const [nobody, root] = [connect({}), connect({ user: "root", password: "pw" })];
    await expect(nobody.get("k")).rejects.toMatchObject({ code: "userEmpty" });
    expect(await root.getText("k")).toBe("v");
    for (const client of [nobody, root]) client.close();
  });
});

describe("an embedded engine whose disk fails", () => {
  it("stops by itself, says so, and acknowledges nothing more", async () => {
    class FailingStorage extends MemoryStorage {
      failing = false;
      override commit(...args: Parameters<MemoryStorage["commit"]>): Promise<void> {
        return this.failing
          ? Promise.reject(new EngineError("storageFull", { detail: "test" }))
          : super.commit(...args);
      }
    }
    const storage = new FailingStorage();
    const lines: string[] = [];
    const logger: Logger = { log: (level, message) => lines.push(`${level} ${message}`) };
    const engine = await start(await tempDir(), { storage, logger });
    await engine.waitReady(30_000);
    const failure = new Promise((resolve) => engine.onFailure(resolve));
    storage.failing = true;
    // Whichever of the two the driver uses for this write.
    storage.log.append = () => Promise.reject(new EngineError("storageFull", { detail: "test" }));
    await expect(engine.client().put("k", "v")).rejects.toMatchObject({ name: "EngineError" });
    expect(await failure).toMatchObject({ code: "storageFull" });
    expect(engine.isStopped).toBe(true);
    expect(lines.some((line) => line.startsWith("error the node stops"))).toBe(true);
    await expect(engine.client().get("k", { consistency: "eventual" })).rejects.toMatchObject({
      name: "EngineError",
    });
  });
});

describe("three embedded engines", () => {
  it("elect a leader, share what is written, and go on without one of them", async () => {
    const options = await foundersOptions(["n1", "n2", "n3"]);
    const dirs = await Promise.all(options.map(() => tempDir()));
    const cluster = await Promise.all(options.map((each, i) => start(dirs[i]!, each)));
    const leaders = await Promise.all(cluster.map((engine) => engine.waitReady(30_000)));
    expect(new Set(leaders.map(({ id }) => id)).size).toBe(1);
    for (const [i, engine] of cluster.entries()) await engine.client().put(`k${i}`, `v${i}`);
    for (const engine of cluster) {
      const { entries } = await engine.client().scanPrefix("k");
      expect(entries.length).toBe(3);
    }

    const leader = cluster.find(({ isLeader }) => isLeader)!;
    const others = cluster.filter((engine) => engine !== leader);
    const changes: unknown[] = [];
    others[0]!.onLeaderChange((info) => changes.push(info?.id));
    await stop(leader);
    // Handed over, so that nobody had to wait for an election.
    await expect.poll(() => others.some(({ isLeader }) => isLeader), { timeout: 30_000 }).toBe(true);
    await others[1]!.client().put("after", "handover");
    expect(await others[0]!.client().getText("after")).toBe("handover");
    expect(changes.length).toBeGreaterThan(0);

    const index = cluster.indexOf(leader);
    const back = await start(dirs[index]!, options[index]);
    await back.waitReady(30_000);
    expect(await back.client().getText("after")).toBe("handover");
  });

  it("are the same code as one: a single engine grows by configuration", async () => {
    const ports = await freePorts(3);
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    const dir = await tempDir();
    const alone = await start(dir);
    await alone.waitReady(30_000);
    await alone.client().put("from", "the beginning");
    await stop(alone);

    const common = { peerSecret: secret };
    const first = await start(dir, { ...common, name: "n1", listenPeerUrls: urls[0]! });
    await first.waitReady(30_000);
    expect(first.nodeId).toBe(alone.nodeId);
    await expect
      .poll(async () => (await first.client().listMembers())[0]?.peerUrls, { timeout: 30_000 })
      .toEqual([urls[0]]);

    const initialCluster: Record<string, string> = { n1: urls[0]! };
    for (const [i, name] of ["n2", "n3"].entries()) {
      const peerUrl = urls[i + 1]!;
      initialCluster[name] = peerUrl;
      const { member } = await first.engine.memberAdd({ peerUrls: [peerUrl], isLearner: true });
      const joined = await start(await tempDir(), {
        ...common,
        name,
        initialCluster: { ...initialCluster },
        initialClusterState: "existing",
      });
      expect(joined.nodeId).toBe(member.id);
      await expect
        .poll(
          () =>
            first.engine.memberPromote(member.id).then(
              () => true,
              () => false,
            ),
          { timeout: 30_000 },
        )
        .toBe(true);
      await joined.waitReady(30_000);
      expect(await joined.client().getText("from")).toBe("the beginning");
    }
    const members = await first.client().listMembers({ consistency: "linearizable" });
    expect(members.map(({ isLearner }) => isLearner)).toEqual([false, false, false]);
    await expect
      .poll(async () => (await first.client().listMembers()).map(({ name }) => name).sort(), {
        timeout: 30_000,
      })
      .toEqual(["n1", "n2", "n3"]);
  });
});

describe("what an embedded engine refuses", () => {
  it("a directory that belongs to another member or cluster", async () => {
    const [n1, n2] = await foundersOptions(["n1", "n2"]);
    const dir = await tempDir();
    await stop(await start(dir, n1!));
    await expect(start(dir, n2!)).rejects.toMatchObject({ code: "storageForeign" });
    await expect(start(dir, { ...n1!, initialClusterToken: "another" })).rejects.toThrow(
      /belongs to member .* but --initial-cluster describes member/,
    );
    await expect(start(dir, { ...n1!, group: "another" })).rejects.toThrow(
      /configuration says group "another"/,
    );
    await start(dir, n1!);
  });

  it("to join a cluster that does not know it", async () => {
    const [n1] = await foundersOptions(["n1"]);
    const first = await start(await tempDir(), n1!);
    await first.waitReady(30_000);
    const [port] = await freePorts(1);
    const cluster = { ...(n1!.initialCluster as Record<string, string>), n9: `http://127.0.0.1:${port}` };
    const joining = start(await tempDir(), {
      name: "n9",
      initialCluster: cluster,
      initialClusterState: "existing",
      peerSecret: secret,
    });
    await expect(joining).rejects.toThrow(
      /no member of the cluster has the peer URL .*d-engine member add n9/,
    );
  });

  it("to join when nobody answers, or nobody believes it", async () => {
    const [n1] = await foundersOptions(["n1"]);
    const [port] = await freePorts(1);
    const cluster = { ...(n1!.initialCluster as Record<string, string>), n9: `http://127.0.0.1:${port}` };
    const joiner = { name: "n9", initialCluster: cluster, initialClusterState: "existing" } as const;
    await expect(start(await tempDir(), joiner)).rejects.toMatchObject({
      code: "unhealthy",
      detail: expect.stringContaining("ECONNREFUSED"),
    });
    await start(await tempDir(), n1!);
    await expect(
      start(await tempDir(), { ...joiner, peerSecret: "another_secret_of_16" }),
    ).rejects.toMatchObject({
      detail: expect.stringContaining("same peer secret"),
    });
  });

  it("to come back without its directory", async () => {
    const options = await foundersOptions(["n1", "n2", "n3"]);
    const cluster = await Promise.all(options.map(async (each) => start(await tempDir(), each)));
    await Promise.all(cluster.map((engine) => engine.waitReady(30_000)));
    // A member that has told its name has run.
    await expect
      .poll(async () => (await cluster[1]!.client().listMembers()).every(({ name }) => name !== ""))
      .toBe(true);
    await stop(cluster[0]!);
    await expect(start(await tempDir(), options[0]!)).rejects.toThrow(/has run before, but .* is empty/);
    await expect(start(await tempDir(), { ...options[0]!, initialClusterState: "existing" })).rejects.toThrow(
      /has run before/,
    );
  });
});
