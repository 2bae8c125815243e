import { EngineError } from "../../../core/errors/index.ts";
import type { CompactRequest, PutRequest, DeleteRangeRequest } from "../../../core/kv/index.ts";
import {
  campaign,
  type LeaderKey,
  leaderOf,
  lock,
  type MemberAddRequest,
  proclaim,
  resign,
  type ResponseHeader,
  unlock,
} from "../../../core/node/index.ts";
import * as cluster from "./cluster-messages.ts";
import * as kv from "./kv-messages.ts";
import * as lease from "./lease-messages.ts";
import * as locks from "./lock-messages.ts";
import { AUTH_METHODS } from "./auth-methods.ts";
import { MAINTENANCE_METHODS } from "./maintenance-methods.ts";
import { type Method, method } from "./method.ts";
import { readOptions, txnReadOptions } from "./read-policy.ts";
import { txnReply } from "./txn-reply.ts";

export type { Method, MethodContext } from "./method.ts";

/** The methods of etcd's v3 API that the engine has. */
export const METHODS: readonly Method[] = [
  method({
    service: "etcdserverpb.KV",
    rpc: "Range",
    path: "/kv/range",
    request: kv.rangeRequest,
    response: kv.rangeReply,
    call: (engine, request: kv.RangeMessage) => engine.range(request, readOptions(request)),
  }),
  method({
    service: "etcdserverpb.KV",
    rpc: "Put",
    path: "/kv/put",
    request: kv.putRequest,
    response: kv.putReply,
    nameable: true,
    call: (engine, request: PutRequest, _context, options) => engine.put(request, options),
  }),
  method({
    service: "etcdserverpb.KV",
    rpc: "DeleteRange",
    path: "/kv/deleterange",
    request: kv.deleteRangeRequest,
    response: kv.deleteRangeReply,
    nameable: true,
    call: (engine, request: DeleteRangeRequest, _context, options) => engine.deleteRange(request, options),
  }),
  method({
    service: "etcdserverpb.KV",
    rpc: "Txn",
    path: "/kv/txn",
    request: kv.txnRequest,
    response: kv.txnReply,
    nameable: true,
    call: async (engine, request: kv.TxnMessage, _context, options) => {
      const answer = await engine.txn(request, { ...txnReadOptions(request), ...options });
      return { ...txnReply(answer), ...(answer.replayed === true ? { replayed: true } : {}) };
    },
  }),
  method({
    service: "etcdserverpb.KV",
    rpc: "Compact",
    path: "/kv/compaction",
    request: kv.compactRequest,
    response: kv.headerReply,
    call: (engine, request: CompactRequest) => engine.compact({ revision: request.revision }),
  }),
  method({
    service: "etcdserverpb.Lease",
    rpc: "LeaseGrant",
    path: "/lease/grant",
    request: lease.leaseGrantRequest,
    response: lease.leaseReply,
    call: async (engine, { id, ttl, ttlMs }: lease.LeaseGrantMessage) =>
      lease.leaseReplyOf(await engine.leaseGrant(ttlMs === 0 ? { id, ttlSeconds: ttl } : { id, ttlMs })),
  }),
  method({
    service: "etcdserverpb.Lease",
    rpc: "LeaseRevoke",
    path: "/lease/revoke",
    oldPath: "/kv/lease/revoke",
    request: lease.leaseIdRequest,
    response: kv.headerReply,
    call: (engine, { id }: lease.LeaseIdMessage) => engine.leaseRevoke({ id }),
  }),
  method({
    service: "etcdserverpb.Lease",
    rpc: "LeaseTimeToLive",
    path: "/lease/timetolive",
    oldPath: "/kv/lease/timetolive",
    request: lease.leaseTimeToLiveRequest,
    response: lease.leaseTimeToLiveReply,
    call: async (engine, request: lease.LeaseTimeToLiveMessage) =>
      lease.leaseTimeToLiveReplyOf(await engine.leaseTimeToLive(request)),
  }),
  method({
    service: "etcdserverpb.Lease",
    rpc: "LeaseLeases",
    path: "/lease/leases",
    oldPath: "/kv/lease/leases",
    request: cluster.emptyRequest,
    response: lease.leasesReply,
    call: async (engine) => {
      const { ids, header } = await engine.leaseList();
      return { header, leases: ids.map((id) => ({ id })) };
    },
  }),
  method({
    service: "etcdserverpb.Cluster",
    rpc: "MemberAdd",
    path: "/cluster/member/add",
    request: cluster.memberAddRequest,
    response: cluster.memberAddReply,
    call: async (engine, request: MemberAddRequest) => {
      if (request.peerUrls.length === 0)
        throw new EngineError("badMemberUrls", { detail: "peerURLs: none given" });
      checkUrls(request.peerUrls);
      return withoutRevision(await engine.memberAdd(request));
    },
  }),
  method({
    service: "etcdserverpb.Cluster",
    rpc: "MemberRemove",
    path: "/cluster/member/remove",
    request: cluster.memberIdRequest,
    response: cluster.membersReply,
    call: async (engine, { id }: cluster.MemberIdMessage) => withoutRevision(await engine.memberRemove(id)),
  }),
  method({
    service: "etcdserverpb.Cluster",
    rpc: "MemberUpdate",
    path: "/cluster/member/update",
    request: cluster.memberUpdateRequest,
    response: cluster.membersReply,
    call: async (engine, { id, peerUrls }: cluster.MemberUpdateMessage) => {
      checkUrls(peerUrls);
      return withoutRevision(await engine.memberUpdate(id, peerUrls));
    },
  }),
  method({
    service: "etcdserverpb.Cluster",
    rpc: "MemberList",
    path: "/cluster/member/list",
    request: cluster.memberListRequest,
    response: cluster.membersReply,
    // As in etcd, a list that does not ask for more is this member's own: it must work without a quorum.
    call: async (engine, { linearizable }: cluster.MemberListMessage) =>
      withoutRevision(
        await engine.memberList({ consistency: linearizable === true ? "linearizable" : "eventual" }),
      ),
  }),
  method({
    service: "etcdserverpb.Cluster",
    rpc: "MemberPromote",
    path: "/cluster/member/promote",
    request: cluster.memberIdRequest,
    response: cluster.membersReply,
    call: async (engine, { id }: cluster.MemberIdMessage) => withoutRevision(await engine.memberPromote(id)),
  }),
  ...MAINTENANCE_METHODS,
  ...AUTH_METHODS,
  method({
    service: "v3lockpb.Lock",
    rpc: "Lock",
    path: "/lock/lock",
    request: locks.lockRequest,
    response: locks.lockReply,
    waits: true,
    call: (engine, request: locks.LockMessage, _context, { signal }) => lock(engine, request, signal),
  }),
  method({
    service: "v3lockpb.Lock",
    rpc: "Unlock",
    path: "/lock/unlock",
    request: locks.unlockRequest,
    response: kv.headerReply,
    call: (engine, request: locks.UnlockMessage) => unlock(engine, request),
  }),
  method({
    service: "v3electionpb.Election",
    rpc: "Campaign",
    path: "/election/campaign",
    request: locks.campaignRequest,
    response: locks.campaignReply,
    waits: true,
    call: async (engine, request: locks.CampaignMessage, _context, { signal }) => {
      const { leader, header } = await campaign(engine, request, signal);
      const { name, key, revision: rev, lease: id } = leader;
      return { header, leader: { name, key, rev, lease: id } };
    },
  }),
  method({
    service: "v3electionpb.Election",
    rpc: "Proclaim",
    path: "/election/proclaim",
    request: locks.proclaimRequest,
    response: kv.headerReply,
    call: async (engine, { leader, value }: locks.ProclaimMessage) =>
      proclaim(engine, leaderKeyOf(leader), value),
  }),
  method({
    service: "v3electionpb.Election",
    rpc: "Leader",
    path: "/election/leader",
    request: locks.leaderRequest,
    response: locks.leaderReply,
    call: (engine, { name }: locks.LeaderMessage) => leaderOf(engine, name),
  }),
  method({
    service: "v3electionpb.Election",
    rpc: "Resign",
    path: "/election/resign",
    request: locks.resignRequest,
    response: kv.headerReply,
    call: async (engine, { leader }: locks.ResignMessage) => resign(engine, leaderKeyOf(leader)),
  }),
];

function leaderKeyOf(given: locks.LeaderKeyMessage | null): LeaderKey {
  if (given === null) throw new EngineError("leaderNotGiven");
  const { name, key, rev: revision, lease: id } = given;
  return { name, key, revision, lease: id };
}

/** Cluster replies of etcd carry no revision. */
function withoutRevision<R extends { readonly header: ResponseHeader }>(reply: R): R {
  return { ...reply, header: { ...reply.header, revision: 0 } };
}

/** etcd's rule (client/pkg/types.NewURLs), except that a port may be left to the scheme: http or https, no path. */
function checkUrls(urls: readonly string[]): void {
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : null;
    const sound =
      url !== null &&
      (url.protocol === "http:" || url.protocol === "https:") &&
      url.pathname === "/" &&
      url.search === "" &&
      url.hash === "" &&
      url.username === "" &&
      url.password === "";
    if (!sound)
      throw new EngineError("badMemberUrls", { detail: `peerURLs: ${JSON.stringify(text.slice(0, 200))}` });
  }
}
