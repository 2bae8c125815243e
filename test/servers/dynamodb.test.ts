// Against AWS's own DynamoDB Local, at DYNAMODB_ENDPOINT.

import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDynamoDbTable, dynamoDbObjectStore } from "../../src/adapters/dynamodb/index.ts";
import type { ObjectStore } from "../../src/adapters/object-store/index.ts";
import { storageConformance } from "../adapters/conformance.ts";
import { objectStoreConformance } from "../adapters/object-store/port-conformance.ts";
import { objectStorageSite } from "../adapters/object-store/storage-site.ts";
import { expectBytes } from "../adapters/storage-helpers.ts";
import { localClient } from "../adapters/dynamodb/local-client.ts";

const endpoint = process.env["DYNAMODB_ENDPOINT"];
if (endpoint === undefined) throw new Error("DYNAMODB_ENDPOINT must be the URL of a DynamoDB Local");
const table = `engine-${process.pid}`;

let client: DynamoDBClient;
beforeAll(async () => {
  client = localClient(endpoint);
  await createDynamoDbTable(table, { client });
});
afterAll(() => client.destroy());

const open = (prefix: string): Promise<ObjectStore> => dynamoDbObjectStore({ table, prefix, client });

objectStoreConformance("DynamoDB Local", { site: () => ({ open }) });
storageConformance("DynamoDB Local", { site: () => objectStorageSite(open), histories: 20 });

describe("DynamoDB Local", () => {
  it("keeps the largest object that the port allows", async () => {
    const store = await dynamoDbObjectStore({ table, prefix: "p".repeat(800), client });
    const name = "n".repeat(200);
    const body = new Uint8Array(store.maxObjectBytes).fill(7);
    expect((await store.putIfAbsent(name, body)).type).toBe("written");
    expectBytes((await store.get(name))!.body, body);
  });

  it("lists objects of which a page of a query holds only three", async () => {
    const store = await dynamoDbObjectStore({ table, prefix: "large", client, shards: 2 });
    const names = Array.from({ length: 24 }, (_, i) => `log/${String(i).padStart(3, "0")}`);
    for (const name of names) await store.putIfAbsent(name, new Uint8Array(300_000));
    const found: string[] = [];
    for (let more = true; more;) {
      const startAfter = found.at(-1);
      const page = await store.list("log/", startAfter === undefined ? {} : { startAfter });
      expect(page.objects.every(({ size }) => size === 300_000)).toBe(true);
      found.push(...page.objects.map(({ name }) => name));
      more = page.more;
    }
    expect(found).toEqual(names);
  });

  it("creates the table if it is told to, also twice at once", async () => {
    const name = `${table}-new`;
    await expect(dynamoDbObjectStore({ table: name, client })).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringMatching(/no table "engine-.*-new" in region us-east-1.*createTable/),
    });
    const options = { table: name, client, createTable: true };
    const [one, other] = await Promise.all([dynamoDbObjectStore(options), dynamoDbObjectStore(options)]);
    expect((await one.putIfAbsent("a", new Uint8Array(1))).type).toBe("written");
    expect((await other.putIfAbsent("a", new Uint8Array(1))).type).toBe("refused");
  });

  it("refuses a table that was made for something else", async () => {
    const { CreateTableCommand } = await import("@aws-sdk/client-dynamodb");
    const name = `${table}-other`;
    await client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
        AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
      }),
    );
    await expect(dynamoDbObjectStore({ table: name, client })).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringContaining("must have the partition key pk and the sort key sk"),
    });
  });
});
