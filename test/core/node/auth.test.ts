import { describe, expect, it } from "vitest";
import { actAs, type AuthChange, type Engine, type KvEngine } from "../../../src/core/node/index.ts";
import type { Caller } from "../../../src/core/kv/index.ts";
import { bytes, errorOf, FAST, later } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

const TRUSTED: Caller = { type: "trusted" };
const put = (engine: Engine, key: string, options = {}): Promise<unknown> =>
  engine.put({ key: bytes(key), value: bytes("v") }, options);

/** Three members; root may do all, alice what begins with `a`; authentication is on. */
async function guarded(tuning = {}): Promise<Cluster> {
  const cluster = new Cluster({ founders: 3, raft: FAST, tuning });
  await cluster.startAndElect();
  for (const change of [
    { op: "userAdd", name: "root", passwordHash: "$" },
    { op: "userGrantRole", name: "root", role: "root" },
    { op: "userAdd", name: "alice", passwordHash: "$" },
    { op: "roleAdd", role: "a" },
    {
      op: "roleGrantPermission",
      role: "a",
      permission: { access: "readWrite", key: bytes("a"), rangeEnd: bytes("b") },
    },
    { op: "userGrantRole", name: "alice", role: "a" },
    { op: "enable" },
  ] satisfies AuthChange[]) {
    await changed(cluster, change);
  }
  await cluster.converged();
  return cluster;
}

async function changed(cluster: Cluster, change: AuthChange): Promise<void> {
  await cluster.world.complete(change.op, cluster.leader()!.auth.change(change, { caller: TRUSTED }));
}

function as(engine: KvEngine, name: string): Engine {
  return actAs(engine, { type: "user", name, since: engine.auth.identities.find(name)!.since });
}

describe("users and roles", () => {
  it("are the same on all members, after restarts from the log and from snapshots too", async () => {
    const cluster = await guarded();
    const status = (): unknown[] =>
      cluster.up().map((engine) => {
        const { authRevision, stateHash } = engine.status({ caller: TRUSTED });
        return [authRevision, stateHash(), engine.auth.identities.tokenKey];
      });
    const [first, ...rest] = status();
    expect(rest).toEqual([first, first]);
    for (const snapshot of [false, true]) {
      if (snapshot) {
        for (const engine of cluster.up()) await cluster.world.complete("a snapshot", engine.takeSnapshot());
      }
      cluster.crashAll();
      await cluster.world.complete("the start", cluster.start());
      await cluster.elected();
      await cluster.converged();
      expect(status()).toEqual([first, first, first]);
    }
  });

  it("say who may write on every member, whoever leads: the name goes with the write", async () => {
    const cluster = await guarded();
    for (const engine of cluster.up()) {
      await cluster.world.complete("a put", put(as(engine, "alice"), "a1"));
      expect(await errorOf(cluster, put(as(engine, "alice"), "b1"))).toMatchObject({
        code: "permissionDenied",
      });
      expect(await errorOf(cluster, put(engine, "a1"))).toMatchObject({ code: "userEmpty" });
      await cluster.world.complete("root's put", put(as(engine, "root"), "b1"));
      await cluster.world.complete("a put by the process itself", put(actAs(engine, TRUSTED), "b1"));
    }
  });

  it("are asked about before the store's room: whoever may not write raises no alarm", async () => {
    const cluster = await guarded({ quotaBytes: 10_000 });
    const engine = cluster.leader()!;
    const tooMuch = { key: bytes("b1"), value: new Uint8Array(10_000) };
    expect((await errorOf(cluster, engine.put(tooMuch))).code).toBe("userEmpty");
    expect((await errorOf(cluster, as(engine, "alice").put(tooMuch))).code).toBe("permissionDenied");
    const named = { idempotencyKey: "n" };
    expect((await errorOf(cluster, as(engine, "alice").put(tooMuch, named))).code).toBe("permissionDenied");
    expect(engine.status().alarms).toEqual([]);
    const own = { ...tooMuch, key: bytes("a1") };
    expect((await errorOf(cluster, as(engine, "alice").put(own))).code).toBe("noSpace");
    expect(engine.status().alarms).toHaveLength(1);
  });

  it("cannot act on behalf of each other; who is trusted can on behalf of all", async () => {
    const cluster = await guarded();
    const engine = cluster.leader()!;
    const root = engine.auth.identities.find("root")!;
    const caller = { type: "user", name: "root", since: root.since } as const;
    const cheat = actAs(as(engine, "alice"), caller);
    expect(await errorOf(cluster, put(cheat, "b", { caller }))).toMatchObject({ code: "permissionDenied" });
    const trusted = actAs(engine, TRUSTED);
    await cluster.world.complete("a put", put(trusted, "b", { caller }));
    const alice = { ...caller, name: "alice", since: engine.auth.identities.find("alice")!.since };
    expect(await errorOf(cluster, put(trusted, "b", { caller: alice }))).toMatchObject({
      code: "permissionDenied",
    });
  });

  it("say who may read on every member, by each policy", async () => {
    const cluster = await guarded();
    for (const engine of cluster.up()) {
      for (const consistency of ["linearizable", "lease", "eventual"] as const) {
        const read = (by: Engine, key: string): Promise<unknown> =>
          by.range({ key: bytes(key) }, { consistency });
        await cluster.world.complete("a read", read(as(engine, "alice"), "a1"));
        expect(await errorOf(cluster, read(as(engine, "alice"), "b"))).toMatchObject({
          code: "permissionDenied",
        });
        expect(await errorOf(cluster, read(engine, "a1"))).toMatchObject({ code: "userEmpty" });
        const reads = {
          compare: [],
          success: [],
          failure: [{ type: "range", request: { key: bytes("b") } }],
        } as const;
        expect(await errorOf(cluster, as(engine, "alice").txn(reads, { consistency }))).toMatchObject({
          code: "permissionDenied",
        });
      }
    }
  });

  it("are asked when a write is applied: what was permitted when it was proposed may not be any more", async () => {
    const cluster = await guarded();
    const leader = cluster.leader()!;
    const follower = cluster.followers()[0]!;
    const before = leader.status().revision;
    // In one turn: the second is behind the first in the log.
    const revoked = later(
      leader.auth.change({ op: "userRevokeRole", name: "alice", role: "a" }, { caller: TRUSTED }),
    );
    const written = put(as(leader, "alice"), "a1");
    expect(await errorOf(cluster, written)).toMatchObject({ code: "permissionDenied" });
    await cluster.world.complete("the change", revoked);
    expect(leader.status().revision).toBe(before);
    // A member that has not heard of it yet proposes it all the same.
    await changed(cluster, { op: "userGrantRole", name: "alice", role: "a" });
    await cluster.converged();
    const password = later(
      leader.auth.change(
        { op: "userChangePassword", name: "alice", passwordHash: "$2" },
        { caller: TRUSTED },
      ),
    );
    const stale = put(as(follower, "alice"), "a1");
    expect(await errorOf(cluster, stale)).toMatchObject({ code: "authOldRevision", grpcCode: 3 });
    await cluster.world.complete("the change", password);
    expect(leader.status().revision).toBe(before);
  });

  it("are asked by a member that does not know yet that authentication is on", async () => {
    const cluster = new Cluster({ founders: 3, raft: FAST });
    await cluster.startAndElect();
    await changed(cluster, { op: "userAdd", name: "root", passwordHash: "$" });
    await changed(cluster, { op: "userGrantRole", name: "root", role: "root" });
    await cluster.converged();
    const leader = cluster.leader()!;
    const follower = cluster.followers()[0]!;
    const [written, read, removed] = [
      later(leader.auth.change({ op: "enable" }, { caller: TRUSTED })),
      put(follower, "k"),
      follower.range({ key: bytes("k") }),
    ] as const;
    expect(follower.auth.identities.tokenKey).toBe(null);
    await cluster.world.complete("the change", written);
    expect(await errorOf(cluster, read)).toMatchObject({ code: "userEmpty" });
    // The read began before: it may be answered as of then, or refused.
    await removed.catch(() => null);
    // It has missed that authentication was switched off and on again.
    await changed(cluster, { op: "disable" });
    await cluster.converged();
    cluster.network.partition([follower.nodeId], cluster.others(follower.nodeId));
    await changed(cluster, { op: "enable" });
    expect(follower.auth.identities.tokenKey).toBe(null);
    cluster.network.heal();
    expect(await errorOf(cluster, follower.leaseKeepAlive(77n))).toMatchObject({ code: "userEmpty" });
    expect(await errorOf(cluster, follower.memberRemove(77n))).toMatchObject({ code: "userEmpty" });
    expect(leader.status().revision).toBe(1);
  });
});

describe("a watch", () => {
  it("is refused where its keys may not be read, and ends when that is taken away", async () => {
    const cluster = await guarded();
    const engine = cluster.followers()[0]!;
    const stream = as(engine, "alice").watch();
    stream.create({ key: bytes("a"), rangeEnd: bytes("c"), watchId: 1n });
    expect(await cluster.world.complete("the answer", stream.next())).toMatchObject({
      watchId: -1n,
      created: true,
      canceled: true,
      cancelReason: "etcdserver: permission denied",
    });
    stream.create({ key: bytes("a"), rangeEnd: bytes("b"), watchId: 2n });
    stream.create({ key: bytes("a1"), watchId: 3n, startRevision: 1 });
    for (const watchId of [2n, 3n]) {
      expect(await cluster.world.complete("the answer", stream.next())).toMatchObject({
        watchId,
        created: true,
      });
    }
    const root = as(engine, "root");
    await cluster.world.complete("a put", put(root, "a1"));
    const told = [
      await cluster.world.complete("an event", stream.next()),
      await cluster.world.complete("an event", stream.next()),
    ];
    expect(new Set(told.map((each) => [each!.watchId, each!.events.length].join()))).toEqual(
      new Set(["2,1", "3,1"]),
    );
    // All in one turn: what comes with and after the change is told to nobody who lost the permission.
    const leader = cluster.leader()!;
    const writes = [
      put(as(leader, "root"), "a1"),
      leader.auth.change({ op: "userRevokeRole", name: "alice", role: "a" }, { caller: TRUSTED }),
      put(as(leader, "root"), "a1"),
    ];
    for (const write of writes) await cluster.world.complete("a write", write);
    await cluster.converged();
    const ends: (readonly [bigint, boolean, string])[] = [];
    while (ends.length < 2) {
      const { watchId, canceled, cancelReason, events } = (await cluster.world.complete(
        "the end",
        stream.next(),
      ))!;
      expect(events.filter(({ kv }) => kv.modRevision >= 4)).toEqual([]);
      if (canceled) ends.push([watchId, canceled, cancelReason]);
    }
    expect(ends).toEqual([
      [2n, true, "etcdserver: permission denied"],
      [3n, true, "etcdserver: permission denied"],
    ]);
    stream.close();
  });

  it("of nobody ends when authentication is switched on, and root's goes on", async () => {
    const cluster = await guarded();
    await changed(cluster, { op: "disable" });
    await cluster.converged();
    const engine = cluster.followers()[0]!;
    const [nobodys, roots] = [engine.watch(), as(engine, "root").watch()];
    for (const stream of [nobodys, roots]) {
      stream.create({ key: bytes("a") });
      await cluster.world.complete("the answer", stream.next());
    }
    const end = nobodys.next();
    await changed(cluster, { op: "enable" });
    expect(await cluster.world.complete("the end", end)).toMatchObject({
      canceled: true,
      cancelReason: "etcdserver: user name is empty",
    });
    const event = roots.next();
    await cluster.world.complete("a put", put(as(engine, "root"), "a"));
    expect((await cluster.world.complete("an event", event))!.events).toHaveLength(1);
    nobodys.close();
    roots.close();
  });
});

describe("a lease", () => {
  it("is anybody's who is somebody; its keys are shown to whoever may read them", async () => {
    const cluster = await guarded();
    const engine = cluster.followers()[0]!;
    const alice = as(engine, "alice");
    const root = as(engine, "root");
    const { id } = await cluster.world.complete("a grant", root.leaseGrant({ ttlSeconds: 100 }));
    await cluster.world.complete("a put", root.put({ key: bytes("b"), lease: id }));
    expect(await cluster.world.complete("a renewal", alice.leaseKeepAlive(id))).toMatchObject({
      ttlMs: 100_000,
    });
    expect(await cluster.world.complete("a look", alice.leaseTimeToLive({ id }))).toMatchObject({
      ttlMs: 100_000,
    });
    expect(await errorOf(cluster, alice.leaseTimeToLive({ id, keys: true }))).toMatchObject({
      code: "permissionDenied",
    });
    expect(await cluster.world.complete("a look", root.leaseTimeToLive({ id, keys: true }))).toMatchObject({
      keys: [bytes("b")],
    });
    for (const call of [
      () => engine.leaseGrant({ ttlSeconds: 100 }),
      () => engine.leaseKeepAlive(id),
      () => engine.leaseTimeToLive({ id }),
      () => engine.leaseList(),
      () => engine.leaseRevoke({ id }),
    ]) {
      expect(await errorOf(cluster, call())).toMatchObject({ code: "userEmpty" });
    }
    expect(await errorOf(cluster, alice.leaseRevoke({ id }))).toMatchObject({ code: "permissionDenied" });
    await cluster.world.complete("the end", root.leaseRevoke({ id }));
  });

  it("ends in time while authentication is on, though nobody asks for it", async () => {
    const cluster = await guarded();
    const root = as(cluster.leader()!, "root");
    await cluster.world.complete("a grant", root.leaseGrant({ id: 9n, ttlMs: 500 }));
    await cluster.world.until("its end", () => cluster.up().every((engine) => engine.status().leases === 0));
    expect(cluster.up()).toHaveLength(3);
  });
});
