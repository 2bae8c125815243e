import { describe, expect, test } from "vitest";
import type { AutoCompaction, NodeOptions } from "../../../src/core/node/index.ts";
import { AutoCompactor } from "../../../src/core/node/auto-compactor.ts";
import { FAST, putNow } from "./support.ts";
import { Cluster } from "./world/cluster.ts";
import { HandClock } from "./watch/hub-fixture.ts";

const MINUTE = 60_000;

function setUp(wanted: AutoCompaction) {
  const clock = new HandClock();
  const state = { isLeader: true, revision: 1, compactRevision: 0 };
  const proposed: number[] = [];
  let fails = false;
  let looks = 0;
  const compactor = new AutoCompactor({
    wanted,
    clock,
    logger: { log: () => undefined },
    state: () => {
      looks++;
      return state;
    },
    compact: (revision) => {
      proposed.push(revision);
      if (fails) return Promise.reject(new Error("no quorum"));
      state.compactRevision = revision;
      return Promise.resolve();
    },
  });
  const pass = async (minutes: number, writesPerMinute = 1): Promise<void> => {
    for (let i = 0; i < minutes; i++) {
      state.revision += writesPerMinute;
      clock.advance(MINUTE);
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
  };
  return {
    clock,
    state,
    proposed,
    compactor,
    pass,
    failing: (does: boolean) => (fails = does),
    looks: () => looks,
  };
}

describe("compaction by itself", () => {
  test("by time keeps what was changed within it, and a tenth of it more at most", async () => {
    const { state, proposed, pass } = setUp({ mode: "periodic", retentionMs: 30 * MINUTE });
    await pass(30);
    expect(proposed).toEqual([]);
    await pass(60);
    expect(proposed.length).toBeGreaterThan(10);
    const kept = state.revision - state.compactRevision;
    expect(kept).toBeGreaterThanOrEqual(30);
    expect(kept).toBeLessThanOrEqual(33);
    // What nobody adds to is compacted to its end, and then left alone.
    await pass(60, 0);
    expect(state.compactRevision).toBe(state.revision);
    const { length } = proposed;
    await pass(60, 0);
    expect(proposed).toHaveLength(length);
  });

  test("by revisions keeps so many", async () => {
    const { state, proposed, pass } = setUp({ mode: "revision", retention: 10 });
    await pass(4);
    expect(proposed).toEqual([]);
    await pass(56);
    expect(state.revision - state.compactRevision).toBeGreaterThanOrEqual(10);
    expect(state.revision - state.compactRevision).toBeLessThanOrEqual(15);
  });

  test("is the leader's business, who knows the past even if it did not lead then", async () => {
    const { state, proposed, pass } = setUp({ mode: "periodic", retentionMs: 30 * MINUTE });
    state.isLeader = false;
    await pass(60);
    expect(proposed).toEqual([]);
    state.isLeader = true;
    await pass(3);
    expect(proposed).toHaveLength(1);
    expect(state.revision - proposed[0]!).toBeGreaterThanOrEqual(30);
  });

  test("is tried again when it fails, and ends with the node", async () => {
    const { clock, proposed, compactor, pass, failing } = setUp({ mode: "revision", retention: 1 });
    failing(true);
    await pass(10);
    expect(proposed).toHaveLength(2);
    failing(false);
    await pass(5);
    expect(proposed).toHaveLength(3);
    compactor.stop();
    expect(clock.pending).toBe(0);
  });

  test("looks at the revision no more than a thousand times within its period, however long that is", () => {
    const year = 365 * 24 * 60 * MINUTE;
    const { clock, looks } = setUp({ mode: "periodic", retentionMs: year });
    clock.advance(year);
    // Once to remember it, and once to see whether anything is old enough.
    expect(looks()).toBeLessThanOrEqual(2 * 1000 + 1);
    expect(looks()).toBeGreaterThan(1000);
  });
});

test("a group compacts its history on every member, over the loss of its leader", async () => {
  const cluster = new Cluster({ seed: 11, raft: FAST });
  const autoCompaction: NonNullable<NodeOptions["autoCompaction"]> = { mode: "periodic", retentionMs: 2000 };
  const starts = [...cluster.nodes.values()].map((node) => node.start({ autoCompaction }));
  await cluster.world.complete("the start", Promise.all(starts));
  const leader = await cluster.elected();
  for (let i = 0; i < 10; i++) await putNow(cluster, leader, "k", String(i));
  const { revision } = leader.status();
  await cluster.world.until("a compaction", () =>
    cluster.up().every((engine) => engine.status().compactRevision === revision),
  );
  cluster.node(leader.nodeId).crash();
  const next = await cluster.elected();
  for (let i = 0; i < 10; i++) await putNow(cluster, next, "k", String(i));
  await cluster.world.until("another", () =>
    cluster.up().every((engine) => engine.status().compactRevision === revision + 10),
  );
  expect(cluster.stateHashes()).toHaveLength(1);
});
