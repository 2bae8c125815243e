import { ByteReader, ByteWriter } from "../../core/bytes/index.ts";
import { decodeHardState, encodeHardState } from "../../core/node/codec/index.ts";
import type { StoreIdentity } from "../../core/node/index.ts";
import type { HardState } from "../../core/raft/index.ts";
import type { Position } from "./record.ts";

/** What the records up to `through` amount to, apart from the entries themselves. */
export interface Checkpoint {
  readonly identity: StoreIdentity | null;
  readonly hardState: HardState | null;
  /** The position just before the log's first entry. */
  readonly compacted: Position;
  /** The slot up to which that holds: records after it may begin the log anew, those before it count only beyond it. */
  readonly through: number;
}

export const EMPTY_CHECKPOINT: Checkpoint = {
  identity: null,
  hardState: null,
  compacted: { index: 0, term: 0 },
  through: 0,
};

/** Checkpoint := identity or none, hard state or none, index and term compacted to, through. */
export function encodeCheckpoint({ identity, hardState, compacted, through }: Checkpoint): Uint8Array {
  const writer = new ByteWriter(128).bool(identity !== null);
  if (identity !== null) writer.u64(identity.clusterId).u64(identity.nodeId).string(identity.groupId);
  writer.bool(hardState !== null);
  if (hardState !== null) encodeHardState(writer, hardState);
  return writer.uint(compacted.index).uint(compacted.term).uint(through).finish();
}

export function decodeCheckpoint(bytes: Uint8Array, place: string): Checkpoint {
  const reader = new ByteReader(bytes, place);
  const identity = reader.bool()
    ? { clusterId: reader.u64(), nodeId: reader.u64(), groupId: reader.string() }
    : null;
  const hardState = reader.bool() ? decodeHardState(reader) : null;
  const compacted = { index: reader.uint(), term: reader.uint() };
  const through = reader.uint();
  reader.end();
  return { identity, hardState, compacted, through };
}

export function sameIdentity(a: StoreIdentity, b: StoreIdentity): boolean {
  return a.clusterId === b.clusterId && a.groupId === b.groupId && a.nodeId === b.nodeId;
}

/** For messages; ids in hexadecimal, as etcd prints them. */
export function describeIdentity({ clusterId, groupId, nodeId }: StoreIdentity): string {
  return `node ${nodeId.toString(16)} of group ${JSON.stringify(groupId)} in cluster ${clusterId.toString(16)}`;
}
