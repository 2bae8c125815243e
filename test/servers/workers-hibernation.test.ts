// Watchers and leases of Durable Objects that lose their memory, in workerd.

import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bundle, CLIENT_TOKEN, LocalCluster } from "../runtimes/workers/local-cluster.ts";
import { SocketClient } from "../runtimes/workers/socket-client.ts";

const NODES = ["n1", "n2", "n3"];
const SLEEP_AFTER_MS = 400;
const patient = { timeout: 20_000, interval: 50 };

let script: string;
let dir: string;
let cluster: LocalCluster;
const events: string[] = [];
/** Patient with a machine that has other things to do, too; to wake takes no election timeout. */
const vars = {
  D_ENGINE_SLEEP_AFTER: String(SLEEP_AFTER_MS),
  ETCD_HEARTBEAT_INTERVAL: "200",
  ETCD_ELECTION_TIMEOUT: "2000",
  D_ENGINE_REQUEST_TIMEOUT: "10000",
};

beforeAll(async () => {
  script = await bundle("test/runtimes/workers/observed-worker.ts");
  dir = await mkdtemp(join(tmpdir(), "d-engine-hibernation-"));
  cluster = await LocalCluster.start({ script, vars, dir, log: (line) => events.push(line) });
}, 60_000);
afterAll(async () => {
  await cluster.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Writes, and gives the revision. */
async function put(key: string, value = "x", query = ""): Promise<number> {
  const response = await cluster.fetch(`/kv/${key}${query}`, { method: "PUT", body: value });
  expect(response.status).toBe(200);
  return Number(
    response.headers.get("X-D-Engine-Revision") ?? ((await response.json()) as { revision: number }).revision,
  );
}

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await cluster.fetch(path, { method: "POST", body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** Waits until nothing happens any more, and nothing is going to. */
async function asleep(): Promise<void> {
  const busy = async (): Promise<number> => {
    events.length = 0;
    await sleep(SLEEP_AFTER_MS);
    const seen = events.filter((line) => line.startsWith("@")).length;
    return seen + Number(await cluster.harm("n1", "timers"));
  };
  await expect.poll(busy, patient).toBe(0);
}

/** Those that are there. */
async function evictAll(): Promise<void> {
  for (const node of NODES) {
    await cluster.evict(node).catch((error: unknown) => {
      if (!String(error).includes("not currently running")) throw error;
    });
  }
}

const clients: SocketClient[] = [];
beforeEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function connect(path?: string): Promise<SocketClient> {
  const client = await SocketClient.open(cluster, path);
  clients.push(client);
  return client;
}

describe("watchers", () => {
  it("cost nothing while nothing changes, and are told once when something does", async () => {
    for (let i = 0; i < 100; i++) (await connect()).watch("news");
    await expect.poll(() => clients.every(({ created }) => created === 1), patient).toBe(true);
    const expected = [`news@${await put("news")}`];
    await asleep();
    for (const node of NODES) expect(await cluster.harm(node, "alarm")).toBe("null");
    events.length = 0;
    await sleep(1000);
    expect(events).toEqual([]);

    // Answered for the object, which sleeps on.
    clients[0]!.send("ping");
    await expect.poll(() => clients[0]!.texts, patient).toEqual(["pong"]);
    expect(events).toEqual([]);

    for (let round = 0; round < 3; round++) {
      await evictAll();
      expected.push(`news@${await put("news")}`);
      await put("other");
      // In the middle of it, too.
      if (round === 1) await evictAll();
      await expect
        .poll(() => clients.filter((each) => each.events.length < expected.length).length, patient)
        .toBe(0);
    }
    await asleep();
    for (const client of clients) expect(client.events).toEqual(expected);
    expect(clients.some(({ closeCode }) => closeCode !== null)).toBe(false);
  }, 60_000);

  it("go on with every watch on a connection, however many, as it was asked for", async () => {
    const client = await connect();
    const name = (i: number): string => `many/${i}/${"x".repeat(50)}`;
    // More than can be attached to the connection.
    for (let i = 0; i < 400; i++) client.watch(name(i));
    client.watch("range/", {
      range_end: btoa("range0"),
      filters: ["NOPUT"],
      prev_kv: true,
      watch_id: "7000",
    });
    await expect.poll(() => client.created, patient).toBe(401);
    client.send({ cancel_request: { watch_id: "3" } });
    await expect.poll(() => client.canceled.length, patient).toBe(1);
    await put("range/a", "before");
    await asleep();
    await evictAll();
    const revision = await put(name(399));
    await put(name(3));
    const deleted = await cluster.fetch("/kv/range/a", { method: "DELETE" });
    expect(deleted.status).toBe(200);
    await expect.poll(() => client.events.length, patient).toBe(2);
    expect(client.events[0]).toBe(`${name(399)}@${revision}`);
    expect(client.replies.at(-1)!.result).toMatchObject({
      watch_id: "7000",
      events: [{ type: "DELETE", prev_kv: { value: btoa("before") } }],
    });
    // The stream's own ids go on, too.
    client.watch("one more");
    await expect.poll(() => client.created, patient).toBe(402);
    expect(client.replies.at(-1)!.result).toMatchObject({ watch_id: "400" });
  });

  it("that were told everything outlast a compaction and a loss of memory", async () => {
    const client = await connect();
    client.watch("quiet");
    await expect.poll(() => client.created, patient).toBe(1);
    for (let i = 0; i < 5; i++) await put("loud");
    await asleep();
    await evictAll();
    const revision = await put("loud");
    const body = JSON.stringify({ revision: String(revision) });
    expect((await cluster.fetch("/v3/kv/compaction", { method: "POST", body })).status).toBe(200);
    await asleep();
    await evictAll();
    const told = await put("quiet");
    await expect.poll(() => client.events, patient).toEqual([`quiet@${told}`]);
    expect(client.canceled).toEqual([]);
    // Who asks for what is gone is told so.
    client.watch("quiet", { start_revision: "2" });
    await expect.poll(() => client.canceled.length, patient).toBe(1);
    expect(client.canceled[0]!.result).toMatchObject({ compact_revision: String(revision) });
  });

  it("connect anew after a deployment, without a gap", async () => {
    const first = await connect();
    first.watch("deployed");
    await expect.poll(() => first.created, patient).toBe(1);
    const before = await put("deployed");
    await expect.poll(() => first.events, patient).toEqual([`deployed@${before}`]);
    await cluster.redeploy({
      script: `${script}\n// Another version.`,
      vars,
      dir,
      log: (line) => events.push(line),
    });
    await expect.poll(() => first.closeCode, patient).not.toBeNull();
    const missed = await put("deployed");
    const second = await connect();
    second.watch("deployed", { start_revision: String(before + 1) });
    const after = await put("deployed");
    await expect.poll(() => second.events, patient).toEqual([`deployed@${missed}`, `deployed@${after}`]);
  }, 30_000);

  it("are refused as on Node", async () => {
    await expect(SocketClient.open(cluster, "/v3/kv/range")).rejects.toThrow("refused");
    await expect(SocketClient.open(cluster, "/v3/maintenance/snapshot")).rejects.toThrow("refused");
    const url = `${cluster.url.replace("http", "ws")}/v3/watch`;
    const stranger = new WebSocket(url, ["bearer", "a-wrong-token-of-nobody"]);
    await new Promise((resolve) => stranger.addEventListener("error", resolve));
    const client = await connect();
    client.send("{ nonsense");
    await expect.poll(() => client.closeCode, patient).toBe(1008);
    expect(client.error).toContain("invalid argument");
  });
});

describe("who observes an election", () => {
  const election = (what: string, body: object): Promise<Record<string, unknown>> =>
    post(`/v3/election/${what}`, body);

  it("is told of every leader once, over all losses of memory, and of nobody while it is asleep", async () => {
    const name = btoa("chair");
    const lease = "61";
    await post("/v3/lease/grant", { ID: lease, TTL: "600" });
    const client = await connect("/v3/election/observe");
    // Before it has said of which, too.
    await asleep();
    await evictAll();
    client.send({ name });
    const expected: string[] = [];
    let leader: unknown = null;
    for (const value of ["first", "second"]) {
      if (leader !== null) await election("resign", { leader });
      ({ leader } = await election("campaign", { name, lease, value: btoa(value) }));
      expected.push(value);
      await expect.poll(() => client.proclaimed, patient).toEqual(expected);
      await evictAll();
      await election("proclaim", { leader, value: btoa(`${value} again`) });
      expected.push(`${value} again`);
      await expect.poll(() => client.proclaimed, patient).toEqual(expected);
    }
    await election("resign", { leader });
    await asleep();
    events.length = 0;
    await sleep(1000);
    expect(events).toEqual([]);
    // It knows still what it was told last.
    await evictAll();
    await put("other");
    await asleep();
    expect(client.proclaimed).toEqual(expected);
    expect(client.closeCode).toBeNull();
    await post("/v3/lease/revoke", { ID: lease });
  }, 60_000);
});

describe("objects that lose their memory while they are awake", () => {
  it("are brought back by their alarms, though nobody asks for them, and do what was due", async () => {
    const seen: string[] = [];
    const awake = {
      ...vars,
      D_ENGINE_SLEEP_AFTER: "0",
      ETCD_HEARTBEAT_INTERVAL: "1000",
      ETCD_ELECTION_TIMEOUT: "8000",
    };
    const group = await LocalCluster.start({ script, vars: awake, log: (line) => seen.push(line) });
    try {
      await expect.poll(async () => (await group.put("kept", "x")).status, patient).toBe(200);
      const leased = await group.fetch("/kv/leased?ttl=1", { method: "PUT", body: "x" });
      expect(leased.status).toBe(200);
      const leader = leased.headers.get("X-D-Engine-Leader-Node")!;
      // Nobody who is left sends anything until it misses its leader.
      const order = NODES.toSorted((a, b) => Number(b === leader) - Number(a === leader));
      const broughtBack = async (): Promise<string | undefined> => {
        // The 30 seconds are not waited for: the alarms that are set are moved.
        for (const node of NODES) await group.harm(node, "ring=4000");
        // Taken away in the middle of what they do, which an ordinary eviction would wait for.
        for (const node of order) await group.harm(node, "abort");
        seen.length = 0;
        await expect.poll(() => seen, patient).toContain("@alarm");
        return seen.find((line) => line !== "@made");
      };
      // Somebody may have been faster, on a machine that has other things to do: then once more.
      let first: string | undefined;
      for (let attempt = 0; attempt < 5 && first !== "@alarm"; attempt++) first = await broughtBack();
      expect(first).toBe("@alarm");
      // Without them in memory no lease would end.
      await expect.poll(() => group.get("leased"), { timeout: 60_000, interval: 200 }).toMatch(/^404/);
      expect(await group.get("kept")).toBe("x");
      for (const node of NODES) {
        expect(Number(await group.harm(node, "alarm")) - Date.now()).toBeGreaterThan(5000);
      }
    } finally {
      await group.stop();
    }
  }, 120_000);
});

describe("watchers over HTTP", () => {
  /** How many there are, on all objects. */
  async function streams(): Promise<number> {
    const texts = await Promise.all(NODES.map((node) => cluster.harm(node, "metrics")));
    const counts = texts.map((text) => Number(/^d_engine_watch_streams ([0-9]+)$/m.exec(text)?.[1]));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Server-sent events until there are as many, and then no more. */
  async function read(path: string, count: number, headers: Record<string, string> = {}): Promise<string[]> {
    const over = new AbortController();
    const response = await cluster.fetch(path, { headers, signal: over.signal });
    expect(response.headers.get("Content-Type")).toBe("text/event-stream");
    let text = "";
    for await (const chunk of response.body!) {
      text += new TextDecoder().decode(chunk as Uint8Array);
      if (text.split("\n\n").length > count) break;
    }
    over.abort();
    return text.split("\n\n").slice(0, count);
  }

  it("are served by server-sent events, go on by the last id, and free what they held when they go", async () => {
    const first = await put("sse");
    const before = await streams();
    const reading = read("/watch?key=sse", 2);
    await expect.poll(streams, patient).toBe(before + 1);
    const second = await put("sse");
    const [watching, told] = await reading;
    expect(watching).toContain(`id: ${first}`);
    expect(told).toContain(`event: put\nid: ${second}`);
    // The platform tells of a client's end with the next thing said to it: at the latest the comment that keeps the
    // connection open.
    let last = second;
    const left = async (): Promise<number> => ((last = await put("sse")), await streams());
    await expect.poll(left, patient).toBe(before);
    await evictAll();
    const third = await put("sse");
    const [, resumed] = await read("/watch?key=sse", 2, { "Last-Event-ID": String(last) });
    expect(resumed).toContain(`event: put\nid: ${third}`);
    await expect.poll(left, patient).toBe(before);
  });

  it("poll for as long as they want to, and hold nothing after that", async () => {
    const start = await put("polled");
    const before = await streams();
    const polling = cluster.fetch(`/watch?key=polled&rev=${start + 1}&wait=30s`);
    await sleep(4500);
    const revision = await put("polled");
    expect(await (await polling).json()).toMatchObject({ revision, events: [{ type: "put" }] });
    const nothing = await cluster.fetch("/watch?key=polled&wait=500ms");
    expect(await nothing.json()).toMatchObject({ revision, events: [] });
    expect(await streams()).toBe(before);
  }, 30_000);
});

describe("leases", () => {
  it("end in time, though nobody has known of them since their group fell asleep", async () => {
    const client = await connect();
    client.watch("leased", { filters: ["NOPUT"] });
    await expect.poll(() => client.created, patient).toBe(1);
    const ttlMs = 8000;
    await put("leased", "x", "?ttl=8");
    const grantedMs = Date.now();
    await asleep();
    const alarms = await Promise.all(NODES.map(async (node) => Number(await cluster.harm(node, "alarm"))));
    // The leader's at the deadline; the others', in case it is lost, later.
    const [first, ...others] = alarms.toSorted((a, b) => a - b).map((atMs) => atMs - grantedMs);
    expect(first).toBeGreaterThan(ttlMs);
    expect(first).toBeLessThan(ttlMs * 1.1 + 1000);
    for (const other of others) expect(other).toBeGreaterThan(ttlMs + 10_000);
    await evictAll();
    events.length = 0;
    await sleep(grantedMs + ttlMs - Date.now() - 200);
    expect(events).toEqual([]);
    await expect.poll(() => client.events.length, patient).toBe(1);
    const endedMs = Date.now() - grantedMs;
    console.log(`a lease of ${ttlMs} ms ended after ${endedMs} ms`);
    expect(endedMs).toBeGreaterThanOrEqual(ttlMs);
    await asleep();
    for (const node of NODES) expect(await cluster.harm(node, "alarm")).toBe("null");
  }, 60_000);

  it("live as long as they are renewed, however often their group forgets", async () => {
    const client = await connect("/v3/lease/keepalive");
    const call = (path: string, body: object): Promise<{ readonly TTL?: string }> =>
      post(`/v3/lease/${path}`, body);
    for (const ID of ["77", "78"]) await call("grant", { ID, TTL: "600" });
    const grantedMs = Date.now();
    for (let renewals = 1; renewals <= 4; renewals++) {
      await asleep();
      await evictAll();
      client.send({ ID: "77" });
      await expect.poll(() => client.replies.length, patient).toBe(renewals);
      expect(client.replies.at(-1)!.result).toMatchObject({ ID: "77", TTL: "600" });
    }
    const renewedMs = Date.now();
    await asleep();
    await evictAll();
    const left = async (ID: string): Promise<number> => Number((await call("timetolive", { ID })).TTL);
    // Nobody led but the one who was asked, so that the other one's time has gone on, and a second at most was added.
    expect(await left("78")).toBeLessThanOrEqual(601 - (renewedMs - grantedMs) / 1000);
    expect(await left("77")).toBeGreaterThan(await left("78"));
    for (const ID of ["77", "78"]) await call("revoke", { ID });
  }, 60_000);
});

// The last: timers of a Worker that the runtime has broken off are counted for ever.
describe("a client that goes away while it waits", () => {
  /** A POST that is broken off: with a reset, since of an ordinary end the runtime hears only by answering. */
  async function broken(path: string, body: object, begun: () => Promise<void>): Promise<void> {
    const headers = { Authorization: `Bearer ${CLIENT_TOKEN}` };
    const asked = request(`${cluster.url}${path}`, { method: "POST", headers });
    const failed = new Promise((resolve) => asked.on("error", resolve));
    asked.end(JSON.stringify(body));
    await begun();
    asked.socket!.resetAndDestroy();
    await failed;
  }

  it("gives its place in line for a lock free at once", async () => {
    for (const ID of ["91", "92"]) await post("/v3/lease/grant", { ID, TTL: "600" });
    const name = btoa("left");
    await post("/v3/lock/lock", { name, lease: "91" });
    const line = { key: btoa("left/"), range_end: btoa("left0"), count_only: true };
    const inLine = async (): Promise<unknown> => (await post("/v3/kv/range", line))["count"];
    await broken("/v3/lock/lock", { name, lease: "92" }, async () => {
      await expect.poll(inLine, patient).toBe("2");
    });
    await expect.poll(inLine, patient).toBe("1");
    for (const ID of ["91", "92"]) await post("/v3/lease/revoke", { ID });
  });
});
