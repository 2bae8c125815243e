import type { ByteReader, ByteWriter } from "../../bytes/index.ts";
import type { ClusterConfig, HardState, NodeId, SnapshotMeta } from "../../raft/index.ts";

/** HardState := term, vote or none, commit. */
export function encodeHardState(writer: ByteWriter, state: HardState): void {
  writer.uint(state.term).bool(state.vote !== null);
  if (state.vote !== null) writer.u64(state.vote);
  writer.uint(state.commit);
}

export function decodeHardState(reader: ByteReader): HardState {
  const term = reader.uint();
  const vote = reader.bool() ? decodeNodeId(reader) : null;
  return { term, vote, commit: reader.uint() };
}

/** SnapshotMeta := index, term, {@link encodeClusterConfig}. */
export function encodeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.uint(meta.index).uint(meta.term);
  encodeClusterConfig(writer, meta.config);
}

export function decodeSnapshotMeta(reader: ByteReader): SnapshotMeta {
  const index = reader.uint();
  const term = reader.uint();
  return { index, term, config: decodeClusterConfig(reader) };
}

/** ClusterConfig := voters, votersOutgoing, learners, learnersNext, autoLeave; a list is a count and its ids. */
export function encodeClusterConfig(writer: ByteWriter, config: ClusterConfig): void {
  encodeNodeIds(writer, config.voters);
  encodeNodeIds(writer, config.votersOutgoing);
  encodeNodeIds(writer, config.learners);
  encodeNodeIds(writer, config.learnersNext);
  writer.bool(config.autoLeave);
}

/** Refuses what breaks an invariant of {@link ClusterConfig}, since quorums are counted on it. */
export function decodeClusterConfig(reader: ByteReader): ClusterConfig {
  const voters = decodeNodeIds(reader, "voters");
  const votersOutgoing = decodeNodeIds(reader, "outgoing voters");
  const learners = decodeNodeIds(reader, "learners");
  const learnersNext = decodeNodeIds(reader, "next learners");
  const isVoter = new Set([...voters, ...votersOutgoing]);
  for (const learner of learners) {
    if (isVoter.has(learner)) reader.fail(`member ${learner} is both voter and learner`);
  }
  const isOutgoing = new Set(votersOutgoing);
  for (const learner of learnersNext) {
    if (!isOutgoing.has(learner)) reader.fail(`next learner ${learner} is not an outgoing voter`);
  }
  return { voters, votersOutgoing, learners, learnersNext, autoLeave: reader.bool() };
}

/** A member id, which is never 0. */
export function decodeNodeId(reader: ByteReader): NodeId {
  const id = reader.u64();
  if (id === 0n) reader.fail("a member id is 0");
  return id;
}

function encodeNodeIds(writer: ByteWriter, ids: readonly NodeId[]): void {
  writer.uint(ids.length);
  for (const id of ids) writer.u64(id);
}

function decodeNodeIds(reader: ByteReader, what: string): NodeId[] {
  const ids: NodeId[] = [];
  let previous = 0n;
  const count = reader.count(8);
  for (let i = 0; i < count; i++) {
    const id = reader.u64();
    // Also refuses 0, since ids are unsigned.
    if (id <= previous) reader.fail(`the list of ${what} is not sorted, has a duplicate or a 0`);
    ids.push(id);
    previous = id;
  }
  return ids;
}
