// The checker of invariants must be able to fail: here it is shown disks, clocks and drivers that break their contract.

import { describe, expect, it } from "vitest";
import { Cluster } from "./harness/cluster.ts";
import { StoredLog } from "./harness/stored-log.ts";

/** A leader that was cut off, and a new one that has committed since; the old one's clock may be slow. */
function twoLeaders(rate: number): Cluster {
  const cluster = new Cluster({ jitter: (id) => (id === 1n ? 0 : Number(id) / 20) });
  cluster.elect();
  cluster.advance(200);
  cluster.node(1).clock.setRate(rate, cluster.nowMs);
  cluster.isolate(1);
  cluster.advance(1200);
  cluster.propose(2, "new");
  cluster.settle();
  expect(cluster.node(2).machine.commands).toEqual(["new"]);
  return cluster;
}

describe("the checker sees", () => {
  it("a stale lease read, when the leader's clock leaves the drift bound behind", () => {
    const cluster = twoLeaders(0.5);
    expect(cluster.node(1).status.role).toBe("leader");
    expect(() => cluster.read(1, true)).toThrow(/S13 lease reads/);
  });

  it("nothing wrong as long as clocks keep to the bound: the lease is over by then", () => {
    const cluster = twoLeaders(0.95);
    expect(cluster.read(1, true).outcome.ok).toBe(false);
  });

  it("a disk that forgets a vote", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    leader.crash();
    leader.disk.hardState = { ...leader.disk.hardState, vote: null };
    expect(() => leader.start()).toThrow(/S7 vote/);
  });

  it("a disk that forgets a term", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    leader.crash();
    leader.disk.hardState = { term: 1, vote: null, commit: 1 };
    expect(() => leader.start()).toThrow(/S7 term/);
  });

  it("disks that lose what a quorum had acknowledged", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    cluster.propose(leader.id, "kept");
    cluster.settle();
    expect(cluster.invariants.committedIndex).toBe(3);
    const rest = [...cluster.nodes.values()].filter((node) => node !== leader);
    leader.crash();
    for (const node of rest) {
      node.crash();
      const shortened = new StoredLog(node.disk.log.base, node.disk.log.slice(0, 2));
      Object.defineProperty(node.disk, "log", { value: shortened });
    }
    const lose = (): void => {
      for (const node of rest) node.start();
      cluster.elect();
    };
    expect(lose).toThrow(/S4 leader completeness|S9 durable/);
  });

  it("a driver that says durable before it is", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    leader.auto.persist = false;
    cluster.propose(leader.id, "early");
    const [write] = leader.disk.pending;
    expect(() => leader.step({ type: "persisted", number: write!.ready.number })).toThrow(/S8 durable/);
  });

  it("a state machine that skips an entry", () => {
    const cluster = new Cluster();
    const leader = cluster.elect();
    leader.auto.apply = false;
    cluster.propose(leader.id, "a", "b");
    cluster.settle();
    leader.applyQueue.shift();
    expect(() => leader.applyNext()).toThrow(/applied after/);
  });
});

describe("election timeouts", () => {
  it("lie between one and two, and differ: seeded randomness that does not collide", () => {
    const deadlines: number[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new Cluster({ voters: 5, seed });
      const first = cluster.up.map(({ core }) => core.nextDeadlineMs()!);
      expect(new Set(first).size).toBe(5);
      deadlines.push(...first);
    }
    expect(Math.min(...deadlines)).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...deadlines)).toBeLessThan(2000);
    // Spread over the whole range, so that a split vote is not repeated.
    for (let from = 1000; from < 2000; from += 250) {
      expect(deadlines.filter((ms) => ms >= from && ms < from + 250).length).toBeGreaterThan(10);
    }
  });
});
