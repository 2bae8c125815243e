import type { Engine, WriteOptions } from "../../../core/node/index.ts";
import type { Accounts } from "../auth/accounts.ts";
import type { Message, MessageInfo } from "../codec/index.ts";

/** What a method may know besides its request. */
export interface MethodContext {
  /** The etcd version whose API this is. */
  readonly etcdVersion: string;
  readonly accounts: Accounts;
}

/** One unary RPC, whatever carries it: JSON takes it from here, and so can gRPC. */
export interface Method {
  /** The protobuf service. */
  readonly service:
    | "etcdserverpb.Auth"
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

/** Checks a method's parts against each other, and then forgets their types so that methods fit into one table. */
export function method<Req, Res>(definition: {
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
