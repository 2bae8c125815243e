import type { ResponseHeader } from "../../core/node/index.ts";
import type { HeaderMessage } from "../http/etcd/kv-messages.ts";

/** A header from JSON, in which zeros are left out. */
export function wholeHeader({ clusterId, memberId, revision, raftTerm }: HeaderMessage): ResponseHeader {
  return {
    clusterId: clusterId ?? 0n,
    memberId: memberId ?? 0n,
    revision: revision ?? 0,
    raftTerm: raftTerm ?? 0,
  };
}
