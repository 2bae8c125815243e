import { BACKUP_VERSION_NAME, type Engine, observe } from "../../../core/node/index.ts";
import type { Message, MessageInfo } from "../codec/index.ts";
import { emptyRequest, snapshotReply, type SnapshotReply } from "./cluster-messages.ts";
import * as lease from "./lease-messages.ts";
import * as locks from "./lock-messages.ts";
import { watchReply, watchRequest } from "./watch-messages.ts";
import { watch } from "./watch-method.ts";

/** What a stream may know besides its requests. */
export interface StreamCall {
  /** Aborts when nobody listens any more. */
  readonly signal: AbortSignal;
  /** The client would rather be told that there is no leader than wait (etcd's metadata `hasleader`). */
  readonly requireLeader: boolean;
}

/** One RPC that takes a stream of requests and gives a stream of replies, whatever carries them. */
export interface StreamMethod {
  /** The protobuf service. */
  readonly service:
    | "etcdserverpb.Lease"
    | "etcdserverpb.Maintenance"
    | "etcdserverpb.Watch"
    | "v3electionpb.Election";
  readonly rpc: string;
  /** The gateway's path below `/v3`. */
  readonly path: string;
  /** Names a request in complaints about it. */
  readonly root: string;
  readonly request: MessageInfo;
  readonly response: MessageInfo;
  /**
   * Takes what `request` describes and gives what `response` describes, for as long as the method has something to say
   * or until the call's signal aborts.
   */
  readonly open: (
    engine: Engine,
    requests: AsyncIterable<unknown>,
    call: StreamCall,
  ) => AsyncGenerator<unknown, void, undefined>;
}

/** The streams of etcd's v3 API that the engine has. */
export const STREAM_METHODS: readonly StreamMethod[] = [
  streamMethod({
    service: "etcdserverpb.Lease",
    rpc: "LeaseKeepAlive",
    path: "/lease/keepalive",
    request: lease.leaseIdRequest,
    response: lease.leaseReply,
    open: keepAlive,
  }),
  streamMethod({
    service: "etcdserverpb.Watch",
    rpc: "Watch",
    path: "/watch",
    request: watchRequest,
    response: watchReply,
    open: watch,
  }),
  streamMethod({
    service: "v3electionpb.Election",
    rpc: "Observe",
    path: "/election/observe",
    request: locks.leaderRequest,
    response: locks.leaderReply,
    open: observeOne,
  }),
  streamMethod({
    service: "etcdserverpb.Maintenance",
    rpc: "Snapshot",
    path: "/maintenance/snapshot",
    request: emptyRequest,
    response: snapshotReply,
    open: snapshot,
  }),
];

/** A reply for each request, one after the other. */
async function* keepAlive(
  engine: Engine,
  requests: AsyncIterable<lease.LeaseIdMessage>,
  { signal }: StreamCall,
): AsyncGenerator<lease.LeaseReply, void, undefined> {
  for await (const { id } of requests) {
    yield lease.leaseReplyOf(await engine.leaseKeepAlive(id, { signal }));
  }
}

/** etcd's takes one request. */
async function* observeOne(
  engine: Engine,
  requests: AsyncIterable<locks.LeaderMessage>,
  { signal }: StreamCall,
): AsyncGenerator<locks.LeaderReply, void, undefined> {
  for await (const { name } of requests) return yield* observe(engine, name, signal);
}

/**
 * This member's state, as in etcd without asking the others. What it consists of is d-engine's own (core/node/backup),
 * and no bbolt database.
 */
async function* snapshot(
  engine: Engine,
  requests: AsyncIterable<object>,
  { signal }: StreamCall,
): AsyncGenerator<SnapshotReply, void, undefined> {
  // There is one, and it says nothing.
  for await (const _request of requests) break;
  for await (const { header, bytes: blob, remainingBytes } of engine.backup({ signal })) {
    yield { header, remainingBytes, blob, version: BACKUP_VERSION_NAME };
  }
}

/** As `method` in methods.ts: checks the parts against each other, and then forgets their types. */
function streamMethod<Req, Res>(definition: {
  readonly service: StreamMethod["service"];
  readonly rpc: string;
  readonly path: string;
  readonly request: Message<Req>;
  readonly response: Message<Res>;
  readonly open: (
    engine: Engine,
    requests: AsyncIterable<Req>,
    call: StreamCall,
  ) => AsyncGenerator<Res, void, undefined>;
}): StreamMethod {
  return {
    ...definition,
    root: definition.rpc.charAt(0).toLowerCase() + definition.rpc.slice(1),
    open: (engine, requests, call) => definition.open(engine, requests as AsyncIterable<Req>, call),
  };
}
