import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EngineError } from "../../core/errors/index.ts";

export type Sdk = typeof import("@aws-sdk/client-dynamodb");

/** How to reach DynamoDB. Credentials, and a region that is not given, come from the SDK's own chain. */
export interface ClientOptions {
  readonly region?: string;
  /** Of DynamoDB Local, say. Default: the region's. */
  readonly endpoint?: string;
  /** One of your own, made with `maxAttempts: 1`; closed by nobody but you. */
  readonly client?: DynamoDBClient;
}

export interface Connection {
  readonly sdk: Sdk;
  readonly client: DynamoDBClient;
  readonly region: string;
  readonly close: () => void;
}

/** A host that does not answer must be noticed well before a request is given up. */
const CONNECT_TIMEOUT_MS = 2000;

/** @throws EngineError `invalidConfig` when the SDK is not installed, no region is known, or the client repeats writes. */
export async function connect({ region, endpoint, client: given }: ClientOptions): Promise<Connection> {
  const sdk = await loadSdk();
  const client =
    given ??
    new sdk.DynamoDBClient({
      // A write that the SDK repeats on its own would fail on itself, and look like somebody else's.
      maxAttempts: 1,
      requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS },
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
    });
  const close = given === undefined ? (): void => client.destroy() : (): void => undefined;
  if ((await client.config.maxAttempts()) !== 1) {
    throw invalid("a client of your own must be made with maxAttempts: 1, lest it repeat conditional writes");
  }
  return { sdk, client, region: await regionOf(client), close };
}

async function loadSdk(): Promise<Sdk> {
  try {
    return await import("@aws-sdk/client-dynamodb");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw invalid("the package @aws-sdk/client-dynamodb is missing: npm install @aws-sdk/client-dynamodb");
  }
}

async function regionOf(client: DynamoDBClient): Promise<string> {
  try {
    return await client.config.region();
  } catch (error) {
    throw invalid("no region is known: set AWS_REGION, or name one (region)", error);
  }
}

function invalid(detail: string, cause?: unknown): EngineError {
  return new EngineError("invalidConfig", { detail: `DynamoDB: ${detail}`, cause });
}
