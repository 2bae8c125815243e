import { EngineError, GrpcCode } from "../../core/errors/index.ts";
import type { Logger } from "../../core/node/index.ts";

/** HTTP status for each gRPC code, as in etcd's gateway since 3.5. */
const STATUS_OF_CODE: { readonly [C in GrpcCode]: number } = {
  [GrpcCode.canceled]: 499,
  [GrpcCode.unknown]: 500,
  [GrpcCode.invalidArgument]: 400,
  [GrpcCode.deadlineExceeded]: 504,
  [GrpcCode.notFound]: 404,
  [GrpcCode.alreadyExists]: 409,
  [GrpcCode.permissionDenied]: 403,
  [GrpcCode.resourceExhausted]: 429,
  [GrpcCode.failedPrecondition]: 400,
  [GrpcCode.aborted]: 409,
  [GrpcCode.outOfRange]: 400,
  [GrpcCode.unimplemented]: 501,
  [GrpcCode.internal]: 500,
  [GrpcCode.unavailable]: 503,
  [GrpcCode.dataLoss]: 500,
  [GrpcCode.unauthenticated]: 401,
};

/** The facts of an error reply that are not in its status. */
export interface ErrorReply {
  readonly message: string;
  readonly code: GrpcCode;
  /** A stable name, for programs. */
  readonly reason: string;
  readonly detail?: string | undefined;
  readonly advice?: Advice;
  /** Instead of the status that goes with the code. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What helps the caller to act, in the words of the API; ours. */
interface Advice {
  readonly retry_after_ms?: number | undefined;
  readonly compact_revision?: string | undefined;
  readonly leader?: string | undefined;
  readonly leader_urls?: readonly string[] | undefined;
}

/**
 * The gateway's form of an error. `error` and `message` say the same: older gateways had the one, newer ones have
 * the other. `reason`, `detail` and the advice are ours.
 */
export function errorReply({ message, code, reason, detail, advice, status, headers }: ErrorReply): Response {
  const body = JSON.stringify({ error: message, message, code, reason, detail, ...advice });
  return new Response(body, {
    status: status ?? STATUS_OF_CODE[code],
    headers: { "Content-Type": "application/json", ...headers },
  });
}

/** Turns whatever was thrown into a reply; what is not an EngineError is logged and told to nobody. */
export function replyToError(error: unknown, logger: Logger): Response {
  if (error instanceof EngineError) {
    const { message, grpcCode, code, detail } = error;
    const headers = adviceHeaders(error);
    return errorReply({ message, code: grpcCode, reason: code, detail, advice: adviceOf(error), headers });
  }
  logger.log("error", "a request failed unexpectedly", { error });
  return errorReply({ message: "d-engine: internal error", code: GrpcCode.internal, reason: "internal" });
}

/** An error in the middle of a stream: its last line, in the gateway's form. */
export function streamError(error: unknown, logger: Logger): string {
  const known = error instanceof EngineError;
  if (!known) logger.log("error", "a stream failed unexpectedly", { error });
  const code = known ? error.grpcCode : GrpcCode.internal;
  const message = known ? error.message : "d-engine: internal error";
  const reason = known ? error.code : "internal";
  const told = known ? { detail: error.detail, ...adviceOf(error) } : {};
  const end = { grpc_code: code, http_code: STATUS_OF_CODE[code], message, reason, ...told };
  return `${JSON.stringify({ error: end })}\n`;
}

function adviceOf({ retryAfterMs, compactRevision, leaderId, leaderUrls }: EngineError): Advice {
  return {
    retry_after_ms: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs),
    compact_revision: compactRevision?.toString(),
    leader: leaderId?.toString(),
    leader_urls: leaderUrls,
  };
}

/** When to come back, and who leads. */
function adviceHeaders({
  retryAfterMs,
  leaderId,
  leaderUrls,
  grpcCode,
}: EngineError): Record<string, string> {
  const headers: Record<string, string> = {};
  // HTTP knows whole seconds only, so round up: too early would only be refused again.
  if (retryAfterMs !== undefined) headers["Retry-After"] = String(Math.ceil(retryAfterMs / 1000));
  if (leaderId !== undefined) headers["X-D-Engine-Leader"] = leaderId.toString();
  // From other members' configuration, so it must not break out of the header.
  const urls = leaderUrls?.filter((url) => /^[\x21-\x7e]+$/.test(url)) ?? [];
  if (urls.length > 0) headers["X-D-Engine-Leader-Urls"] = urls.join(",");
  if (grpcCode === GrpcCode.unauthenticated) headers["WWW-Authenticate"] = "Bearer";
  return headers;
}
