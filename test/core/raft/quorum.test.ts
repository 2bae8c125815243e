import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { simpleConfig } from "../../../src/core/raft/cluster-config.ts";
import type { ClusterConfig, NodeId } from "../../../src/core/raft/index.ts";
import { quorumValue, voteOutcome } from "../../../src/core/raft/quorum.ts";
import { joint, POPULATION, quorumsOf, simple } from "./arbitraries.ts";

const anyConfig = fc.oneof(simple, joint);

const ranks = fc.array(
  fc.oneof(fc.nat(5), fc.constant(Number.POSITIVE_INFINITY), fc.constant(Number.NEGATIVE_INFINITY)),
  { minLength: POPULATION.length, maxLength: POPULATION.length },
);
const ballots = fc.array(fc.constantFrom(true, false, undefined), {
  minLength: POPULATION.length,
  maxLength: POPULATION.length,
});
const of =
  <T>(values: readonly T[]) =>
  (node: NodeId): T =>
    values[POPULATION.indexOf(node)]!;

/** The best over all quorums of what every member of it has reached. */
function bruteForceValue(config: ClusterConfig, valueOf: (node: NodeId) => number): number {
  return Math.max(...quorumsOf(config).map((quorum) => Math.min(...quorum.map(valueOf))));
}

function bruteForceOutcome(
  config: ClusterConfig,
  voteOf: (node: NodeId) => boolean | undefined,
): "won" | "lost" | "pending" {
  const quorums = quorumsOf(config);
  if (quorums.some((quorum) => quorum.every((node) => voteOf(node) === true))) return "won";
  // Still to be won if everybody who has not answered grants.
  return quorums.some((quorum) => quorum.every((node) => voteOf(node) !== false)) ? "pending" : "lost";
}

describe("quorumValue", () => {
  it("is the largest value that all of some quorum have reached, joint or not", () => {
    fc.assert(
      fc.property(anyConfig, ranks, (config, values) => {
        expect(quorumValue(config, of(values))).toBe(bruteForceValue(config, of(values)));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    [[7], 7],
    [[7, 3], 3],
    [[7, 3, 5], 5],
    [[9, 8, 2, 1], 2],
    [[9, 8, 4, 2, 1], 4],
  ] as [number[], number][])("of voters at %j is %i", (values, expected) => {
    const voters = values.map((_, i) => BigInt(i + 1));
    expect(quorumValue(simpleConfig(voters), (node) => values[Number(node) - 1]!)).toBe(expected);
  });

  it("never counts a learner, nor an outgoing voter that is to become one in the incoming half (S11)", () => {
    const config: ClusterConfig = {
      voters: [1n, 2n, 3n],
      votersOutgoing: [1n, 4n, 5n],
      learners: [6n],
      learnersNext: [4n],
      autoLeave: true,
    };
    const at: Record<string, number> = { 1: 9, 2: 1, 3: 1, 4: 9, 5: 9, 6: 9 };
    expect(quorumValue(config, (node) => at[String(node)]!)).toBe(1);
    expect(quorumValue({ ...config, voters: [1n, 2n] }, (node) => (node === 2n ? 8 : 9))).toBe(8);
  });

  it("decides nothing without voters", () => {
    expect(quorumValue(simpleConfig([]), () => 9)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("voteOutcome", () => {
  it("is won, lost or open as every quorum says, joint or not", () => {
    fc.assert(
      fc.property(anyConfig, ballots, (config, votes) => {
        expect(voteOutcome(config, of(votes))).toBe(bruteForceOutcome(config, of(votes)));
      }),
      { numRuns: 1000 },
    );
  });

  it("never changes a decision when more votes arrive", () => {
    fc.assert(
      fc.property(anyConfig, ballots, ballots, (config, votes, later) => {
        const before = voteOutcome(config, of(votes));
        fc.pre(before !== "pending");
        const after = votes.map((vote, i) => vote ?? later[i]);
        expect(voteOutcome(config, of(after))).toBe(before);
      }),
    );
  });

  it("agrees with quorumValue: an election is won exactly when a quorum has reached 1 vote", () => {
    fc.assert(
      fc.property(anyConfig, ballots, (config, votes) => {
        const won = quorumValue(config, (node) => (of(votes)(node) === true ? 1 : 0)) === 1;
        expect(voteOutcome(config, of(votes)) === "won").toBe(won);
      }),
    );
  });

  it("is lost without voters, so that an empty configuration elects nobody", () => {
    expect(voteOutcome(simpleConfig([]), () => true)).toBe("lost");
  });
});
