import { assertValidConfig, isJoint, sorted } from "./cluster-config.ts";
import type { ClusterConfig, ConfChange, ConfChangeStep, NodeId } from "./types.ts";

/** A change that may not be made, and why. */
export interface ConfChangeRefusal {
  readonly refused: string;
}

/**
 * The configuration after `change`, or why it is refused. Works on copies; nothing given is modified. (Thesis §4;
 * the rules for mixing voters and learners in one joint change are those of etcd's raft.)
 */
export function changeConfig(config: ClusterConfig, change: ConfChange): ClusterConfig | ConfChangeRefusal {
  if (change.steps.length === 0) return leaveJoint(config);
  if (isJoint(config)) return { refused: "the configuration is joint already; leave it first" };
  // With nobody to agree to it, such a change would come out of nothing.
  if (config.voters.length === 0) return { refused: "the configuration has no voters" };
  const seen = new Set<NodeId>();
  for (const step of change.steps) {
    if (step.node <= 0n) return { refused: "a node id must be greater than 0" };
    if (seen.has(step.node)) return { refused: `node ${step.node} appears twice in one change` };
    seen.add(step.node);
  }
  return needsJoint(config, change) ? enterJoint(config, change) : simpleChange(config, change.steps);
}

/** `auto` avoids joint consensus where majorities before and after always overlap: at most one voter differs. */
function needsJoint(config: ClusterConfig, change: ConfChange): boolean {
  if (change.transition !== "auto") return true;
  const after = applySteps(config, change.steps);
  return voterDifference(config.voters, after.voters) > 1;
}

function simpleChange(
  config: ClusterConfig,
  steps: readonly ConfChangeStep[],
): ClusterConfig | ConfChangeRefusal {
  const { voters, learners } = applySteps(config, steps);
  if (voters.length === 0) return { refused: "no voter would be left" };
  return checked({ voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false });
}

function enterJoint(config: ClusterConfig, change: ConfChange): ClusterConfig | ConfChangeRefusal {
  const { voters, learners } = applySteps(config, change.steps);
  if (voters.length === 0) return { refused: "no voter would be left" };
  // A voter that becomes a learner stays out of `learners` until the outgoing half, where it votes, is gone.
  const learnersNext = learners.filter((node) => config.voters.includes(node));
  return checked({
    voters,
    votersOutgoing: config.voters,
    learners: learners.filter((node) => !learnersNext.includes(node)),
    learnersNext,
    autoLeave: change.transition !== "explicit",
  });
}

function leaveJoint(config: ClusterConfig): ClusterConfig | ConfChangeRefusal {
  if (!isJoint(config)) return { refused: "the configuration is not joint" };
  return checked({
    voters: config.voters,
    votersOutgoing: [],
    learners: sorted([...config.learners, ...config.learnersNext]),
    learnersNext: [],
    autoLeave: false,
  });
}

function applySteps(
  config: ClusterConfig,
  steps: readonly ConfChangeStep[],
): { voters: NodeId[]; learners: NodeId[] } {
  const voters = new Set(config.voters);
  const learners = new Set(config.learners);
  for (const { type, node } of steps) {
    voters.delete(node);
    learners.delete(node);
    if (type === "addVoter") voters.add(node);
    if (type === "addLearner") learners.add(node);
  }
  return { voters: sorted(voters), learners: sorted(learners) };
}

function voterDifference(before: readonly NodeId[], after: readonly NodeId[]): number {
  const gone = before.filter((node) => !after.includes(node)).length;
  const come = after.filter((node) => !before.includes(node)).length;
  return gone + come;
}

function checked(config: ClusterConfig): ClusterConfig {
  assertValidConfig(config);
  return config;
}
