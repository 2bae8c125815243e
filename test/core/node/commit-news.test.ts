// News of commits that is held back, where each message costs something: who waits for it at a follower does not notice.

import { beforeEach, describe, expect, it } from "vitest";
import type { KvEngine } from "../../../src/core/node/index.ts";
import { get, put } from "./support.ts";
import { Cluster } from "./world/cluster.ts";

/** Heartbeats come seldom enough not to help. */
const RAFT = { electionTimeoutMs: 9000, heartbeatIntervalMs: 3000, commitNewsDelayMs: 800 };
const AT_ONCE_MS = 100;

describe("a follower, with news of commits held back,", () => {
  let cluster: Cluster;
  let leader: KvEngine;
  let follower: KvEngine;

  beforeEach(async () => {
    cluster = new Cluster({ raft: RAFT });
    leader = await cluster.startAndElect();
    await cluster.announced();
    // Until nothing is on its way.
    await cluster.world.runFor(1000);
    follower = cluster.followers()[0]!;
  });

  async function took(work: Promise<unknown>): Promise<number> {
    const startedMs = cluster.world.nowMs;
    await cluster.world.complete("the request", work);
    return cluster.world.nowMs - startedMs;
  }

  it("hears of a write in time though nothing follows it", async () => {
    await took(put(leader, "a", "1"));
    const { appliedIndex } = leader.status();
    expect(follower.status().appliedIndex).toBe(appliedIndex - 1);
    await cluster.world.runFor(RAFT.commitNewsDelayMs + 10);
    expect(follower.status().appliedIndex).toBe(appliedIndex);
  });

  it("answers a write that was made there as soon as one at the leader", async () => {
    expect(await took(put(follower, "a", "1"))).toBeLessThan(AT_ONCE_MS);
  });

  it("answers a read as soon as it has asked the leader, and reads the last write", async () => {
    await took(put(leader, "a", "1"));
    for (const consistency of ["linearizable", "lease"] as const) {
      const read = get(follower, "a", { consistency });
      expect(await took(read)).toBeLessThan(AT_ONCE_MS);
      expect((await read)?.value).toBe("1");
      await took(put(leader, "b", "1"));
    }
  });
});
