import { describe, expect, it } from "vitest";
import {
  campaign,
  type KvEngine,
  type LeaderKey,
  leaderOf,
  observe,
  proclaim,
  resign,
} from "../../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, later } from "../support.ts";
import { Cluster } from "../world/cluster.ts";

const NAME = bytes("e");
const text = (value: Uint8Array): string => new TextDecoder().decode(value);

async function started(): Promise<Cluster> {
  const cluster = new Cluster({ raft: FAST });
  await cluster.startAndElect();
  return cluster;
}

async function grant(cluster: Cluster, ttlMs = 60_000): Promise<bigint> {
  const { id } = await cluster.world.complete("a grant", cluster.leader()!.leaseGrant({ ttlMs }));
  return id;
}

async function elected(cluster: Cluster, engine: KvEngine, value: string, lease: bigint): Promise<LeaderKey> {
  const call = campaign(engine, { name: NAME, lease, value: bytes(value) });
  return (await cluster.world.complete("a campaign", call)).leader;
}

async function leads(cluster: Cluster, engine: KvEngine): Promise<string> {
  return text((await cluster.world.complete("who leads", leaderOf(engine, NAME))).kv.value);
}

describe("an election", () => {
  it("elects whoever came first, and the next when that one resigns", async () => {
    const cluster = await started();
    const [a, b] = cluster.followers();
    const first = await elected(cluster, a!, "one", await grant(cluster));
    const second = later(elected(cluster, b!, "two", await grant(cluster)));
    await cluster.world.runFor(100);
    expect(await leads(cluster, b!)).toBe("one");
    await cluster.world.complete("resigning", resign(a!, first));
    const next = await cluster.world.complete("the next", second);
    expect(next.revision).toBeGreaterThan(first.revision);
    expect(await leads(cluster, a!)).toBe("two");
  });

  it("lets the leader, and nobody else, proclaim", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const won = await elected(cluster, leader, "one", await grant(cluster));
    await cluster.world.complete("proclaiming", proclaim(leader, won, bytes("uno")));
    expect(await leads(cluster, leader)).toBe("uno");
    await cluster.world.complete("resigning", resign(leader, won));
    const before = leader.header().revision;
    expect((await errorOf(cluster, proclaim(leader, won, bytes("late")))).code).toBe("notElected");
    expect((await errorOf(cluster, leaderOf(leader, NAME))).code).toBe("noElectedLeader");
    await cluster.world.complete("resigning twice", resign(leader, won));
    expect(leader.header().revision).toBe(before);
  });

  it("knows a candidate that asks again by its lease, and takes its new value", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const lease = await grant(cluster);
    const first = await elected(cluster, leader, "one", lease);
    const again = await elected(cluster, leader, "eins", lease);
    expect(again).toEqual(first);
    expect(await leads(cluster, leader)).toBe("eins");
  });

  it("does not elect whose lease ended while waiting, or who gave up", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const won = await elected(cluster, leader, "one", await grant(cluster));
    const short = campaign(leader, { name: NAME, lease: await grant(cluster, 400) });
    expect((await errorOf(cluster, short)).code).toBe("sessionExpired");
    const abort = new AbortController();
    const tired = later(campaign(leader, { name: NAME, lease: await grant(cluster) }, abort.signal));
    await cluster.world.runFor(100);
    abort.abort();
    expect((await errorOf(cluster, tired)).code).toBe("canceled");
    await cluster.world.complete("resigning", resign(leader, won));
    expect((await errorOf(cluster, leaderOf(leader, NAME))).code).toBe("noElectedLeader");
  });

  it("can be observed: who leads, every new leader, every proclamation", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const abort = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { kv } of observe(cluster.followers()[0]!, NAME, abort.signal))
        seen.push(text(kv.value));
    })();
    watching.catch(() => {});
    await cluster.world.runFor(100);
    expect(seen).toEqual([]);
    const first = await elected(cluster, leader, "one", await grant(cluster));
    const second = later(elected(cluster, leader, "two", await grant(cluster)));
    await cluster.world.runFor(100);
    await cluster.world.complete("proclaiming", proclaim(leader, first, bytes("uno")));
    await cluster.world.runFor(100);
    await cluster.world.complete("resigning", resign(leader, first));
    await cluster.world.complete("the second", second);
    await cluster.world.runFor(100);
    expect(seen).toEqual(["one", "uno", "two"]);
    abort.abort();
    expect((await errorOf(cluster, watching)).code).toBe("canceled");
  });
});
