import { afterEach, beforeEach, expect, it } from "vitest";
import { Cluster } from "../../core/node/world/cluster.ts";
import { post, testApp } from "./test-app.ts";

let cluster: Cluster;
let app: ReturnType<typeof testApp>["app"];

beforeEach(async () => {
  cluster = new Cluster({ founders: 1 });
  await cluster.startAndElect();
  app = testApp(cluster.leader()!).app;
});

afterEach(() => cluster.crashAll());

const KEY = { "Idempotency-Key": '"n-1"' };

async function send(path: string, body: object, headers: Record<string, string>): Promise<Response> {
  return await cluster.world.complete(path, post(app, path, JSON.stringify(body), headers));
}

async function sugar(method: string, path: string, headers: Record<string, string>): Promise<Response> {
  const init = method === "PUT" ? { method, headers, body: "v" } : { method, headers };
  return await cluster.world.complete(path, Promise.resolve(app.request(path, init)));
}

it.each([
  ["/v3/kv/put", { key: "YQ==", value: "MQ==" }],
  ["/v3/kv/deleterange", { key: "YQ==" }],
  ["/v3/kv/txn", { success: [{ requestPut: { key: "YQ==" } }] }],
])("%s is done once, quoted or not, and a replay says so", async (path, body) => {
  const first = await send(path, body, KEY);
  expect(first.status).toBe(200);
  expect(first.headers.get("Idempotent-Replayed")).toBeNull();
  const { revision } = cluster.leader()!.status();
  const again = await send(path, body, { "Idempotency-Key": "n-1" });
  expect(again.headers.get("Idempotent-Replayed")).toBe("true");
  expect(await again.json()).toEqual(await first.json());
  expect(cluster.leader()!.status().revision).toBe(revision);
});

it.each(["PUT", "DELETE"])("%s of a key is done once", async (method) => {
  const first = await sugar(method, "/kv/a", KEY);
  const again = await sugar(method, "/kv/a", KEY);
  expect([first.status, again.status]).toEqual([200, 200]);
  expect(again.headers.get("Idempotent-Replayed")).toBe("true");
  expect(await again.json()).toEqual(await first.json());
});

it("a condition that held is not asked again", async () => {
  const headers = { ...KEY, "If-None-Match": "*" };
  expect((await sugar("PUT", "/kv/a", headers)).status).toBe(200);
  expect((await sugar("PUT", "/kv/a", headers)).status).toBe(200);
  expect((await sugar("PUT", "/kv/a", { "If-None-Match": "*" })).status).toBe(412);
});

it.each([
  ["another request", "/v3/kv/put", { key: "Yg==" }, KEY, "idempotencyKeyReused"],
  ["an empty key", "/v3/kv/put", { key: "YQ==" }, { "Idempotency-Key": '""' }, "invalidArgument"],
  ["a long key", "/v3/kv/put", { key: "YQ==" }, { "Idempotency-Key": "x".repeat(65) }, "invalidArgument"],
  ["a read", "/v3/kv/range", { key: "YQ==" }, KEY, "invalidArgument"],
  ["a compaction", "/v3/kv/compaction", { revision: 1 }, KEY, "invalidArgument"],
] as const)("%s is refused, and nothing changes", async (_what, path, body, headers, reason) => {
  await send("/v3/kv/put", { key: "YQ==", value: "MQ==" }, KEY);
  const refused = await send(path, body, headers);
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ reason });
  expect(cluster.leader()!.status()).toMatchObject({ revision: 2, compactRevision: 0 });
});

it("a result that is too large to be kept is not given again, nor is the write done again", async () => {
  const large = { key: "YQ==", value: btoa("x".repeat(20_000)) };
  expect((await send("/v3/kv/put", large, {})).status).toBe(200);
  const body = { key: "YQ==", prev_kv: true };
  expect((await send("/v3/kv/put", body, KEY)).status).toBe(200);
  const { revision } = cluster.leader()!.status();
  const again = await send("/v3/kv/put", body, KEY);
  expect(again.status).toBe(409);
  expect(await again.json()).toMatchObject({ reason: "resultNotKept", code: 6 });
  expect(cluster.leader()!.status().revision).toBe(revision);
});
