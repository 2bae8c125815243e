import { DynamoDBClient } from "@aws-sdk/client-dynamodb";

/** A client for a server on this machine, which looks at no credentials but wants some. */
export function localClient(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
    maxAttempts: 1,
  });
}
