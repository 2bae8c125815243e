import type { ClusterConfig, NodeId } from "./types.ts";

/*
 * Majorities, simple and joint. While a configuration is joint every decision needs a majority of both halves
 * (thesis §4.3). An empty half agrees to everything; a configuration whose `voters` are empty decides nothing.
 */

/**
 * The largest value that a quorum has reached, each voter at `valueOf(voter)`: the commit index from match
 * indexes, the confirmed round from acknowledged rounds, the time a quorum was last heard from.
 */
export function quorumValue(config: ClusterConfig, valueOf: (voter: NodeId) => number): number {
  if (config.voters.length === 0) return Number.NEGATIVE_INFINITY;
  const incoming = majorityValue(config.voters, valueOf);
  if (config.votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityValue(config.votersOutgoing, valueOf));
}

function majorityValue(voters: readonly NodeId[], valueOf: (voter: NodeId) => number): number {
  // Asked at every step of a leader, of a handful of voters: sorted as they come, the largest first.
  const values: number[] = [];
  for (const voter of voters) {
    const value = valueOf(voter);
    let at = values.length;
    for (; at > 0 && values[at - 1]! < value; at--) values[at] = values[at - 1]!;
    values[at] = value;
  }
  return values[values.length >> 1]!;
}

export type VoteOutcome = "won" | "lost" | "pending";

/** How an election stands. `voteOf` gives true, false, or undefined for a voter that has not answered. */
export function voteOutcome(
  config: ClusterConfig,
  voteOf: (voter: NodeId) => boolean | undefined,
): VoteOutcome {
  if (config.voters.length === 0) return "lost";
  const incoming = majorityVote(config.voters, voteOf);
  if (config.votersOutgoing.length === 0) return incoming;
  const outgoing = majorityVote(config.votersOutgoing, voteOf);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}

function majorityVote(
  voters: readonly NodeId[],
  voteOf: (voter: NodeId) => boolean | undefined,
): VoteOutcome {
  const needed = (voters.length >> 1) + 1;
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  if (granted >= needed) return "won";
  return voters.length - refused < needed ? "lost" : "pending";
}
