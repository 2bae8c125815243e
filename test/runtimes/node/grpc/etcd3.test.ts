// The npm package etcd3, as it is, against a server that listens.

import { Etcd3, EtcdLeaseInvalidError, EtcdLockFailedError, STMConflictError } from "etcd3";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { EmbeddedEngine } from "../../../../src/runtimes/node/index.ts";
import { freePorts } from "../free-ports.ts";
import { removeTempDirs, tempDir } from "../temp-dirs.ts";

/** The package has it as a constant enum, which stands in its types alone. Its default finds a conflict wherever two meet. */
const SERIALIZABLE = 1;

let engine: EmbeddedEngine;
let client: Etcd3;

beforeAll(async () => {
  const [port = 0] = await freePorts(1);
  engine = await EmbeddedEngine.start(await tempDir(), {
    logger: { log: () => undefined },
    env: {},
    storage: "memory:",
    listenClientUrls: `http://127.0.0.1:${port}`,
    heartbeatInterval: 50,
    electionTimeout: 300,
  });
  await engine.waitReady(30_000);
  client = new Etcd3({ hosts: `127.0.0.1:${port}` });
});

afterAll(async () => {
  client.close();
  await engine.stop();
  await removeTempDirs();
});

describe("etcd3", () => {
  it("puts, gets, pages and deletes", async () => {
    await client.put("kv/a").value("1");
    await client.put("kv/b").value("2");
    expect(await client.get("kv/a").string()).toBe("1");
    expect(await client.get("kv/none").string()).toBeNull();
    expect(await client.getAll().prefix("kv/").strings()).toEqual({ "kv/a": "1", "kv/b": "2" });
    expect(await client.getAll().prefix("kv/").sort("Key", "Descend").limit(1).keys()).toEqual(["kv/b"]);
    expect(await client.getAll().prefix("kv/").count()).toBe(2);
    const before = await client.put("kv/a").value("3").getPrevious();
    expect(String(before.value)).toBe("1");
    expect((await client.delete().prefix("kv/")).deleted).toBe("2");
  });

  it("makes transactions", async () => {
    await client.put("txn/a").value("1");
    const run = (expected: string): Promise<{ succeeded: boolean }> =>
      client
        .if("txn/a", "Value", "==", expected)
        .then(client.put("txn/b").value("then"))
        .else(client.put("txn/b").value("else"))
        .commit();
    expect((await run("1")).succeeded).toBe(true);
    expect(await client.get("txn/b").string()).toBe("then");
    expect((await run("2")).succeeded).toBe(false);
    expect(await client.get("txn/b").string()).toBe("else");
  });

  it("watches from a revision on, and what comes", async () => {
    const { header } = await client.put("watch/a").value("1");
    const watcher = client.watch().prefix("watch/").startRevision(header.revision).watcher();
    const seen: string[] = [];
    watcher.on("put", ({ key, value }) => seen.push(`${String(key)}=${String(value)}`));
    watcher.on("delete", ({ key }) => seen.push(`-${String(key)}`));
    await client.put("watch/b").value("2");
    await client.delete().key("watch/a");
    await vi.waitFor(() => expect(seen).toEqual(["watch/a=1", "watch/b=2", "-watch/a"]), { timeout: 30_000 });
    await watcher.cancel();
  });

  it("keeps a lease alive, and loses its keys with it", async () => {
    const lease = client.lease(1);
    await lease.put("lease/a").value("1");
    const renewed = new Promise((resolve) => lease.on("keepaliveSucceeded", resolve));
    await renewed;
    await lease.keepaliveOnce();
    await lease.revoke();
    expect(await client.get("lease/a").string()).toBeNull();
    await expect(lease.keepaliveOnce()).rejects.toThrow(EtcdLeaseInvalidError);
  });

  it("locks", async () => {
    const lock = client.lock("the-lock").ttl(5);
    await lock.acquire();
    await expect(client.lock("the-lock").acquire()).rejects.toThrow(EtcdLockFailedError);
    await lock.release();
    expect(await client.lock("the-lock").do(() => "mine")).toBe("mine");
  });

  it("elects, observes and resigns", async () => {
    const election = client.election("the-election", 5);
    const observer = await election.observe();
    const leaders: (string | undefined)[] = [];
    observer.on("change", (leader) => leaders.push(leader));
    const first = election.campaign("one");
    await first.wait();
    await vi.waitFor(() => expect(leaders.at(-1)).toBe("one"), { timeout: 30_000 });
    const second = election.campaign("two");
    await first.resign();
    await second.wait();
    await vi.waitFor(() => expect(leaders.at(-1)).toBe("two"), { timeout: 30_000 });
    expect(await election.leader()).toBe("two");
    await second.resign();
    await observer.cancel();
  });

  it("runs transactional memory, and finds conflicts", async () => {
    await client.put("stm/a").value("100");
    await client.put("stm/b").value("0");
    const move = (amount: number): Promise<void> =>
      client.stm({ retries: 20, isolation: SERIALIZABLE }).transact(async (tx) => {
        const [a, b] = await Promise.all([tx.get("stm/a").number(), tx.get("stm/b").number()]);
        await tx.put("stm/a").value(Number(a) - amount);
        await tx.put("stm/b").value(Number(b) + amount);
      });
    await Promise.all([move(10), move(20), move(30)]);
    expect(await client.getAll().prefix("stm/").numbers()).toEqual({ "stm/a": 40, "stm/b": 60 });
    const interrupted = client.stm({ retries: 0, isolation: SERIALIZABLE }).transact(async (tx) => {
      const a = await tx.get("stm/a").number();
      await client.put("stm/a").value("7");
      await tx.put("stm/b").value(Number(a));
    });
    await expect(interrupted).rejects.toThrow(STMConflictError);
  });

  it("asks for members and status", async () => {
    const { members } = await client.cluster.memberList({});
    expect(members.map(({ name }) => name)).toEqual(["default"]);
    expect((await client.maintenance.status()).version).toMatch(/^3\.5\./);
  });
});
