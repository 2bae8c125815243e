import { EngineError } from "../../../core/errors/index.ts";
import type { CompactRequest, PutRequest, DeleteRangeRequest } from "../../../core/kv/index.ts";
import {
  campaign,
  type Engine,
  type EngineStatus,
  type LeaderKey,
  leaderOf,
  lock,
  type MemberAddRequest,
  proclaim,
  resign,
  type ResponseHeader,
  unlock,
  type WriteOptions,
} from "../../../core/node/index.ts";
import type { Message, MessageInfo } from "../codec/index.ts";
import * as cluster from "./cluster-messages.ts";
import * as kv from "./kv-messages.ts";
import * as lease from "./lease-messages.ts";
import * as locks from "./lock-messages.ts";
import { readOptions, txnReadOptions } from "./read-policy.ts";
import { txnReply } from "./txn-reply.ts";

/** What a method may know besides its request. */
export interface MethodContext {
  /** The etcd version whose API this is. */
  readonly etcdVersion: string;
}

/** One unary RPC, whatever carries it: JSON takes it from here, and so can gRPC. */
export interface Method {
  /** The protobuf service. */
  readonly service:
    | "etcdserverpb.KV"
    | "etcdserverpb.Lease"
    | "etcdserverpb.Cluster"
    | "etcdserverpb.Maintenance"
    | "v3lockpb.Lock"
    | "v3electionpb.Election";
  readonly rpc: string;
  /** The gateway's path below `/v3`. */
  readonly path: string;
  /** Another path, by which it was once called. */
  readonly oldPath?: string;
  /** Names the request in complaints about it. */
  readonly root: string;
  readonly request: MessageInfo;
  readonly response: MessageInfo;
  /** It takes as long as it takes, and is to be told when nobody waits for its answer any more. */
  readonly waits?: boolean;
  /** It is a write that takes an idempotency key; a reply then says `replayed` if it is one. */
  readonly nameable?: boolean;
  /**
   * Takes what `request` describes and gives what `response` describes.
   *
   * @param options a signal for a method that waits, an idempotency key for one that can be named.
   */
  readonly call: (
    engine: Engine,
    request: unknown,
    context: MethodContext,
    options: WriteOptions,
  ) => Promise<unknown>;
}

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
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Status",
    path: "/maintenance/status",
    request: cluster.emptyRequest,
    response: cluster.statusReply,
    call: (engine, _request: object, context) =>
      Promise.resolve(statusReply(engine.status(), engine.header(), context.etcdVersion)),
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "MoveLeader",
    path: "/maintenance/transfer-leadership",
    request: cluster.moveLeaderRequest,
    response: kv.headerReply,
    call: async (engine, { targetId }: cluster.MoveLeaderMessage) => {
      await engine.transferLeadership(targetId);
      return { header: engine.header() };
    },
  }),
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

/** Checks a method's parts against each other, and then forgets their types so that methods fit into one table. */
function method<Req, Res>(definition: {
  readonly service: Method["service"];
  readonly rpc: string;
  readonly path: string;
  readonly oldPath?: string;
  readonly request: Message<Req>;
  readonly response: Message<Res>;
  readonly waits?: boolean;
  readonly nameable?: boolean;
  readonly call: (
    engine: Engine,
    request: Req,
    context: MethodContext,
    options: WriteOptions,
  ) => Promise<Res>;
}): Method {
  return {
    ...definition,
    root: definition.rpc.charAt(0).toLowerCase() + definition.rpc.slice(1),
    call: (engine, request, context, options) => definition.call(engine, request as Req, context, options),
  };
}

function leaderKeyOf(given: locks.LeaderKeyMessage | null): LeaderKey {
  if (given === null) throw new EngineError("leaderNotGiven");
  const { name, key, rev: revision, lease: id } = given;
  return { name, key, revision, lease: id };
}

/** Cluster replies of etcd carry no revision. */
function withoutRevision<R extends { readonly header: ResponseHeader }>(reply: R): R {
  return { ...reply, header: { ...reply.header, revision: 0 } };
}

function statusReply(status: EngineStatus, header: ResponseHeader, version: string): cluster.StatusReply {
  return {
    header,
    version,
    dbSize: status.dbSize,
    leader: status.leaderId ?? 0n,
    raftIndex: status.commitIndex,
    raftTerm: status.term,
    raftAppliedIndex: status.appliedIndex,
    errors: status.leaderId === null ? ["etcdserver: no leader"] : [],
    dbSizeInUse: status.dbSize,
    isLearner: status.isLearner,
  };
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
