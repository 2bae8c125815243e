import { describe, expect, test } from "vitest";
import {
  type AppliedCommand,
  type NodeOptions,
  RaftNode,
  type StateMachine,
  type StateSnapshot,
} from "../../../src/core/node/index.ts";
import { crc32 } from "../../../src/core/bytes/index.ts";
import type { NodeId } from "../../../src/core/raft/index.ts";
import { bytes, FAST, later } from "./support.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import type { World } from "./world/world.ts";

/** Keeps a running checksum of all commands, takes its time, and is half-way while it does. */
class SlowLog implements StateMachine<number> {
  /** Commands begun: ahead of `done` in the middle of a chunk. */
  count = 0;
  hash = 0;
  /** Indexes applied, to see that each comes once and in order. */
  readonly indexes: number[] = [];
  isInside = false;
  readonly #world: World;
  readonly #stepMs: number;
  throwAt = Number.POSITIVE_INFINITY;

  constructor(world: World, stepMs: number) {
    this.#world = world;
    this.#stepMs = stepMs;
  }

  async applyChunk(commands: readonly AppliedCommand[]): Promise<readonly number[]> {
    if (this.isInside) throw new Error("called while it was at work");
    this.isInside = true;
    const results: number[] = [];
    for (const { index, command } of commands) {
      if (this.count >= this.throwAt) throw new Error("this machine has had enough");
      this.hash = crc32(command, this.hash);
      this.indexes.push(index);
      results.push(++this.count);
      await new Promise<void>((resolve) => this.#world.schedule(this.#stepMs, null, resolve));
    }
    this.isInside = false;
    return results;
  }

  snapshot(): StateSnapshot {
    const state = bytes(JSON.stringify({ count: this.count, hash: this.hash }));
    return {
      async *chunks() {
        yield state.subarray(0, 5);
        yield state.subarray(5);
      },
      release: () => {},
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.isInside) throw new Error("restored while it was at work");
    this.isInside = true;
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    await new Promise<void>((resolve) => this.#world.schedule(this.#stepMs, null, resolve));
    const { count, hash } = JSON.parse(text) as { count: number; hash: number };
    this.count = count;
    this.hash = hash;
    this.isInside = false;
  }
}

interface Member {
  readonly node: RaftNode<number>;
  readonly machine: SlowLog;
}

class Machines {
  readonly cluster: Cluster;
  readonly members: Map<NodeId, Member> = new Map();

  constructor(options: ClusterOptions) {
    this.cluster = new Cluster({ raft: FAST, ...options });
  }

  async start(id: NodeId, stepMs = 2): Promise<Member> {
    const { options } = this.cluster.node(id).begin();
    return await this.startWith(id, options, stepMs);
  }

  async startWith(id: NodeId, options: NodeOptions, stepMs: number): Promise<Member> {
    const machine = new SlowLog(this.cluster.world, stepMs);
    const node = await this.cluster.world.complete("a start", RaftNode.start(options, machine));
    const member = { node, machine };
    this.members.set(id, member);
    return member;
  }

  async startAll(): Promise<void> {
    for (const id of this.cluster.nodes.keys()) await this.start(id);
  }

  leader(): Member | undefined {
    return [...this.members.values()].find(({ node }) => node.status().role === "leader" && !node.isStopped);
  }

  async elected(): Promise<Member> {
    await this.cluster.world.until("a leader", () => this.leader() !== undefined);
    return this.leader()!;
  }

  async converged(): Promise<void> {
    const all = [...this.members.values()];
    await this.cluster.world.until("all replicas the same", () => {
      const { lastIndex } = all[0]!.node.status();
      return all.every(({ node, machine }) => node.appliedIndex === lastIndex && !machine.isInside);
    });
  }
}

test("a state machine that takes its time gets each command once, in order, and gives its results", async () => {
  const machines = new Machines({ seed: 1 });
  await machines.startAll();
  const { node, machine } = await machines.elected();
  const results = Array.from({ length: 20 }, (_, i) => node.propose(bytes(`command ${i}`)));
  const counts = await machines.cluster.world.complete("the results", Promise.all(results));
  expect(counts).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  await machines.converged();
  for (const other of machines.members.values()) {
    expect(other.machine.indexes).toEqual(machine.indexes);
    expect(other.machine.hash).toBe(machine.hash);
  }
  expect(machine.indexes).toEqual(machine.indexes.toSorted((a, b) => a - b));
  expect(new Set(machine.indexes).size).toBe(20);
});

describe("a snapshot", () => {
  test("is never taken in the middle of a chunk", async () => {
    const machines = new Machines({ seed: 2, founders: 1, tuning: { trailingEntries: 0 } });
    await machines.start(1n, 5);
    const { node, machine } = await machines.elected();
    const results = Array.from({ length: 10 }, (_, i) => node.propose(bytes(`command ${i}`)));
    await machines.cluster.world.until("the middle", () => machine.count === 4);
    const { meta } = await machines.cluster.world.complete("a snapshot", node.takeSnapshot());
    await machines.cluster.world.complete("the results", Promise.all(results));
    const { count, hash } = machine;
    expect(meta.index).toBeLessThanOrEqual(node.appliedIndex);
    // What a restart makes of it is what it was.
    machines.cluster.node(1n).crash();
    const again = await machines.start(1n);
    await machines.elected();
    await machines.cluster.world.complete("a command", again.node.propose(bytes("last")));
    expect(again.machine.count).toBe(count + 1);
    expect(again.machine.hash).toBe(crc32(bytes("last"), hash));
  });

  test("brings a member that was away to the same state, though the leader is always at work", async () => {
    const machines = new Machines({
      seed: 3,
      raft: { ...FAST, tailBytes: 1 },
      tuning: { trailingEntries: 0, snapshotEntries: 10 },
    });
    await machines.startAll();
    const { node, machine } = await machines.elected();
    const away = machines.cluster.others(node.status().nodeId)[0]!;
    machines.cluster.node(away).crash();
    machines.members.delete(away);
    let isWriting = true;
    let count = 0;
    const write = (): void => {
      if (!isWriting) return;
      void later(node.propose(bytes(`command ${count++}`)));
      machines.cluster.world.schedule(3, null, write);
    };
    write();
    await machines.cluster.world.runFor(400);
    const back = await machines.start(away);
    await machines.cluster.world.runFor(600);
    isWriting = false;
    await machines.converged();
    expect(machines.cluster.node(away).lines.some((line) => line.includes("snapshot restored"))).toBe(true);
    expect(back.machine.hash).toBe(machine.hash);
    expect(back.machine.count).toBe(machine.count);
    expect(machine.count).toBeGreaterThan(100);
  });
});

test("a member that applies slowly does not take changes of members for news that a snapshot has overtaken", async () => {
  const machines = new Machines({
    seed: 8,
    raft: { ...FAST, tailBytes: 1 },
    tuning: { trailingEntries: 0 },
  });
  const { cluster } = machines;
  await machines.startAll();
  const { node } = await machines.elected();
  const slow = cluster.others(node.status().nodeId)[0]!;
  cluster.node(slow).crash();
  const { node: follower, machine } = await machines.start(slow, 300);
  await machines.converged();
  const change = async (type: "addLearner" | "remove"): Promise<void> => {
    const members = type === "addLearner" ? [{ id: 9n, peerUrls: ["http://n9:2380"] }] : [];
    await cluster.world.complete("a change", node.changeMembers([{ type, node: 9n }], members));
  };
  const commands = Array.from({ length: 5 }, (_, i) => node.propose(bytes(`command ${i}`)));
  await cluster.world.complete("the commands", Promise.all(commands));
  await change("addLearner");
  // It knows that the change is committed, and is at work on what comes before it.
  await cluster.world.runFor(100);
  expect(follower.status().commitIndex).toBe(node.status().commitIndex);
  expect(machine.isInside).toBe(true);
  cluster.network.partition([slow], cluster.others(slow));
  await change("remove");
  await cluster.world.complete("a snapshot", node.takeSnapshot());
  cluster.network.heal();
  await machines.converged();
  expect(cluster.node(slow).lines.some((line) => line.includes("snapshot restored"))).toBe(true);
  expect(follower.status().config).toEqual(node.status().config);
  expect(follower.members()).toEqual(node.members());
});

describe("a state machine that throws", () => {
  test("stops its node, ends what waits, and lets the others go on", async () => {
    const machines = new Machines({ seed: 4 });
    await machines.startAll();
    const { node, machine } = await machines.elected();
    const failures: unknown[] = [];
    node.events.failure.add((error) => failures.push(error));
    await machines.cluster.world.complete("a command", node.propose(bytes("fine")));
    machine.throwAt = machine.count;
    const doomed = node.propose(bytes("not fine"));
    const error = await machines.cluster.world.failure("the command", doomed);
    expect(error).toMatchObject({ code: "stopped", grpcCode: 14 });
    expect(failures).toMatchObject([{ message: "this machine has had enough" }]);
    expect(node.isStopped).toBe(true);
    await expect(node.propose(bytes("again"))).rejects.toMatchObject({ code: "proposalDropped" });
    await expect(node.barrier("linearizable")).rejects.toMatchObject({ code: "stopped" });
    const next = await machines.elected();
    expect(next.node).not.toBe(node);
    await machines.cluster.world.complete("a command", next.node.propose(bytes("and on")));
    expect(next.machine.count).toBe(3);
  });

  test("takes no snapshot of what it has become", async () => {
    const machines = new Machines({ seed: 5, founders: 1 });
    await machines.start(1n);
    const { node, machine } = await machines.elected();
    machine.throwAt = 0;
    const snapshots = machines.cluster.node(1n).disk.durable.snapshots.length;
    const doomed = later(node.propose(bytes("not fine")));
    const taken = later(node.takeSnapshot());
    expect(await machines.cluster.world.failure("the command", doomed)).toMatchObject({ code: "stopped" });
    await machines.cluster.world.complete("the snapshot", Promise.allSettled([taken]));
    const { durable } = machines.cluster.node(1n).disk;
    expect(durable.snapshots.length).toBe(snapshots);
  });

  test("at a start makes the start fail", async () => {
    const machines = new Machines({ seed: 6, founders: 1 });
    await machines.start(1n);
    const { node } = await machines.elected();
    await machines.cluster.world.complete("a command", node.propose(bytes("one")));
    await machines.cluster.world.complete("another", node.propose(bytes("two")));
    await machines.cluster.world.complete("the end", node.stop());
    machines.cluster.node(1n).crash();
    const machine = new SlowLog(machines.cluster.world, 1);
    machine.throwAt = 0;
    const { options } = machines.cluster.node(1n).begin();
    await expect(
      machines.cluster.world.complete("the start", RaftNode.start(options, machine)),
    ).rejects.toThrow("had enough");
  });
});

test("an apply that ends just as the next entries come does not leave them behind", async () => {
  // Every alignment of the two, to the microtask: chains of resolved promises of all lengths.
  for (let hops = 0; hops <= 12; hops++) {
    const cluster = new Cluster({ seed: 7, founders: 1 });
    const { options } = cluster.node(1n).begin();
    let count = 0;
    const machine: StateMachine<number> = {
      async applyChunk(commands) {
        for (let i = 0; i < hops; i++) await Promise.resolve();
        return commands.map(() => ++count);
      },
      snapshot: () => ({ chunks: () => [], release: () => {} }),
      restore: async () => {},
    };
    const node = await cluster.world.complete("a start", RaftNode.start(options, machine));
    await cluster.world.until("a leader", () => node.status().role === "leader");
    for (let i = 0; i < 20; i++) {
      const pair = [node.propose(bytes("a")), node.propose(bytes("b"))];
      await cluster.world.complete("a pair", Promise.all(pair), 1000);
    }
    expect(count).toBe(40);
  }
});
