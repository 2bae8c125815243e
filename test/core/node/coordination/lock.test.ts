import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/core/errors/index.ts";
import { type KvEngine, lock, type LockResponse, unlock } from "../../../../src/core/node/index.ts";
import { bytes, errorOf, FAST, later } from "../support.ts";
import { Cluster } from "../world/cluster.ts";

const NAME = bytes("l");

async function started(): Promise<Cluster> {
  const cluster = new Cluster({ raft: FAST });
  await cluster.startAndElect();
  return cluster;
}

async function grant(cluster: Cluster, ttlMs = 60_000): Promise<bigint> {
  const { id } = await cluster.world.complete("a grant", cluster.leader()!.leaseGrant({ ttlMs }));
  return id;
}

/** The keys in line, in order. */
async function line(cluster: Cluster): Promise<string[]> {
  const { kvs } = await cluster.world.complete(
    "the line",
    cluster.leader()!.range({ key: bytes("l/"), rangeEnd: bytes("l0"), sortTarget: "create" }),
  );
  return kvs.map(({ key }) => new TextDecoder().decode(key));
}

async function locked(cluster: Cluster, engine: KvEngine, lease: bigint): Promise<LockResponse> {
  return await cluster.world.complete("a lock", lock(engine, { name: NAME, lease }));
}

/** A call that waits: what has become of it by now. */
function waiting<T>(call: Promise<T>): {
  readonly outcome: () => T | string | null;
  readonly call: Promise<T>;
} {
  let outcome: T | string | null = null;
  call.then(
    (value) => (outcome = value),
    (error: unknown) => (outcome = error instanceof EngineError ? error.code : String(error)),
  );
  return { outcome: () => outcome, call: later(call) };
}

describe("a lock", () => {
  it("is held by one at a time, in the order of asking, and tokens grow", async () => {
    const cluster = await started();
    const engines = [cluster.leader()!, ...cluster.followers(), cluster.leader()!];
    const order: number[] = [];
    const tokens: number[] = [];
    let holders = 0;
    const done: Promise<void>[] = [];
    for (const [i, engine] of engines.entries()) {
      const lease = await grant(cluster);
      done.push(
        lock(engine, { name: NAME, lease }).then(async ({ key, fencingToken }) => {
          expect(++holders).toBe(1);
          order.push(i);
          tokens.push(fencingToken);
          await new Promise<void>((resolve) => cluster.world.schedule(50, null, resolve));
          holders--;
          await unlock(engine, { key, fencingToken });
        }),
      );
      await cluster.world.runFor(20);
    }
    await cluster.world.complete("all of them", Promise.all(done));
    expect(order).toEqual([0, 1, 2, 3]);
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(tokens).size).toBe(4);
    expect(await line(cluster)).toEqual([]);
  });

  it("is named as etcd names it, after the lease in hexadecimal", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    await cluster.world.complete("a grant", leader.leaseGrant({ id: 0xabcn, ttlMs: 60_000 }));
    const { key, fencingToken, lease } = await locked(cluster, leader, 0xabcn);
    expect([new TextDecoder().decode(key), lease]).toEqual(["l/abc", 0xabcn]);
    const { kvs } = await cluster.world.complete("a read", leader.range({ key }));
    expect(kvs[0]).toMatchObject({ createRevision: fencingToken, lease: 0xabcn });
  });

  it("is given again to the same lease", async () => {
    const cluster = await started();
    const lease = await grant(cluster);
    const first = await locked(cluster, cluster.leader()!, lease);
    const again = await locked(cluster, cluster.followers()[0]!, lease);
    expect([again.key, again.fencingToken]).toEqual([first.key, first.fencingToken]);
  });

  it("goes to the next when its holder's lease ends", async () => {
    const cluster = await started();
    await locked(cluster, cluster.leader()!, await grant(cluster, 500));
    const next = waiting(lock(cluster.followers()[0]!, { name: NAME, lease: await grant(cluster) }));
    await cluster.world.runFor(400);
    expect(next.outcome()).toBeNull();
    await cluster.world.complete("the next", next.call);
    expect(await line(cluster)).toHaveLength(1);
  });

  it("is not given to one whose lease ended while it waited, and who is told so at once", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const holder = await locked(cluster, leader, await grant(cluster));
    const late = waiting(lock(leader, { name: NAME, lease: await grant(cluster, 500) }));
    const third = waiting(lock(leader, { name: NAME, lease: await grant(cluster) }));
    await cluster.world.runFor(1000);
    expect([late.outcome(), third.outcome()]).toEqual(["sessionExpired", null]);
    await cluster.world.complete("unlocking", unlock(leader, { key: holder.key }));
    await cluster.world.complete("the third", third.call);
  });

  it("lets whoever gives up leave the line, and nobody else", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const holder = await locked(cluster, leader, await grant(cluster));
    const abort = new AbortController();
    const tired = waiting(lock(leader, { name: NAME, lease: await grant(cluster) }, abort.signal));
    const patient = waiting(lock(leader, { name: NAME, lease: await grant(cluster) }));
    // The holder's own lease, asked for again by a call that is then given up: the lock stays.
    await cluster.world.runFor(100);
    expect(await line(cluster)).toHaveLength(3);
    abort.abort();
    await cluster.world.runFor(100);
    expect(tired.outcome()).toBe("canceled");
    expect(await line(cluster)).toHaveLength(2);
    const early = new AbortController();
    early.abort();
    await errorOf(cluster, lock(leader, { name: NAME, lease: holder.lease }, early.signal));
    expect(await line(cluster)).toHaveLength(2);
    await cluster.world.complete("unlocking", unlock(leader, { key: holder.key }));
    await cluster.world.complete("the patient one", patient.call);
  });

  it("is not waited for when it is only tried", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const lease = await grant(cluster);
    const attempt = (id: bigint): Promise<LockResponse> =>
      lock(leader, { name: NAME, lease: id, tryLock: true });
    const held = await cluster.world.complete("a try", attempt(lease));
    const revision = leader.header().revision;
    expect((await errorOf(cluster, attempt(await grant(cluster)))).code).toBe("lockHeld");
    expect(leader.header().revision).toBe(revision);
    const again = await cluster.world.complete("another try", attempt(lease));
    expect(again.fencingToken).toBe(held.fencingToken);
    await cluster.world.complete("unlocking", unlock(leader, held));
    await cluster.world.complete("a try", attempt(await grant(cluster)));
  });

  it("is refused to a lease that does not exist, and leaves nothing behind", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    expect((await errorOf(cluster, lock(leader, { name: NAME, lease: 99n }))).code).toBe("leaseNotFound");
    await locked(cluster, leader, await grant(cluster));
    expect((await errorOf(cluster, lock(leader, { name: NAME, tryLock: true }))).code).toBe("lockHeld");
    const { ids } = await cluster.world.complete("the leases", leader.leaseList());
    expect([await line(cluster), ids.length]).toEqual([[expect.any(String)], 1]);
  });

  it("brings a lease of a minute to a caller without one", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const { lease } = await locked(cluster, leader, 0n);
    const left = await cluster.world.complete("a look", leader.leaseTimeToLive({ id: lease, keys: true }));
    expect(left.ttlMs).toBe(60_000);
    expect(left.keys).toHaveLength(1);
  });

  it("is not taken from its next holder by an unlock that comes twice", async () => {
    const cluster = await started();
    const leader = cluster.leader()!;
    const lease = await grant(cluster);
    const first = await locked(cluster, leader, lease);
    await cluster.world.complete("unlocking", unlock(leader, first));
    const second = await locked(cluster, leader, lease);
    expect(second.key).toEqual(first.key);
    await cluster.world.complete("unlocking again", unlock(leader, first));
    expect(await line(cluster)).toHaveLength(1);
    // As etcd's unlock does, which has no token.
    await cluster.world.complete("unlocking", unlock(leader, { key: second.key }));
    expect(await line(cluster)).toEqual([]);
  });

  it("is waited for over a change of leaders", async () => {
    const cluster = await started();
    const old = cluster.leader()!;
    const [engine] = cluster.followers();
    const holder = await locked(cluster, engine!, await grant(cluster));
    const next = waiting(lock(engine!, { name: NAME, lease: await grant(cluster) }));
    await cluster.world.runFor(100);
    cluster.node(old.nodeId).crash();
    await cluster.elected(cluster.others(old.nodeId));
    expect(next.outcome()).toBeNull();
    await cluster.world.complete("unlocking", unlock(engine!, holder));
    const { fencingToken } = await cluster.world.complete("the next", next.call);
    expect(fencingToken).toBeGreaterThan(holder.fencingToken);
  });
});
