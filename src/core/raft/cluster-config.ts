import { assert } from "../errors/index.ts";
import type { ClusterConfig, NodeId } from "./types.ts";

/** A configuration that is not joint. */
export function simpleConfig(voters: Iterable<NodeId>, learners: Iterable<NodeId> = []): ClusterConfig {
  return {
    voters: sorted(voters),
    votersOutgoing: [],
    learners: sorted(learners),
    learnersNext: [],
    autoLeave: false,
  };
}

export function isJoint(config: ClusterConfig): boolean {
  return config.votersOutgoing.length > 0;
}

/** Whether the node's vote counts in either half. */
export function isVoter(config: ClusterConfig, node: NodeId): boolean {
  return config.voters.includes(node) || config.votersOutgoing.includes(node);
}

/** Every node that is to receive the log, each once, in order of id. */
export function members(config: ClusterConfig): NodeId[] {
  return sorted([...config.voters, ...config.votersOutgoing, ...config.learners]);
}

/** In order of id, without duplicates. */
export function sorted(nodes: Iterable<NodeId>): NodeId[] {
  return [...new Set(nodes)].sort((a, b) => (a < b ? -1 : 1));
}

/** The invariants of {@link ClusterConfig}; broken only by a bug. */
export function assertValidConfig(config: ClusterConfig): void {
  const { voters, votersOutgoing, learners, learnersNext } = config;
  for (const list of [voters, votersOutgoing, learners, learnersNext]) {
    for (let i = 1; i < list.length; i++)
      assert(list[i - 1]! < list[i]!, "configuration lists are sorted and unique");
  }
  for (const learner of learners) {
    assert(!voters.includes(learner), "a learner is not a voter");
    assert(!votersOutgoing.includes(learner), "a learner is not an outgoing voter");
  }
  for (const next of learnersNext) {
    assert(votersOutgoing.includes(next), "a future learner is an outgoing voter");
    assert(!voters.includes(next), "a future learner is not an incoming voter");
  }
  if (!isJoint(config)) {
    assert(learnersNext.length === 0, "only a joint configuration has future learners");
    assert(!config.autoLeave, "only a joint configuration can be left");
  }
}
