import type { CreateTableCommandInput } from "@aws-sdk/client-dynamodb";
import { EngineError } from "../../core/errors/index.ts";
import { type ClientOptions, connect, type Connection } from "./sdk.ts";

/** How long a new table may take to come into use, in seconds; it takes about ten. */
const CREATION_SECONDS = 120;

/**
 * The table that a store needs, for `CreateTable` or to be written down in CloudFormation and the like: strings `pk` and
 * `sk` as its key, no indexes, billed by request. One table serves any number of stores under different prefixes.
 */
export function dynamoDbTable(name: string): CreateTableCommandInput {
  return {
    TableName: name,
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: [
      { AttributeName: "pk", KeyType: "HASH" },
      { AttributeName: "sk", KeyType: "RANGE" },
    ],
    AttributeDefinitions: [
      { AttributeName: "pk", AttributeType: "S" },
      { AttributeName: "sk", AttributeType: "S" },
    ],
  };
}

/** Creates the table unless there is one of that name, and waits until it can be used. */
export async function createDynamoDbTable(name: string, options: ClientOptions = {}): Promise<void> {
  const connection = await connect(options);
  try {
    await ensureTable(connection, name);
  } finally {
    connection.close();
  }
}

/** @throws EngineError `storageFailed`. */
export async function ensureTable({ sdk, client, region }: Connection, name: string): Promise<void> {
  try {
    await client.send(new sdk.CreateTableCommand(dynamoDbTable(name)));
  } catch (error) {
    // It exists, or another is just creating it.
    if ((error as Error).name !== "ResourceInUseException") throw notCreated(name, region, error);
  }
  try {
    await sdk.waitUntilTableExists(
      { client, maxWaitTime: CREATION_SECONDS, minDelay: 1, maxDelay: 2 },
      { TableName: name },
    );
  } catch (error) {
    throw notCreated(name, region, error);
  }
}

function notCreated(name: string, region: string, cause: unknown): EngineError {
  const detail = `DynamoDB table "${name}" could not be created in region ${region}: ${(cause as Error).message}`;
  return new EngineError("storageFailed", { detail, cause });
}
