import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll } from "vitest";
import { dynamoDbObjectStore } from "../../../src/adapters/dynamodb/index.ts";
import { objectStoreConformance } from "../object-store/port-conformance.ts";
import { DynamoDbDouble } from "./dynamodb-double.ts";
import { localClient } from "./local-client.ts";

let double: DynamoDbDouble;
let client: DynamoDBClient;
beforeAll(async () => {
  double = await DynamoDbDouble.start();
  client = localClient(double.endpoint);
});
afterAll(async () => {
  client.destroy();
  await double.stop();
});

objectStoreConformance("DynamoDB's double", {
  site: () => ({ open: (prefix) => dynamoDbObjectStore({ table: "engine", prefix, client }) }),
});
