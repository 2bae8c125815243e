import type { S3Client } from "@aws-sdk/client-s3";
import { EngineError } from "../../core/errors/index.ts";
import type { S3ObjectStoreOptions } from "./options.ts";

export type S3Sdk = typeof import("@aws-sdk/client-s3");

/** Loads the SDK, which is installed only where it is used. */
export async function loadS3Sdk(): Promise<S3Sdk> {
  try {
    return await import("@aws-sdk/client-s3");
  } catch (cause) {
    throw new EngineError("invalidConfig", {
      detail: "storage on S3 needs the package @aws-sdk/client-s3: npm install @aws-sdk/client-s3",
      cause,
    });
  }
}

/** A client with the SDK's own chain of credentials. */
export function makeS3Client(sdk: S3Sdk, { region, endpoint }: S3ObjectStoreOptions): S3Client {
  if (endpoint === undefined) return new sdk.S3Client(region === undefined ? {} : { region });
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new EngineError("invalidConfig", {
      detail: `endpoint: ${JSON.stringify(endpoint)} is no http(s) URL`,
    });
  }
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  return new sdk.S3Client({
    endpoint,
    // A signature needs one, and servers of one's own seldom care which.
    region: region ?? AWS_REGION ?? AWS_DEFAULT_REGION ?? "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}

/** Hides from the SDK what kind of failure it was, so that no strategy, whoever's client it is, finds it worth repeating. */
class OnlyAttempt extends Error {
  readonly failure: unknown;

  constructor(failure: unknown) {
    super("the only attempt failed");
    this.failure = failure;
  }
}

/** Any command of the SDK, whose middleware knows the command's own types. */
interface Command {
  readonly middlewareStack: { addRelativeTo(middleware: never, options: never): void };
}

const failOnce =
  (next: (args: unknown) => Promise<unknown>) =>
  async (args: unknown): Promise<unknown> => {
    try {
      return await next(args);
    } catch (error) {
      throw new OnlyAttempt(error);
    }
  };

/** Sends a command once and never again, also with a client that is set to repeat. */
export async function sendOnce<T>(command: Command, send: () => Promise<T>): Promise<T> {
  const place = { name: "sendOnce", relation: "after", toMiddleware: "retryMiddleware" };
  command.middlewareStack.addRelativeTo(failOnce as never, place as never);
  try {
    return await send();
  } catch (error) {
    throw error instanceof OnlyAttempt ? error.failure : error;
  }
}
