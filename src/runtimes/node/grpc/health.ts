import { GrpcCode } from "../../../core/errors/index.ts";
import type { Engine } from "../../../core/node/index.ts";
import { enumOf, type Message, message, text } from "../../http/codec/schema.ts";
import type { StreamCall } from "../../http/etcd/stream-methods.ts";
import type { StreamMethodOf, UnaryMethod } from "./methods.ts";
import { GrpcProblem } from "./status.ts";

/* grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */

interface HealthRequest {
  /** Empty for the server as a whole, which is all that there is here. */
  readonly service: string;
}

type Serving = "unknown" | "serving" | "notServing" | "serviceUnknown";

interface HealthReply {
  readonly status: Serving;
}

const healthRequest: Message<HealthRequest> = message<HealthRequest>(
  "HealthCheckRequest",
  () => ({ service: "" }),
  { service: text(1) },
);

const healthReply: Message<HealthReply> = message<HealthReply>(
  "HealthCheckResponse",
  () => ({ status: "unknown" }),
  {
    status: enumOf<Serving>(1, "HealthCheckResponse.ServingStatus", {
      unknown: "UNKNOWN",
      serving: "SERVING",
      notServing: "NOT_SERVING",
      serviceUnknown: "SERVICE_UNKNOWN",
    }),
  },
);

const SERVICE = "grpc.health.v1.Health";

export const HEALTH_METHODS: readonly (UnaryMethod & { readonly service: string })[] = [
  {
    service: SERVICE,
    rpc: "Check",
    root: "check",
    request: healthRequest,
    response: healthReply,
    call: (engine, request) => {
      const { service } = request as HealthRequest;
      if (service !== "") {
        return Promise.reject(new GrpcProblem(GrpcCode.notFound, "unknown service"));
      }
      return Promise.resolve(health(engine));
    },
  },
];

export const HEALTH_STREAMS: readonly (StreamMethodOf & { readonly service: string })[] = [
  {
    service: SERVICE,
    rpc: "Watch",
    root: "watch",
    request: healthRequest,
    response: healthReply,
    open: watchHealth,
  },
];

/** As for `/health`, a member without a leader is not well. */
function health(engine: Engine): HealthReply {
  return { status: engine.status().leaderId === null ? "notServing" : "serving" };
}

/** The state now, and again whenever it has changed. */
async function* watchHealth(
  engine: Engine,
  requests: AsyncIterable<unknown>,
  { signal }: StreamCall,
): AsyncGenerator<HealthReply, void, undefined> {
  let wake = (): void => undefined;
  const stopListening = engine.onLeaderChange(() => wake());
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    for await (const request of requests) {
      const { service } = request as HealthRequest;
      let told: Serving | null = null;
      while (!signal.aborted) {
        const changed = new Promise<void>((resolve) => (wake = resolve));
        const { status } = service === "" ? health(engine) : ({ status: "serviceUnknown" } as const);
        if (status !== told) yield { status };
        told = status;
        await changed;
      }
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", onAbort);
  }
}
