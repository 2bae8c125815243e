import { decodeFrame } from "../../../../src/core/node/codec/index.ts";
import type { Cluster } from "./cluster.ts";
import type { DiskImage } from "./disk-image.ts";
import type { Travelling } from "./network.ts";

/**
 * Looks at every frame for a promise, and at its sender's disk for whether it is kept (S8): no vote and no
 * acknowledgement leaves before what it promises is durable.
 *
 * @returns what was promised too early, filled as the run goes on.
 */
export function watchPromises(cluster: Cluster): string[] {
  const broken: string[] = [];
  cluster.network.observe((travelling) => {
    const problem = problemOf(travelling, cluster.node(travelling.from).disk.durable);
    if (problem !== null)
      broken.push(`${cluster.world.nowMs} ms: node ${travelling.from} to ${travelling.to}: ${problem}`);
  });
  return broken;
}

function problemOf({ from, to, frame }: Travelling, durable: DiskImage): string | null {
  const { body } = decodeFrame(frame);
  if (body.type !== "raft") return null;
  const { message } = body;
  const { term, vote } = durable.hardState ?? { term: 0, vote: null };
  switch (message.type) {
    case "AppendEntriesResult":
      // A refusal promises nothing.
      if (!message.success) return null;
      if (term < message.term)
        return `an acknowledgement in term ${message.term}, of which the disk does not know`;
      if (durable.lastIndex < message.matchIndex)
        return `an acknowledgement of ${message.matchIndex}, but the log on disk ends at ${durable.lastIndex}`;
      return null;
    case "RequestVoteResult":
      if (message.granted && term === message.term && vote !== to)
        return `a vote that the disk gives to ${vote}`;
      return message.granted && term < message.term ? "a vote that is not on disk" : null;
    case "RequestVote":
      if (term < message.term || (term === message.term && vote !== from))
        return "a candidate whose vote for itself is not on disk";
      return null;
    case "HeartbeatResult":
      return term < message.term ? "the answer to a heartbeat of a term that is not on disk" : null;
    default:
      return null;
  }
}
