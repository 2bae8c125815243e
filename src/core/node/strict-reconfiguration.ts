import { changeConfig, type ConfChange, isVoter, type NodeId, type RaftStatus } from "../raft/index.ts";
import type { Member } from "./engine.ts";

/**
 * Strict reconfiguration, as etcd has it (server/etcdserver: mayAddMember, mayRemoveMember): no change after which too
 * few of the voters have ever run (`notEnoughStarted`), or are there now (`unhealthy`), and no new voter while one of
 * those there are is away. The way from one voter to two is open all the same, since there is no other.
 *
 * etcd calls a member connected when its connection has stood for five seconds. Here it has to have answered the leader
 * within the last election timeout, and to have acknowledged an entry in the leader's term. And a learner may come while
 * a voter is away, where etcd refuses it: it is counted nowhere, and is how a lost member is replaced.
 *
 * @param status the leader's.
 * @param members all of them; only those that have run have a name.
 */
export function refusedByStrictness(
  change: ConfChange,
  status: RaftStatus,
  members: readonly Member[],
  electionTimeoutMs: number,
  nowMs: number,
): "notEnoughStarted" | "unhealthy" | null {
  const { config, role } = status;
  const after = changeConfig(config, change);
  if (role !== "leader" || "refused" in after) return null;
  if (config.voters.length === 1 && after.voters.length === 2) return null;
  const isThere = (node: NodeId): boolean => {
    if (node === status.nodeId) return true;
    const known = status.progress.get(node);
    return known !== undefined && known.match > 0 && nowMs - known.lastHeardMs < electionTimeoutMs;
  };
  const named = new Set(members.filter(({ name }) => name !== "").map(({ id }) => id));
  const there = after.voters.filter(isThere);
  const started = after.voters.filter((node) => named.has(node) || isThere(node));
  const quorum = (after.voters.length >> 1) + 1;
  if (started.length < quorum) return "notEnoughStarted";
  const isNew = ({ type, node }: ConfChange["steps"][number]): boolean =>
    type === "addVoter" && !isVoter(config, node) && !config.learners.includes(node);
  const needsAll = change.steps.some(isNew) && !config.voters.every(isThere);
  return needsAll || there.length < quorum ? "unhealthy" : null;
}
