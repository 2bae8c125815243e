import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dynamoDbObjectStore } from "../../../src/adapters/dynamodb/index.ts";
import type { ObjectStore } from "../../../src/adapters/object-store/index.ts";
import { Prng } from "../../core/raft/harness/prng.ts";
import { storageConformance } from "../conformance.ts";
import { objectStoreConformance } from "../object-store/port-conformance.ts";
import { objectStorageSite } from "../object-store/storage-site.ts";
import { DynamoDbDouble, type Fault } from "./dynamodb-double.ts";
import { localClient } from "./local-client.ts";

let double: DynamoDbDouble;
let client: DynamoDBClient;
beforeAll(async () => {
  double = await DynamoDbDouble.start();
  client = localClient(double.endpoint);
});
afterEach(() => {
  double.fault = () => null;
});
afterAll(async () => {
  client.destroy();
  await double.stop();
});

objectStoreConformance("DynamoDB's double", {
  site: () => ({ open: (prefix) => dynamoDbObjectStore({ table: "engine", prefix, client }) }),
});

const openAt = (prefix: string): Promise<ObjectStore> =>
  dynamoDbObjectStore({ table: "engine", prefix, client });

storageConformance("DynamoDB's double", { site: () => objectStorageSite(openAt), histories: 10 });

describe("with faults", () => {
  /** What happens to a request in so many of a hundred. A request that is never answered would only take long. */
  const FAULTS: readonly Fault[] = [
    "lostRequest",
    "lostReply",
    "late",
    "garbledReply",
    { status: 500, name: "InternalServerError" },
    { status: 400, name: "ThrottlingException" },
  ];
  beforeEach(() => {
    const random = new Prng(1);
    double.fault = ({ operation }) =>
      random.chance(operation === "PutItem" ? 0.04 : 0.01) ? random.pick(FAULTS) : null;
  });

  storageConformance("DynamoDB's double, with faults", {
    site: () => objectStorageSite((prefix) => openAt(`faults-${prefix}`)),
    histories: 4,
  });
});

let prefixes = 0;

function open(options: { shards?: number; timeoutMs?: number } = {}): Promise<ObjectStore> {
  return dynamoDbObjectStore({ table: "engine", prefix: `faults/${prefixes++}`, client, ...options });
}

/** Has this befall the next `times` requests of this kind; returns the list of all of this kind, as it grows. */
function befall(operation: string, fault: Fault, times = 1): object[] {
  const seen: object[] = [];
  double.fault = (request) => {
    if (request.operation !== operation) return null;
    return seen.push(request.input) <= times ? fault : null;
  };
  return seen;
}

const BODY = new Uint8Array([1, 2, 3]);

describe("a conditional write", () => {
  it.each<[Fault, number | null]>([
    ["lostReply", 3],
    ["garbledReply", 3],
    ["lostRequest", null],
    ["silence", null],
    [{ status: 500, name: "InternalServerError" }, null],
    [{ status: 503, name: "ServiceUnavailable" }, null],
  ])("that meets %j has an unknown end, and is sent once", async (fault, bytes) => {
    const store = await open({ timeoutMs: 200 });
    const puts = befall("PutItem", fault);
    expect((await store.putIfAbsent("log/1", BODY)).type).toBe("unknown");
    expect(puts.length).toBe(1);
    expect((await store.get("log/1"))?.body.length ?? null).toBe(bytes);
    // A write that did happen is refused when it is tried again: only its content tells whose it is.
    expect((await store.putIfAbsent("log/1", BODY)).type).toBe(bytes === null ? "written" : "refused");
  });

  it("that is done after its connection broke has an unknown end", async () => {
    const store = await open();
    befall("PutItem", "late");
    expect((await store.putIfAbsent("log/1", BODY)).type).toBe("unknown");
    expect(await store.get("log/1")).toBeNull();
    await expect.poll(() => store.get("log/1")).not.toBeNull();
  });

  it("that is refused in words that nobody understands has an unknown end", async () => {
    const store = await open();
    await store.putIfAbsent("log/1", BODY);
    befall("PutItem", "garbledReply");
    expect((await store.putIfAbsent("log/1", BODY)).type).toBe("unknown");
  });

  it.each([
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TransactionConflictException",
  ])("that is throttled (%s) is tried again, since it certainly was not done", async (name) => {
    const store = await open();
    const puts = befall("PutItem", { status: 400, name });
    expect((await store.putIfAbsent("log/1", BODY)).type).toBe("written");
    expect(puts.length).toBe(2);
  });
});

it.each<Fault>(["lostRequest", "lostReply", "late", { status: 500, name: "InternalServerError" }])(
  "a prefix is begun, though the number of its shards is written down with %j",
  async (fault) => {
    befall("PutItem", fault, 3);
    const store = await open();
    expect((await store.list("")).objects).toEqual([]);
  },
);

describe("reads and deletions", () => {
  it.each<Fault>(["lostRequest", "lostReply", "garbledReply", { status: 500, name: "InternalServerError" }])(
    "that meet %j are repeated",
    async (fault) => {
      const store = await open();
      await store.putIfAbsent("log/1", BODY);
      befall("GetItem", fault);
      expect((await store.get("log/1"))?.body).toEqual(BODY);
      befall("Query", fault);
      expect((await store.list("")).objects).toEqual([{ name: "log/1", size: 3 }]);
      befall("BatchWriteItem", fault);
      await store.delete(["log/1"]);
      expect(await store.get("log/1")).toBeNull();
    },
  );

  it("deletes again what DynamoDB put off", async () => {
    const store = await open();
    const names = Array.from({ length: 30 }, (_, i) => `log/${i}`);
    for (const name of names) await store.putIfAbsent(name, BODY);
    const batches = befall("BatchWriteItem", "unprocessed", 2);
    await store.delete(names);
    expect(batches.length).toBeGreaterThan(2);
    expect((await store.list("")).objects).toEqual([]);
  });

  it("gives contents along with a list, which costs no more", async () => {
    const store = await open();
    await store.putIfAbsent("log/1", BODY);
    expect((await store.list("log/", { contents: true })).objects).toEqual([
      { name: "log/1", size: 3, stored: await store.get("log/1") },
    ]);
    expect((await store.list("log/")).objects).toEqual([{ name: "log/1", size: 3 }]);
  });

  it("are strongly consistent, every one of them", async () => {
    const store = await open();
    double.requests.length = 0;
    await store.get("log/1");
    await store.list("log/");
    expect(double.requests.length).toBe(9);
    for (const { input } of double.requests) expect(input["ConsistentRead"]).toBe(true);
  });
});

describe("what DynamoDB refuses is told with what helps", () => {
  it.each<[string, string, RegExp]>([
    ["ResourceNotFoundException", "Requested resource not found", /no table "engine" in region us-east-1/],
    ["AccessDeniedException", "User: x is not authorized", /allow these credentials dynamodb:GetItem/],
    ["UnrecognizedClientException", "The security token is invalid", /region us-east-1 does not know/],
    ["ExpiredTokenException", "The security token has expired", /have expired: get new ones/],
    ["RequestExpired", "Request has expired", /clock of this machine is wrong/],
    ["InvalidSignatureException", "Signature expired: 20261122T", /clock of this machine is wrong/],
    ["InvalidSignatureException", "The request signature we calculated", /secret access key is wrong/],
    ["ValidationException", "The provided key element does not match the schema", /partition key pk/],
    ["SomethingNew", "who knows", /refused \(who knows\)/],
  ])("%s: %s", async (name, message, told) => {
    const store = await open();
    double.fault = () => ({ status: 400, name, message });
    for (const act of [() => store.get("a"), () => store.putIfAbsent("a", BODY), () => store.delete(["a"])]) {
      await expect(act()).rejects.toMatchObject({
        code: "storageFailed",
        detail: expect.stringMatching(told),
      });
    }
    await expect(open()).rejects.toMatchObject({ detail: expect.stringMatching(told) });
    expect(double.requests.filter(({ operation }) => operation === "PutItem").at(-1)?.input).toMatchObject({
      Item: { sk: { S: "a" } },
    });
  });

  it("has no credentials", async () => {
    const none = new DynamoDBClient({
      endpoint: double.endpoint,
      region: "us-east-1",
      maxAttempts: 1,
      credentials: () =>
        Promise.reject(Object.assign(new Error("none found"), { name: "CredentialsProviderError" })),
    });
    await expect(dynamoDbObjectStore({ table: "engine", client: none })).rejects.toMatchObject({
      code: "storageFailed",
      detail: expect.stringContaining("set AWS_ACCESS_KEY_ID"),
    });
  });
});

describe("options", () => {
  it("refuses a client that repeats conditional writes by itself", async () => {
    const eager = new DynamoDBClient({ endpoint: double.endpoint, region: "us-east-1" });
    await expect(dynamoDbObjectStore({ table: "engine", client: eager })).rejects.toMatchObject({
      code: "invalidConfig",
      detail: expect.stringContaining("maxAttempts: 1"),
    });
  });

  it.each([
    [{ table: "a b" }, "cannot be the name of a table"],
    [{ table: "engine", prefix: "a//b" }, "is no prefix"],
    [{ table: "engine", shards: 0 }, "from 1 to 64"],
    [{ table: "engine", shards: 2.5 }, "from 1 to 64"],
  ])("refuses %j", async (options, told) => {
    const before = double.requests.length;
    await expect(dynamoDbObjectStore({ ...options, client })).rejects.toMatchObject({
      code: "invalidConfig",
      detail: expect.stringContaining(told),
    });
    expect(double.requests.length).toBe(before);
  });

  it("keeps the number of shards that a prefix was begun with, whoever came first", async () => {
    const options = { table: "engine", prefix: "shards", client };
    const [one, other] = await Promise.allSettled([
      dynamoDbObjectStore({ ...options, shards: 3 }),
      dynamoDbObjectStore({ ...options, shards: 5 }),
    ]);
    expect([one.status, other.status].toSorted()).toEqual(["fulfilled", "rejected"]);
    const winner =
      one.status === "fulfilled" ? one.value : (other as typeof one & { value: ObjectStore }).value;
    await winner.putIfAbsent("log/1", BODY);
    const later = await dynamoDbObjectStore(options);
    expect((await later.get("log/1"))?.body).toEqual(BODY);
    const shards = one.status === "fulfilled" ? 5 : 3;
    await expect(dynamoDbObjectStore({ ...options, shards })).rejects.toMatchObject({
      code: "invalidConfig",
      detail: expect.stringContaining(`cannot become ${shards}`),
    });
  });
});
