import { messageOf, type RequestFailure } from "../object-store/index.ts";

/** A reply of Cloud Storage that is no success: https://cloud.google.com/storage/docs/json_api/v1/status-codes */
export class GcsError extends Error {
  override readonly name = "GcsError";
  readonly status: number;
  /** A word such as `rateLimitExceeded`; "" when there is none. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message === "" ? `status ${status}` : message);
    this.status = status;
    this.reason = reason;
  }
}

/** No token could be had: nothing was sent to Cloud Storage. */
export class GcsCredentialsError extends Error {
  override readonly name = "GcsCredentialsError";

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

const RATE_LIMITS: ReadonlySet<string> = new Set(["rateLimitExceeded", "userRateLimitExceeded", "SlowDown"]);

/** https://cloud.google.com/storage/docs/bucket-lock and https://cloud.google.com/storage/docs/object-holds */
const RETAINED: ReadonlySet<string> = new Set(["retentionPolicyNotMet", "objectUnderActiveHold"]);

/** What a failure of a request means. */
export function explainGcsError(error: unknown, bucket: string): RequestFailure {
  if (error instanceof GcsCredentialsError) return explainCredentials(error);
  // A lost connection, a time-out, or a reply that was cut off.
  if (!(error instanceof GcsError)) return { type: "unclear" };
  const { status, reason, message } = error;
  const rejected = (fix: string): RequestFailure => ({
    type: "rejected",
    detail: `${fix} (${status} ${reason}: ${message})`,
  });
  if (status === 412) return { type: "conditionFailed" };
  if (status === 429 || RATE_LIMITS.has(reason)) return { type: "busy" };
  if (status === 401) return rejected("the credentials are not valid, or there are none: renew them");
  if (status === 403 && RETAINED.has(reason)) {
    return rejected(
      "the bucket keeps objects as they are, and the manifest must change: take the retention policy or hold away",
    );
  }
  if (status === 403) {
    return rejected(
      `access is denied: grant the role Storage Object User (roles/storage.objectUser) on the bucket ${bucket}`,
    );
  }
  if (status === 404) {
    if (/bucket does not exist/i.test(message)) return rejected(noBucket(bucket));
    if (reason === "notFound" || /^no such object|^not found$/i.test(message)) return { type: "absent" };
    // Somebody else's page: an empty log must not be made of it.
    return rejected("this is no reply of Cloud Storage: correct the endpoint");
  }
  if (status === 408 || status >= 500) return { type: "unclear" };
  return rejected("the request was refused");
}

export function noBucket(bucket: string): string {
  return `there is no bucket ${bucket}: create it, or correct the bucket's name`;
}

function explainCredentials(error: GcsCredentialsError): RequestFailure {
  const { message } = error;
  if (/default credentials/i.test(message)) {
    return {
      type: "rejected",
      detail:
        "no credentials were found: set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login " +
        `(${message})`,
    };
  }
  if (/short-lived token|iat and exp/i.test(message)) {
    return { type: "rejected", detail: `this machine's clock is wrong: set it (${message})` };
  }
  if (/invalid_grant|invalid_client|ENOENT|unregistered|private key/i.test(message)) {
    return { type: "rejected", detail: `the credentials are not valid: renew them (${message})` };
  }
  // The token's server could not be reached.
  return { type: "unclear" };
}
