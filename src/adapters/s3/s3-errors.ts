import { messageOf, type RequestFailure } from "../object-store/index.ts";

/*
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */

/** Refused without having been looked at, or damaged on the way: nothing was done. */
const BUSY: ReadonlySet<string> = new Set([
  // 409: another conditional write to this key is under way. It does not say who will win.
  "ConditionalRequestConflict",
  "OperationAborted",
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "TooManyRequests",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "BandwidthLimitExceeded",
  "Throttling",
  "ThrottlingException",
  "BadDigest",
  "IncompleteBody",
]);

const WRONG_REGION: ReadonlySet<string> = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "PermanentRedirect",
  "TemporaryRedirect",
  "Redirect",
]);

const BAD_CREDENTIALS: ReadonlySet<string> = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidAccessKeyId",
  "InvalidToken",
  "SignatureDoesNotMatch",
  "TokenRefreshRequired",
]);

interface SdkError {
  /** Only what the store itself says has one: without it, the reply broke off or is somebody else's. */
  readonly $fault?: unknown;
  readonly name?: unknown;
  readonly message?: unknown;
  readonly Region?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly clockSkewCorrected?: unknown };
  readonly $response?: { readonly headers?: Readonly<Record<string, unknown>> };
}

/** What an error of the SDK means. */
export function explainS3Error(error: unknown, bucket: string, prefix: string): RequestFailure {
  const { name, $fault, $metadata } = error as SdkError;
  const code = typeof name === "string" ? name : "";
  const status = typeof $metadata?.httpStatusCode === "number" ? $metadata.httpStatusCode : null;
  if (code === "PreconditionFailed" || status === 412) return { type: "conditionFailed" };
  if (BUSY.has(code) || status === 429) return { type: "busy" };
  // The SDK has learnt the server's time from this very reply, and signs the next request with it.
  if ($metadata?.clockSkewCorrected === true) return { type: "busy" };
  const mending = howToMend(error as SdkError, code, status, bucket, prefix);
  if (mending !== null) return { type: "rejected", detail: `${mending} (${code}: ${messageOf(error)})` };
  // Not every 404: some servers say so of an access key that they do not know.
  if (code === "NoSuchKey" || code === "NotFound") return { type: "absent" };
  const isRefusal = $fault !== undefined && status !== null && status >= 300 && status < 500;
  if (code === "RequestTimeout" || !isRefusal) return { type: "unclear" };
  return { type: "rejected", detail: `${code}: ${messageOf(error)}` };
}

function howToMend(
  error: SdkError,
  code: string,
  status: number | null,
  bucket: string,
  prefix: string,
): string | null {
  if (code === "NoSuchBucket") {
    return `there is no bucket ${bucket} here: create it, or correct the bucket's name or the endpoint`;
  }
  if (WRONG_REGION.has(code) || status === 301 || status === 307) {
    const region = regionOf(error);
    return `the bucket is in ${region === null ? "another region" : `the region ${region}`}: set the region`;
  }
  if (code === "CredentialsProviderError" || code === "TokenProviderError") {
    return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role";
  }
  if (messageOf(error).startsWith("Region is missing"))
    return "no region is set: set the region, or AWS_REGION";
  if (BAD_CREDENTIALS.has(code)) return "the credentials are not valid, or not any more: renew them";
  if (code === "RequestTimeTooSkewed" || code === "RequestExpired") {
    return "this machine's clock is wrong: set it";
  }
  if (code === "NotImplemented" || status === 501) {
    return "the server lacks something that is needed, most likely conditional writes (If-Match, If-None-Match)";
  }
  if (code === "InvalidObjectState") {
    return `a rule of the bucket moved the object to an archive: restore it, and take the rule away from ${prefix}*`;
  }
  if (code === "AccessDenied" || status === 403) {
    return (
      `access is denied: allow s3:ListBucket on the bucket ${bucket}, and s3:GetObject, s3:PutObject and ` +
      `s3:DeleteObject on ${bucket}/${prefix}*`
    );
  }
  return null;
}

function regionOf({ Region, $response }: SdkError): string | null {
  const region = $response?.headers?.["x-amz-bucket-region"] ?? Region;
  return typeof region === "string" && /^[a-z0-9-]{1,40}$/.test(region) ? region : null;
}
