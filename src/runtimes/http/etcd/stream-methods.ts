import type { Engine } from "../../../core/node/index.ts";
import type { Message, MessageInfo } from "../codec/index.ts";
import * as lease from "./lease-messages.ts";

/** One RPC that takes a stream of requests and gives a stream of replies, whatever carries them. */
export interface StreamMethod {
  /** The protobuf service. */
  readonly service: "etcdserverpb.Lease";
  readonly rpc: string;
  /** The gateway's path below `/v3`. */
  readonly path: string;
  /** Names a request in complaints about it. */
  readonly root: string;
  readonly request: MessageInfo;
  readonly response: MessageInfo;
  /**
   * Takes what `request` describes and gives what `response` describes, until the requests end or `signal` aborts:
   * nobody listens any more.
   */
  readonly open: (
    engine: Engine,
    requests: AsyncIterable<unknown>,
    signal: AbortSignal,
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
];

/** A reply for each request, one after the other. */
async function* keepAlive(
  engine: Engine,
  requests: AsyncIterable<lease.LeaseIdMessage>,
  signal: AbortSignal,
): AsyncGenerator<lease.LeaseReply, void, undefined> {
  for await (const { id } of requests) {
    yield lease.leaseReplyOf(await engine.leaseKeepAlive(id, { signal }));
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
    signal: AbortSignal,
  ) => AsyncGenerator<Res, void, undefined>;
}): StreamMethod {
  return {
    ...definition,
    root: definition.rpc.charAt(0).toLowerCase() + definition.rpc.slice(1),
    open: (engine, requests, signal) => definition.open(engine, requests as AsyncIterable<Req>, signal),
  };
}
