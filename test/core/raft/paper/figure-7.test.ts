import { describe, expect, it } from "vitest";
import type { NodeId, Term } from "../../../../src/core/raft/index.ts";
import { Cluster } from "../harness/cluster.ts";
import { stage, termsOf } from "./staging.ts";

const LEADER: Term[] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: [string, Term[]][] = [
  ["(a) lacks one entry", [1, 1, 1, 4, 4, 5, 5, 6, 6]],
  ["(b) lacks many entries", [1, 1, 1, 4]],
  ["(c) has an extra uncommitted entry", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
  ["(d) has extra uncommitted entries of a later term", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
  ["(e) both lacks and has extra entries", [1, 1, 1, 4, 4, 4, 4]],
  ["(f) has only early entries that were never committed", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
];

/** Node 1 is to lead term 8; it campaigns first. */
const first = (node: NodeId): number => (node === 1n ? 0 : 0.9);

describe("Figure 7 (§5.3): when the leader at the top comes to power", () => {
  it.each(FOLLOWERS)("follower %s and is brought to the leader's log", (_, log) => {
    const cluster = new Cluster({ voters: 3, jitter: first });
    stage(
      cluster,
      7,
      new Map([
        [1n, LEADER],
        [2n, log],
        [3n, LEADER],
      ]),
    );
    expect(cluster.elect().id).toBe(1n);
    cluster.advance(300);
    expect(termsOf(cluster.node(1))).toEqual([...LEADER, 8]);
    expect(termsOf(cluster.node(2))).toEqual([...LEADER, 8]);
    expect(cluster.node(2).machine.commands).toEqual(cluster.node(1).machine.commands);
    expect(cluster.node(2).machine.commands.length).toBe(LEADER.length);
  });

  it("all six are repaired together, though (c) and (d) do not vote for it", () => {
    const cluster = new Cluster({ voters: 7, jitter: first });
    stage(
      cluster,
      7,
      new Map([LEADER, ...FOLLOWERS.map(([, log]) => log)].map((log, i) => [BigInt(i + 1), log])),
    );
    expect(cluster.elect().id).toBe(1n);
    expect(cluster.node(1).status.term).toBe(8);
    cluster.advance(300);
    for (const node of cluster.up) expect(termsOf(node)).toEqual([...LEADER, 8]);
    for (const node of cluster.up) expect(node.status.commitIndex).toBe(LEADER.length + 2);
  });

  it("each is found with few refusals, a term at a time, not an entry at a time (end of §5.3)", () => {
    const refusals = FOLLOWERS.map(([, log]) => {
      let count = 0;
      const cluster = new Cluster({
        voters: 3,
        jitter: first,
        observers: [
          (event) => {
            if (
              event.type === "delivered" &&
              event.message.type === "AppendEntriesResult" &&
              !event.message.success
            )
              count++;
          },
        ],
      });
      stage(
        cluster,
        7,
        new Map([
          [1n, LEADER],
          [2n, log],
          [3n, LEADER],
        ]),
      );
      cluster.elect();
      cluster.advance(300);
      return count;
    });
    // At most one for each term in which the logs differ.
    expect(refusals).toEqual([1, 1, 0, 0, 1, 1]);
  });
});
