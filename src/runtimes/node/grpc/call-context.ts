import type { Engine } from "../../../core/node/index.ts";
import type { MethodContext } from "../../http/etcd/methods.ts";
import type { ReceiveBudget } from "./receive-buffer.ts";
import type { GrpcStatus } from "./status.ts";

/** What all calls of a server share. */
export interface CallContext {
  /** Of nobody in particular; `methodContext.accounts` has the caller's. */
  readonly engine: Engine;
  readonly methodContext: MethodContext;
  readonly maxMessageBytes: number;
  readonly budget: ReceiveBudget;
  readonly statusOf: (error: unknown) => GrpcStatus;
}
