import { describe, expect, test } from "vitest";
import type { KvEngine, WatchStream } from "../../../src/core/node/index.ts";
import type { NodeId } from "../../../src/core/raft/index.ts";
import { bytes, errorOf, FAST, later, put, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

/** One watch, whose client connects anew, somewhere else, whenever its server is gone. */
class Follower {
  readonly revisions: number[] = [];
  /** Everything up to here has been heard. */
  told = 0;
  ended: string | null = null;
  #stream: WatchStream | null = null;

  follow(engine: KvEngine): void {
    this.#stream?.close();
    const stream = engine.watch();
    this.#stream = stream;
    stream.create({ key: bytes("k"), rangeEnd: bytes("l"), startRevision: this.told + 1 });
    const read = async (): Promise<void> => {
      for await (const { created, canceled, compactRevision, events, header } of stream) {
        if (canceled) this.ended = `compacted ${compactRevision}`;
        if (created || canceled) continue;
        for (const { kv } of events) this.revisions.push(kv.modRevision);
        this.told = header.revision;
      }
    };
    read().catch((error: unknown) => {
      this.ended = String(error);
    });
  }
}

function upTo(revision: number): number[] {
  return Array.from({ length: revision - 1 }, (_, i) => i + 2);
}

/** Writes on whoever can, while everything else goes on. */
async function write(cluster: Cluster, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const engine = cluster.leader() ?? cluster.up()[0]!;
    void later(put(engine, `k${i % 7}`, String(i), { timeoutMs: 3000 }));
    await cluster.world.runFor(5);
  }
}

describe("watches on every member", () => {
  test("see the same changes in the same order, over the loss of a leader and its return", async () => {
    const cluster = new Cluster({ seed: 1, raft: FAST });
    const first = await cluster.startAndElect();
    const followers = new Map<NodeId, Follower>([...cluster.nodes.keys()].map((id) => [id, new Follower()]));
    for (const [id, follower] of followers) follower.follow(cluster.engine(id));
    await write(cluster, 50);
    const lost = first.nodeId;
    cluster.node(lost).crash();
    followers.get(lost)!.follow(cluster.up()[0]!);
    await cluster.elected();
    await write(cluster, 50);
    await cluster.start([lost]);
    // Behind at first: the changes that it has yet to apply are still to come for it.
    followers.get(lost)!.follow(cluster.engine(lost));
    await cluster.elected();
    await write(cluster, 50);
    await cluster.world.runFor(4000);
    await cluster.converged();
    const { revision } = cluster.leader()!.status();
    expect(revision).toBeGreaterThan(100);
    for (const follower of followers.values()) expect(follower.revisions).toEqual(upTo(revision));
  });

  test("miss nothing when a member that was cut off is sent a snapshot", async () => {
    const tuning = { snapshotEntries: 20, trailingEntries: 0 };
    const cluster = new Cluster({ seed: 2, raft: { ...FAST, tailBytes: 1 }, tuning });
    const leader = await cluster.startAndElect();
    const cut = cluster.others(leader.nodeId)[0]!;
    const [early, compacted] = [new Follower(), new Follower()];
    early.follow(cluster.engine(cut));
    await write(cluster, 10);
    await cluster.world.runFor(500);
    compacted.told = 3;
    cluster.network.partition([cut], cluster.others(cut));
    await write(cluster, 60);
    await cluster.world.runFor(500);
    cluster.network.heal();
    await cluster.world.until("a snapshot", () =>
      cluster.node(cut).lines.some((each) => each.includes("snapshot restored")),
    );
    await cluster.converged();
    await cluster.world.runFor(100);
    const { revision } = cluster.leader()!.status();
    expect(early.revisions).toEqual(upTo(revision));
    expect(early.ended).toBe(null);
    // Whoever comes now finds the whole history there as well.
    const late = new Follower();
    late.follow(cluster.engine(cut));
    await cluster.world.runFor(100);
    expect(late.revisions).toEqual(upTo(revision));
  });

  test("say so when a snapshot was compacted beyond where they were", async () => {
    const tuning = { snapshotEntries: 20, trailingEntries: 0 };
    const cluster = new Cluster({ seed: 3, raft: { ...FAST, tailBytes: 1 }, tuning });
    const leader = await cluster.startAndElect();
    const cut = cluster.others(leader.nodeId)[0]!;
    const follower = new Follower();
    follower.follow(cluster.engine(cut));
    await write(cluster, 10);
    await cluster.world.runFor(500);
    cluster.network.partition([cut], cluster.others(cut));
    await write(cluster, 30);
    await cluster.world.runFor(500);
    const { revision } = cluster.leader()!.status();
    await cluster.world.complete("a compaction", cluster.leader()!.compact({ revision }));
    await write(cluster, 30);
    cluster.network.heal();
    await cluster.world.until("a snapshot", () =>
      cluster.node(cut).lines.some((each) => each.includes("snapshot restored")),
    );
    await cluster.converged();
    await cluster.world.runFor(100);
    expect(follower.revisions).toEqual(upTo(11));
    expect(follower.ended).toBe(`compacted ${revision}`);
  });

  test("find history after a restart from a snapshot and a log", async () => {
    const tuning = { snapshotEntries: 20, trailingEntries: 0 };
    const cluster = new Cluster({ seed: 4, raft: FAST, tuning });
    await cluster.startAndElect();
    await write(cluster, 50);
    await cluster.world.runFor(1000);
    cluster.crashAll();
    const leader = await cluster.startAndElect();
    await cluster.converged();
    const follower = new Follower();
    follower.follow(leader);
    await cluster.world.runFor(100);
    expect(follower.revisions).toEqual(upTo(leader.status().revision));
  });
});

test("a stream that needs a leader fails once there has been none for three election timeouts", async () => {
  const cluster = new Cluster({ seed: 5, raft: FAST });
  const leader = await cluster.startAndElect();
  const [other] = cluster.followers();
  await putNow(cluster, leader, "k", "v");
  const stream = other!.watch({ requireLeader: true });
  for (const id of cluster.others(other!.nodeId)) cluster.node(id).crash();
  const startMs = cluster.world.nowMs;
  const error = await errorOf(cluster, stream.next());
  expect(error.code).toBe("noLeader");
  expect(cluster.world.nowMs - startMs).toBeGreaterThanOrEqual(3 * FAST.electionTimeoutMs);
  expect(() => other!.watch({ requireLeader: true })).toThrow("no leader");
  other!.watch().close();
});

test("a learner serves no watches", async () => {
  const cluster = new Cluster({ seed: 6, raft: FAST });
  const leader = await cluster.startAndElect();
  await cluster.announced();
  const added = leader.memberAdd({ peerUrls: ["http://n4:2380"], isLearner: true });
  const { member } = await cluster.world.complete("an addition", added);
  cluster.addJoiner(member.id);
  await cluster.start([member.id]);
  await cluster.converged();
  expect(() => cluster.engine(member.id).watch()).toThrow("rpc not supported for learner");
});

test("a node that stops ends its watches", async () => {
  const cluster = new Cluster({ seed: 7, founders: 1, raft: FAST });
  const engine = await cluster.startAndElect();
  const reading = later(engine.watch().next());
  await cluster.world.complete("the stop", engine.stop());
  expect((await errorOf(cluster, reading)).code).toBe("stopped");
});
