import { EngineError } from "../../core/errors/index.ts";
import type { RequestFailure } from "../object-store/index.ts";

/** Where requests go, for messages. */
export interface Place {
  readonly table: string;
  readonly region: string;
}

/** Some deletions of a batch were not done. */
export class UnprocessedError extends Error {
  override readonly name = "UnprocessedError";
}

/** Certainly not done, and to be asked again later. */
const BUSY: ReadonlySet<string> = new Set([
  "ProvisionedThroughputExceededException",
  "ThrottlingException",
  "Throttling",
  "RequestLimitExceeded",
  "TooManyRequestsException",
  "TransactionConflictException",
  "ReplicatedWriteConflictException",
  "UnprocessedError",
]);

const ACTIONS = "dynamodb:GetItem, PutItem, Query and BatchWriteItem";

/** What a failed request means, and what helps against it. */
export function explain(error: unknown, { table, region }: Place): RequestFailure {
  if (error instanceof EngineError) return { type: "rejected", detail: error.detail ?? error.message };
  const { name, message, $fault, $metadata } = error as {
    readonly name?: unknown;
    /** Only what DynamoDB itself says has one. */
    readonly $fault?: unknown;
    readonly message?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
  };
  const says = typeof message === "string" ? message : String(error);
  const status = $metadata?.httpStatusCode;
  const rejected = (advice: string): RequestFailure => ({ type: "rejected", detail: `${advice} (${says})` });
  if (typeof name === "string" && BUSY.has(name)) return { type: "busy" };
  // The SDK has learnt the server's time from this very reply, and signs the next request with it.
  if ($metadata?.clockSkewCorrected === true) return { type: "busy" };
  switch (name) {
    case "ConditionalCheckFailedException":
      return { type: "conditionFailed" };
    case "ResourceNotFoundException":
      return rejected(
        `there is no table "${table}" in region ${region} for this account. Is the region right? If so, create the ` +
          "table, or let it be created (createTable)",
      );
    case "AccessDeniedException":
      return rejected(`allow these credentials ${ACTIONS} on table "${table}"`);
    case "CredentialsProviderError":
      return rejected(
        "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
      );
    case "ExpiredTokenException":
      return rejected("the credentials have expired: get new ones");
    case "UnrecognizedClientException":
    case "IncompleteSignatureException":
    case "MissingAuthenticationTokenException":
      return rejected(
        `region ${region} does not know these credentials: check the access key and the region`,
      );
    case "RequestExpired":
    case "RequestTimeTooSkewed":
      return rejected(CLOCK);
    case "InvalidSignatureException":
      return rejected(/expired|not yet current/i.test(says) ? CLOCK : "the secret access key is wrong");
    case "ValidationException":
      return rejected(validationAdvice(says, table));
    default:
      if (status === 429) return { type: "busy" };
      // Otherwise the reply broke off, or is somebody else's.
      if ($fault === undefined) return { type: "unclear" };
      // Whatever else DynamoDB finds wrong with a request, it has not done it.
      if (status !== undefined && status >= 400 && status < 500 && status !== 408) return rejected("refused");
      return { type: "unclear" };
  }
}

const CLOCK = "the clock of this machine is wrong: set it (by NTP) and start again";

function validationAdvice(says: string, table: string): string {
  if (/\bkeys?\b|schema/i.test(says)) {
    return `table "${table}" was made for something else: it must have the partition key pk and the sort key sk, both strings`;
  }
  return "refused";
}
