import { EngineError } from "../../core/errors/index.ts";
import type {
  CompactRequest,
  DeleteRangeRequest,
  DeleteRangeResponse,
  LeaseRevokeRequest,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from "../../core/kv/index.ts";
// Not by the index: where nothing is bundled that would load the whole store.
import { isReadOnly } from "../../core/kv/request-shape.ts";
import { type ClientEngine, type MemberStatus, reasonOf } from "../../core/node/client/index.ts";
import type {
  CallOptions,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  Member,
  MemberAddRequest,
  ReadOptions,
  ResponseHeader,
  WatchStreamOptions,
  WithHeader,
  WriteOptions,
} from "../../core/node/index.ts";
import type { Caller } from "./caller.ts";
import type { Call, Calls, Reply } from "./calls.ts";
import { RemoteWatches, type WatchSource } from "./remote-watches.ts";
import { wholeHeader } from "./whole-header.ts";

type Members = { readonly members: readonly Member[] } & WithHeader;

export interface RemoteEngineOptions {
  readonly caller: Caller;
  readonly calls: Calls;
  readonly watchSource: Omit<WatchSource, "range">;
  /** Told of every call, before it is made. */
  readonly onCall: () => void;
}

/** Servers behind a network, as an engine. */
export class RemoteEngine implements ClientEngine {
  readonly #caller: Caller;
  readonly #calls: Calls;
  readonly #options: RemoteEngineOptions;
  #newest: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };

  constructor(options: RemoteEngineOptions) {
    this.#options = options;
    this.#caller = options.caller;
    this.#calls = options.calls;
  }

  header(): ResponseHeader {
    return this.#newest;
  }

  async status(options: CallOptions = {}): Promise<MemberStatus> {
    const { header, ...status } = await this.#call(this.#calls.status, {}, options);
    return {
      clusterId: header.clusterId,
      nodeId: header.memberId,
      leaderId: status.leader === 0n ? null : status.leader,
      term: status.raftTerm,
      commitIndex: status.raftIndex,
      appliedIndex: status.raftAppliedIndex,
      isLearner: status.isLearner,
      revision: header.revision,
      dbSize: status.dbSize,
    };
  }

  // Key-value

  async range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse & WithHeader> {
    return await asOthersSee(options, async ({ consistency, ...call }) => {
      const policy = consistency === undefined ? {} : { consistency };
      return await this.#call(this.#calls.range, { ...request, ...policy }, call);
    });
  }

  async put(request: PutRequest, options: WriteOptions = {}): Promise<PutResponse & WithHeader> {
    return await this.#call(this.#calls.put, request, options);
  }

  async deleteRange(
    request: DeleteRangeRequest,
    options: WriteOptions = {},
  ): Promise<DeleteRangeResponse & WithHeader> {
    return await this.#call(this.#calls.deleteRange, request, options);
  }

  async txn(
    request: TxnRequest,
    options: ReadOptions & WriteOptions = {},
  ): Promise<TxnResponse & WithHeader> {
    const readOnly = isReadOnly(request);
    return await asOthersSee(options, async ({ consistency, ...call }) => {
      const policy = consistency === undefined || !readOnly ? {} : { consistency };
      const reply = await this.#call(this.#calls.txn, { ...request, ...policy }, call, readOnly || undefined);
      return { ...reply, revision: reply.header.revision };
    });
  }

  async compact(request: CompactRequest, options: CallOptions = {}): Promise<WithHeader> {
    return await this.#call(this.#calls.compact, request, options);
  }

  watch(options: WatchStreamOptions = {}): RemoteWatches {
    const { signal } = options;
    if (signal?.aborted === true) throw reasonOf(signal);
    this.#options.onCall();
    const range: WatchSource["range"] = (request, call) => this.range(request, call);
    return new RemoteWatches({ ...this.#options.watchSource, range }, options);
  }

  // Leases

  async leaseGrant(
    { id = 0n, ttlSeconds, ttlMs }: LeaseGrantRequest,
    options: CallOptions = {},
  ): Promise<LeaseGrantResponse & WithHeader> {
    const ttl = ttlMs === undefined ? (ttlSeconds ?? 0) : Math.ceil(ttlMs / 1000);
    const granted = await this.#call(this.#calls.leaseGrant, { id, ttl, ttlMs: ttlMs ?? 0 }, options);
    return { id: granted.id, ttlMs: lifetimeMs(granted), header: granted.header };
  }

  async leaseRevoke({ id }: LeaseRevokeRequest, options: CallOptions = {}): Promise<WithHeader> {
    return await this.#call(this.#calls.leaseRevoke, { id }, options);
  }

  async leaseKeepAlive(id: bigint, options: CallOptions = {}): Promise<LeaseKeepAliveResponse & WithHeader> {
    const renewed = await this.#call(this.#calls.leaseKeepAlive, { id }, options);
    return { id, ttlMs: lifetimeMs(renewed), header: renewed.header };
  }

  async leaseTimeToLive(
    { id, keys = false }: LeaseTimeToLiveRequest,
    options: CallOptions = {},
  ): Promise<LeaseTimeToLiveResponse & WithHeader> {
    const found = await this.#call(this.#calls.leaseTimeToLive, { id, keys }, options);
    return {
      id,
      remainingMs: found.ttl < 0 ? -1 : lifetimeMs(found),
      ttlMs: found.grantedTtl * 1000,
      keys: found.keys,
      header: found.header,
    };
  }

  async leaseList(options: CallOptions = {}): Promise<{ readonly ids: readonly bigint[] } & WithHeader> {
    const { leases, header } = await this.#call(this.#calls.leases, {}, options);
    return { ids: leases.map(({ id }) => id), header };
  }

  // Membership

  async memberList({ consistency, ...call }: ReadOptions = {}): Promise<Members> {
    // The gateway knows no third policy; an engine's own default is not worse than this.
    const request = { linearizable: consistency !== "eventual" };
    return await this.#call(this.#calls.memberList, request, call);
  }

  async memberAdd(
    request: MemberAddRequest,
    options: CallOptions = {},
  ): Promise<{ readonly member: Member } & Members> {
    const { member, members, header } = await this.#call(this.#calls.memberAdd, request, options);
    if (member === null) throw new EngineError("badReply", { detail: "it does not say who was added" });
    return { member, members, header };
  }

  async memberRemove(id: bigint, options: CallOptions = {}): Promise<Members> {
    return await this.#call(this.#calls.memberRemove, { id }, options);
  }

  async memberUpdate(id: bigint, peerUrls: readonly string[], options: CallOptions = {}): Promise<Members> {
    return await this.#call(this.#calls.memberUpdate, { id, peerUrls }, options);
  }

  async memberPromote(id: bigint, options: CallOptions = {}): Promise<Members> {
    return await this.#call(this.#calls.memberPromote, { id }, options);
  }

  async transferLeadership(targetId: bigint, options: CallOptions = {}): Promise<void> {
    await this.#call(this.#calls.moveLeader, { targetId }, options);
  }

  async #call<Req, Res extends Reply>(
    call: Call<Req, Res>,
    request: Req,
    options: WriteOptions,
    repeatable?: boolean,
  ): Promise<Omit<Res, "header"> & WithHeader> {
    this.#options.onCall();
    const reply = await this.#caller.call(call, request, options, repeatable);
    const header = wholeHeader(reply.header);
    if (header.revision >= this.#newest.revision) this.#newest = header;
    return { ...reply, header };
  }
}

/**
 * Later parts of a longer read may be asked of any replica, since what was at a revision never changes. The one that
 * is asked now may not have got so far: then the group is asked.
 */
async function asOthersSee<T, O extends ReadOptions>(
  options: O,
  read: (options: O) => Promise<T>,
): Promise<T> {
  try {
    return await read(options);
  } catch (error) {
    const isBehind = error instanceof EngineError && error.code === "futureRevision";
    if (!isBehind || options.consistency !== "eventual") throw error;
    return await read({ ...options, consistency: "linearizable" });
  }
}

/** Milliseconds are given where seconds do not say it all. */
function lifetimeMs({ ttl, ttlMs }: { readonly ttl: number; readonly ttlMs: number }): number {
  return ttlMs > 0 ? ttlMs : Math.max(0, ttl) * 1000;
}
