import { ByteReader, ByteWriter } from "../../bytes/index.ts";
import type { StoreIdentity } from "../ports.ts";

/** StoreIdentity := clusterId, nodeId, groupId. */
export function encodeIdentity(identity: StoreIdentity): Uint8Array {
  return new ByteWriter(64).u64(identity.clusterId).u64(identity.nodeId).string(identity.groupId).finish();
}

export function decodeIdentity(bytes: Uint8Array): StoreIdentity {
  const reader = new ByteReader(bytes, "identity");
  const clusterId = reader.u64();
  const nodeId = reader.u64();
  const groupId = reader.string();
  reader.end();
  return { clusterId, groupId, nodeId };
}

/** For error messages; ids in hexadecimal, as etcd prints them. */
export function describeIdentity(bytes: Uint8Array): string {
  const { clusterId, groupId, nodeId } = decodeIdentity(bytes);
  return `node ${nodeId.toString(16)} of group ${JSON.stringify(groupId)} in cluster ${clusterId.toString(16)}`;
}
