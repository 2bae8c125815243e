export { dynamoDbObjectStore, isNotSetUp } from "./dynamodb-object-store.ts";
export type { DynamoDbObjectStoreOptions } from "./dynamodb-object-store.ts";
export { createDynamoDbTable, dynamoDbTable } from "./table.ts";
