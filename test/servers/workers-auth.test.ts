// Users of Durable Objects, in workerd: over JSON and WebSockets, through sleep, eviction and a restart of all of it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, LocalCluster } from "../runtimes/workers/local-cluster.ts";
import { SocketClient } from "../runtimes/workers/socket-client.ts";

const NODES = ["n1", "n2", "n3"];
const patient = { timeout: 20_000, interval: 50 };
const vars = {
  D_ENGINE_SLEEP_AFTER: "400",
  ETCD_HEARTBEAT_INTERVAL: "200",
  ETCD_ELECTION_TIMEOUT: "2000",
  D_ENGINE_REQUEST_TIMEOUT: "10000",
};

interface Answer {
  readonly code?: number;
  readonly message?: string;
  readonly token?: string;
  readonly enabled?: boolean;
  readonly count?: string;
}

let dir: string;
let script: string;
let cluster: LocalCluster;
beforeAll(async () => {
  script = await bundle("test/runtimes/workers/observed-worker.ts");
  dir = await mkdtemp(join(tmpdir(), "d-engine-users-"));
  cluster = await LocalCluster.start({ script, vars, dir });
}, 60_000);
afterAll(async () => {
  await cluster.stop();
  await rm(dir, { recursive: true, force: true });
});

/** As whoever has this token; the client token goes along, which every request needs. */
async function ask(path: string, body: object = {}, token?: string): Promise<Answer> {
  const headers = token === undefined ? {} : { Token: token };
  const response = await cluster.fetch(`/v3/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers,
  });
  const text = await response.text();
  return JSON.parse(text) as Answer;
}

async function done(path: string, body: object, token?: string): Promise<void> {
  expect(await ask(path, body, token)).not.toHaveProperty("code");
}

async function logIn(name: string, password: string): Promise<string> {
  const { token = "", message } = await ask("auth/authenticate", { name, password });
  expect([name, message]).toEqual([name, undefined]);
  return token;
}

/** By the member, or where the write is applied, if the member was too far behind to know. */
function expectVoid({ code, message }: Answer): void {
  expect([
    [16, "etcdserver: invalid auth token"],
    [3, "etcdserver: revision of auth store is old"],
  ]).toContainEqual([code, message]);
}

function range(key: string): { readonly key: string; readonly range_end: string } {
  return { key: btoa(`${key}/`), range_end: btoa(`${key}0`) };
}

async function put(key: string, token: string): Promise<Answer> {
  return await ask("kv/put", { key: btoa(key), value: btoa("v") }, token);
}

async function watchAs(token: string, key: string): Promise<SocketClient> {
  const client = await SocketClient.open(cluster, "/v3/watch", token);
  client.send({ create_request: range(key) });
  return client;
}

/** All objects lose their memory at once. */
async function evictAll(): Promise<void> {
  for (const node of NODES) {
    await cluster.evict(node).catch((error: unknown) => {
      if (!String(error).includes("not currently running")) throw error;
    });
  }
}

describe("users of Durable Objects", () => {
  let root: string;
  let ann: string;

  it("have what was granted to them, and nothing else", async () => {
    await done("auth/user/add", { name: "root", password: "r" });
    await done("auth/user/grant", { user: "root", role: "root" });
    await done("auth/role/add", { name: "a" });
    await done("auth/role/grant", { name: "a", perm: { permType: "READWRITE", ...range("a") } });
    await done("auth/user/add", { name: "ann", password: "pw" });
    await done("auth/user/grant", { user: "ann", role: "a" });
    await done("auth/enable", {});
    [root, ann] = await Promise.all([logIn("root", "r"), logIn("ann", "pw")]);

    expect(await put("a/1", ann)).not.toHaveProperty("code");
    expect(await put("b/1", root)).not.toHaveProperty("code");
    expect(await put("b/1", ann)).toMatchObject({ code: 7, message: "etcdserver: permission denied" });
    expect(await ask("kv/range", range("b"), ann)).toMatchObject({ code: 7 });
    expect(await ask("kv/range", range("a"), ann)).toMatchObject({ count: "1" });
    expect(await ask("kv/range", range("a"))).toMatchObject({
      code: 3,
      message: "etcdserver: user name is empty",
    });
    expect(await ask("auth/user/list", {}, ann)).toMatchObject({ code: 7 });
    expect(await ask("kv/range", range("a"), `${ann.slice(0, -4)}AAAA`)).toMatchObject({
      code: 16,
      message: "etcdserver: invalid auth token",
    });
    for (const [name, password] of [
      ["ann", "wrong"],
      ["nobody", "pw"],
    ]) {
      expect(await ask("auth/authenticate", { name, password })).toMatchObject({
        code: 3,
        message: "etcdserver: authentication failed, invalid user ID or password",
      });
    }
  }, 120_000);

  it("stay who they are when all objects have lost their memory", async () => {
    for (let round = 0; round < 3; round++) {
      await evictAll();
      expect(await put(`a/${round}`, ann)).not.toHaveProperty("code");
      expect(await put("b/1", ann)).toMatchObject({ code: 7 });
    }
    await evictAll();
    expect(await logIn("ann", "pw")).toMatch(/^de1\./);
    expect(await ask("auth/authenticate", { name: "ann", password: "wrong" })).toMatchObject({ code: 3 });
  }, 120_000);

  it("watch what they may read, through evictions, until it is taken from them", async () => {
    const [forbidden, unknown] = [await watchAs(ann, "b"), await SocketClient.open(cluster)];
    unknown.send({ create_request: range("a") });
    await expect
      .poll(() => forbidden.canceled[0]?.result?.cancel_reason, patient)
      .toMatch(/permission denied/);
    await expect
      .poll(() => unknown.canceled[0]?.result?.cancel_reason, patient)
      .toMatch(/user name is empty/);

    const watch = await watchAs(ann, "a");
    await expect.poll(() => watch.created, patient).toBe(1);
    await put("a/2", ann);
    await expect.poll(() => watch.events.length, patient).toBe(1);
    await evictAll();
    await put("b/2", root);
    await put("a/3", root);
    await expect.poll(() => watch.events.length, patient).toBe(2);
    expect(watch.canceled).toEqual([]);

    await evictAll();
    await done("auth/user/revoke", { name: "ann", role: "a" }, root);
    await put("a/4", root);
    await expect.poll(() => watch.canceled[0]?.result?.cancel_reason, patient).toMatch(/permission denied/);
    expect(watch.events).toHaveLength(2);
    await done("auth/user/grant", { user: "ann", role: "a" }, root);
    for (const client of [forbidden, unknown, watch]) client.close();
  }, 120_000);

  it("are those of before when the runtime starts again, and no token is good for longer than its password", async () => {
    await cluster.stop();
    cluster = await LocalCluster.start({ script, vars, dir });
    expect(await put("a/5", ann)).not.toHaveProperty("code");
    expect(await ask("auth/status", {}, root)).toMatchObject({ enabled: true });

    await done("auth/user/changepw", { name: "ann", password: "new" }, root);
    expectVoid(await put("a/6", ann));
    await evictAll();
    expectVoid(await put("a/6", ann));
    expect(await ask("auth/authenticate", { name: "ann", password: "pw" })).toMatchObject({ code: 3 });
    const again = await logIn("ann", "new");
    expect(await put("a/6", again)).not.toHaveProperty("code");

    // Another one of that name is somebody else.
    await done("auth/user/delete", { name: "ann" }, root);
    await done("auth/user/add", { name: "ann", password: "new" }, root);
    await done("auth/user/grant", { user: "ann", role: "a" }, root);
    await evictAll();
    expectVoid(await put("a/7", again));
    expect(await put("a/7", await logIn("ann", "new"))).not.toHaveProperty("code");

    await done("auth/disable", {}, root);
    await evictAll();
    expect(await ask("kv/range", range("b"))).toMatchObject({ count: "2" });
    // With tokens from before nobody is anybody while it is off; on again, they are signed with another key.
    await done("auth/enable", {});
    await expect
      .poll(() => put("a/8", root), patient)
      .toMatchObject({ code: 16, message: "etcdserver: invalid auth token" });
  }, 180_000);
});
