import type { Member, StoreIdentity } from "../../../core/node/index.ts";
import type { NodeId } from "../../../core/raft/index.ts";

/** A founding member as the configuration has it. */
export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** What the founders of a cluster agree on without talking to each other. */
export interface Founding {
  readonly clusterId: bigint;
  /** Sorted by id. */
  readonly founders: readonly Member[];
}

/**
 * Ids of a new cluster, as etcd makes them: a member's from its peer URLs and the cluster token, the cluster's from
 * its members' ids. Everyone who is given the same initial cluster computes the same.
 */
export async function foundCluster(members: readonly InitialMember[], token: string): Promise<Founding> {
  const founders = await Promise.all(
    members.map(async ({ name, peerUrls }) => {
      const urls = [...peerUrls].sort();
      const id = await hash64("member", token, ...urls);
      return { id, name, peerUrls: urls, clientUrls: [], isLearner: false };
    }),
  );
  founders.sort((a, b) => (a.id < b.id ? -1 : 1));
  const clusterId = await hash64("cluster", token, ...founders.map(({ id }) => id.toString(16)));
  return { clusterId, founders };
}

/** The id under which a founder of that name and cluster knows itself. */
export function founderId(founding: Founding, name: string): NodeId {
  const self = founding.founders.find((member) => member.name === name);
  if (self === undefined) throw new RangeError(`no founder is named ${name}`);
  return self.id;
}

/** Ids as people write them. */
export function formatId(id: bigint): string {
  return id.toString(16);
}

export function describeIdentity({ clusterId, groupId, nodeId }: StoreIdentity): string {
  return `member ${formatId(nodeId)} of group "${groupId}" in cluster ${formatId(clusterId)}`;
}

/** The first 8 bytes of a SHA-256 over the parts, never 0: that id means "nobody". */
async function hash64(...parts: readonly string[]): Promise<bigint> {
  // With the length in front no two lists of parts give the same input.
  const input = parts.map((part) => `${ENCODER.encode(part).length}:${part}`).join("");
  const hash = await crypto.subtle.digest("SHA-256", ENCODER.encode(input));
  return new DataView(hash).getBigUint64(0) || 1n;
}

const ENCODER = new TextEncoder();
