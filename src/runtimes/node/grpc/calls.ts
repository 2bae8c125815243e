import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import { type AppOptions, ETCD_VERSION } from "../../http/index.ts";
import { Accounts } from "../../http/auth/accounts.ts";
import { clientCheck } from "../../http/client-auth.ts";
import { refuseWithoutLeader } from "../../http/etcd/stream-call.ts";
import type { CallContext } from "./call-context.ts";
import type { CallEvents, Exchange } from "./exchange.ts";
import { Incoming } from "./incoming.ts";
import { ReceiveBudget } from "./receive-buffer.ts";
import { endpoints } from "./methods.ts";
import { StreamCall } from "./stream-call.ts";
import { GrpcProblem, statusOf } from "./status.ts";
import { UnaryCall } from "./unary-call.ts";

/** Answers calls, of whom the client is by its certificate unless they say otherwise. */
export type CallHandler = (exchange: Exchange, certifiedUser: string | null) => void;

export type GrpcOptions = Pick<AppOptions, "engine" | "auth" | "cors" | "logger"> & {
  /** Of one request, in bytes. */
  readonly maxMessageBytes: number;
};

/** Calls under way over all connections, and bytes of requests that have not come whole. */
const MAX_CALLS = 100_000;
const MAX_RECEIVING_BYTES = 256 << 20;

/** The methods of the table, for whoever may call them. */
export function grpcCalls({ engine, auth, cors, logger, maxMessageBytes }: GrpcOptions): CallHandler {
  const table = endpoints();
  // No host names: gRPC's clients call by names of their own making, and web pages, which must be kept from calling
  // under a name that was made to point here, cannot speak it.
  const { hosts: _hosts, ...anyHost } = auth;
  const check = clientCheck(anyHost, cors);
  const context: CallContext = {
    engine,
    methodContext: {
      etcdVersion: ETCD_VERSION,
      accounts: new Accounts({ engine, clientToken: auth.clientToken }),
    },
    maxMessageBytes,
    budget: new ReceiveBudget(MAX_RECEIVING_BYTES),
    statusOf: (error) => statusOf(error, logger),
  };
  let underWay = 0;

  const callOf = (exchange: Exchange, certifiedUser: string | null): CallEvents => {
    const encoding = exchange.get("grpc-encoding");
    if (encoding !== null && encoding !== "identity") throw unknownEncoding(encoding);
    const refusal = check(exchange);
    if (refusal !== null) throw new GrpcProblem(refusal.code, refusal.message);
    const endpoint = table.get(exchange.path);
    if (endpoint === undefined) throw unknownMethod(exchange.path);
    if (underWay >= MAX_CALLS) throw new EngineError("tooManyRequests");
    if (exchange.get("hasleader") === "true") refuseWithoutLeader(engine);
    return endpoint.type === "unary"
      ? new UnaryCall(new Incoming(exchange, endpoint, context, certifiedUser))
      : new StreamCall(new Incoming(exchange, endpoint, context, certifiedUser));
  };

  return (exchange, certifiedUser) => {
    try {
      const call = callOf(exchange, certifiedUser);
      underWay++;
      exchange.listen({
        received: (chunk) => call.received(chunk),
        ended: () => call.ended(),
        closed: () => {
          underWay--;
          call.closed();
        },
      });
    } catch (error) {
      exchange.finish(context.statusOf(error), { "grpc-accept-encoding": "identity" });
    }
  };
}

function unknownEncoding(encoding: string): GrpcProblem {
  const shown = JSON.stringify(encoding.slice(0, 100));
  return new GrpcProblem(
    GrpcCode.unimplemented,
    `grpc: Decompressor is not installed for grpc-encoding ${shown}`,
  );
}

function unknownMethod(path: string): GrpcProblem {
  const shown = path.slice(0, 200);
  const [, service, rpc] = /^\/([^/]+)\/(.+)$/.exec(shown) ?? [];
  if (service === undefined || rpc === undefined)
    return new GrpcProblem(GrpcCode.unimplemented, `malformed method name: ${JSON.stringify(shown)}`);
  return new GrpcProblem(GrpcCode.unimplemented, `unknown method ${rpc} for service ${service}`);
}

/** Until there is somebody to answer. */
export const startingCalls: CallHandler = (exchange) => {
  exchange.finish({ code: GrpcCode.unavailable, message: "d-engine: this member is starting" });
};
