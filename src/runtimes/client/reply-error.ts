import { EngineError, type ErrorCode, type ErrorDetails, ERRORS, GrpcCode } from "../../core/errors/index.ts";

const MAX_TEXT = 1000;
const MAX_LEADER_URLS = 16;

/** The error that a reply with another status than 200 says. */
export function errorOfReply(status: number, headers: Headers, text: string): EngineError {
  const body = parseObject(text);
  if (body === null || typeof body["message"] !== "string") {
    // Something between us and the server; it may have passed the request on all the same.
    const detail = `status ${status}: ${JSON.stringify(text.slice(0, 200))}`;
    return new EngineError(status === 429 ? "tooManyRequests" : "badReply", {
      detail,
      ...retryAfter(headers),
    });
  }
  return errorOf(body, body["code"], retryAfter(headers));
}

/** The error that ends a stream: `{"error": {...}}`. */
export function errorOfStream(error: unknown): EngineError {
  const body = asObject(error);
  if (body === null) return new EngineError("badReply", { detail: "a stream's error is not an object" });
  return errorOf(body, body["grpc_code"] ?? body["code"], {});
}

/** Servers of this project say which error it is by `reason`; etcd's say it by the message. */
function errorOf(
  body: Readonly<Record<string, unknown>>,
  grpcCode: unknown,
  fallback: Pick<ErrorDetails, "retryAfterMs">,
): EngineError {
  const { reason } = body;
  const message = textOf(body["message"]) ?? "";
  const named = typeof reason === "string" && Object.hasOwn(ERRORS, reason) ? (reason as ErrorCode) : null;
  const known = named ?? codeOfMessage(message);
  // Where the code is only a guess, the server's own words are all there is to tell.
  const detail = textOf(body["detail"]) ?? (known === null ? message : undefined);
  const leaderId = integerOf(body["leader"]);
  const compactRevision = numberOf(body["compact_revision"]);
  const retryAfterMs = numberOf(body["retry_after_ms"]);
  const leaderUrls = urlsOf(body["leader_urls"]);
  return new EngineError(known ?? codeOfGrpc(grpcCode), {
    ...fallback,
    ...(detail === undefined ? {} : { detail }),
    ...(leaderId === null ? {} : { leaderId }),
    ...(leaderUrls.length === 0 ? {} : { leaderUrls }),
    ...(compactRevision === null ? {} : { compactRevision }),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}

function codeOfMessage(message: string): ErrorCode | null {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) if (ERRORS[code][1] === message) return code;
  return null;
}

function codeOfGrpc(code: unknown): ErrorCode {
  switch (code) {
    case GrpcCode.canceled:
      return "canceled";
    case GrpcCode.invalidArgument:
    case GrpcCode.outOfRange:
      return "invalidArgument";
    case GrpcCode.permissionDenied:
      return "permissionDenied";
    case GrpcCode.unauthenticated:
      return "unauthenticated";
    case GrpcCode.unimplemented:
      return "unimplemented";
    case GrpcCode.resourceExhausted:
      return "tooManyRequests";
    case GrpcCode.deadlineExceeded:
      return "timeout";
    // Also whatever nobody here knows: a write may have been done.
    default:
      return "serverFailed";
  }
}

function retryAfter(headers: Headers): Pick<ErrorDetails, "retryAfterMs"> {
  const seconds = headers.get("Retry-After");
  return seconds !== null && /^[0-9]{1,6}$/.test(seconds) ? { retryAfterMs: Number(seconds) * 1000 } : {};
}

export function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return null;
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, MAX_TEXT) : undefined;
}

function numberOf(value: unknown): number | null {
  const number = typeof value === "string" && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

function integerOf(value: unknown): bigint | null {
  return typeof value === "string" && /^[0-9]{1,20}$/.test(value) ? BigInt(value) : null;
}

function urlsOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_LEADER_URLS)
    .filter((url): url is string => typeof url === "string" && url.length <= MAX_TEXT);
}
