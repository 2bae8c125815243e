// The function in front of a node: real engines with doors on loopback, their log in a bucket that speaks S3's protocol.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { frontHandler, type LambdaHandler } from "../../../src/runtimes/lambda/index.ts";
import type { ProtocolDouble } from "../../adapters/object-store/protocol-double.ts";
import { startS3Double } from "../../adapters/object-store/s3-double.ts";
import { AWS_ENV, type Group, startGroup } from "./group.ts";
import { type Answer, base64, invoke, post, TOKEN } from "./invocation.ts";

let bucket: ProtocolDouble;
let group: Group;
let handler: LambdaHandler;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  bucket = await startS3Double();
  group = await startGroup(1, bucket.endpoint);
  handler = frontHandler(group.env);
});

afterAll(async () => {
  await group.stop();
  await bucket.stop();
});

describe("a function in front of a node", () => {
  it("passes writes and linearizable reads on", async () => {
    const put = await invoke(handler, "/kv/greeting", { ...post({}), method: "PUT", body: "hello" });
    expect(put).toMatchObject({ status: 200 });
    const { revision } = JSON.parse(put.text) as { revision: number };
    const got = await invoke(handler, "/kv/greeting");
    expect(got).toMatchObject({ status: 200, text: "hello" });
    expect(got.headers["x-d-engine-revision"]).toBe(String(revision));
    expect(got.headers["x-d-engine-checked-ms-ago"]).toBeUndefined();
    const range = await invoke(handler, "/v3/kv/range", post({ key: base64("greeting") }));
    expect(JSON.parse(range.text)).toMatchObject({ count: "1" });
  });

  it("answers an eventual read from the store, and says how old it is", async () => {
    const revision = await group.members[0]!.client().put("a", "1");
    const got = await invoke(handler, `/kv/a?consistency=eventual&min_revision=${revision}`);
    expect(got).toMatchObject({ status: 200, text: "1" });
    expect(Number(got.headers["x-d-engine-checked-ms-ago"])).toBeGreaterThanOrEqual(0);
    expect(Date.parse(got.headers["x-d-engine-written-at"]!)).toBeGreaterThan(Date.now() - 60_000);
    const range = JSON.parse(
      (await invoke(handler, "/v3/kv/range", post({ key: base64("a"), serializable: true }))).text,
    ) as { header: object; kvs: object[]; age: { written_at_ms: string } };
    expect(range.kvs).toHaveLength(1);
    expect(Number(range.age.written_at_ms)).toBeGreaterThan(0);
    const list = JSON.parse((await invoke(handler, "/kv/?consistency=eventual")).text) as { age: object };
    expect(list.age).toHaveProperty("checked_ms_ago");
  });

  it("does not take the log over by reading it", async () => {
    await invoke(handler, "/kv/a?consistency=eventual");
    const revision = await group.members[0]!.client().put("still", "mine");
    const got = await invoke(handler, `/kv/still?consistency=eventual&min_revision=${revision}`);
    expect(got.text).toBe("mine");
  });

  it("waits for the revision that a read wants to see, or says that it cannot", async () => {
    const revision = await group.members[0]!.client().put("wanted", "1");
    const stored = frontHandler({ ...group.env, D_ENGINE_ENDPOINTS: "" });
    const later = invoke(
      stored,
      "/v3/kv/range",
      post({ key: base64("wanted"), serializable: true, min_revision: revision + 1 }),
    );
    await group.members[0]!.client().put("wanted", "2");
    expect(JSON.parse((await later).text)).toMatchObject({ kvs: [{ value: base64("2") }] });
    const never = await invoke(stored, `/kv/wanted?consistency=eventual&min_revision=${revision + 9}`, {
      timeoutMs: 700,
    });
    expect([never.status, reasonOf(never)]).toEqual([503, "revisionNotReached"]);
    // With nodes to ask, they say that nobody has it.
    const asked = await invoke(handler, `/kv/wanted?consistency=eventual&min_revision=${revision + 9}`, {
      timeoutMs: 1500,
    });
    expect(reasonOf(asked)).toBe("futureRevision");
  });

  it("serves transactions that only read, and none that writes, from the store", async () => {
    const read = { requestRange: { key: base64("a"), serializable: true } };
    const stored = frontHandler({ ...group.env, D_ENGINE_ENDPOINTS: "" });
    const only = await invoke(stored, "/v3/kv/txn", post({ success: [read] }));
    expect(JSON.parse(only.text)).toMatchObject({ succeeded: true });
    const put = { requestPut: { key: base64("a"), value: base64("2") } };
    const mixed = await invoke(stored, "/v3/kv/txn", post({ success: [read, put], consistency: "eventual" }));
    expect(reasonOf(mixed)).toBe("unimplemented");
  });

  it("makes no request for a read while the copy is new enough", async () => {
    const warm = frontHandler({ ...group.env, D_ENGINE_MAX_AGE: "60000" });
    await invoke(warm, "/kv/a?consistency=eventual");
    await settled();
    const before = bucket.requests;
    for (let i = 0; i < 5; i++) await invoke(warm, "/kv/a?consistency=eventual");
    expect(bucket.requests).toBe(before);
  });

  it("makes two requests for a read that finds nothing new", async () => {
    await invoke(handler, "/kv/a?consistency=eventual");
    await settled();
    const before = bucket.requests;
    await invoke(handler, "/kv/a?consistency=eventual");
    expect(bucket.requests - before).toBe(2);
  });

  it("says that a state is larger than its memory", async () => {
    await group.members[0]!.client().put("large", "x".repeat(50_000));
    const small = frontHandler({ ...group.env, D_ENGINE_MAX_STATE_BYTES: "20000" });
    const got = await invoke(small, "/kv/a?consistency=eventual");
    expect([got.status, reasonOf(got)]).toEqual([400, "stateTooLarge"]);
    // It is not fetched again with each request.
    await settled();
    const before = bucket.requests;
    expect(reasonOf(await invoke(small, "/kv/a?consistency=eventual"))).toBe("stateTooLarge");
    expect(bucket.requests).toBe(before);
  });

  it("serves many at once from one copy, each with its own time", async () => {
    const fresh = frontHandler(group.env);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        invoke(fresh, "/kv/a?consistency=eventual", { timeoutMs: i === 0 ? 260 : 10_000 }),
      ),
    );
    expect(answers.slice(1).map(({ status }) => status)).toEqual(Array.from({ length: 19 }, () => 200));
  });

  it("refuses whoever has no token, before anything is asked", async () => {
    const before = bucket.requests;
    for (const headers of [{}, { authorization: "Bearer another-token-altogether" }]) {
      const got = await invoke(handler, "/kv/a?consistency=eventual", { headers });
      expect([got.status, reasonOf(got)]).toEqual([401, "unauthenticated"]);
    }
    await settled();
    expect(bucket.requests).toBe(before);
  });

  it("says what its configuration lacks, at each request, and goes on once it is there", async () => {
    const env: Record<string, string> = { D_ENGINE_CLIENT_TOKEN: group.env["D_ENGINE_CLIENT_TOKEN"]! };
    const lacking = frontHandler(env);
    expect((await invoke(lacking, "/kv/a")).text).toContain("D_ENGINE_ENDPOINTS");
    Object.assign(env, { D_ENGINE_ENDPOINTS: group.urls[0] });
    expect((await invoke(lacking, "/kv/greeting")).text).toBe("hello");
  });

  it("refuses an answer that does not fit into one piece", async () => {
    const { engine } = group.members[0]!;
    const value = new Uint8Array(1_400_000);
    let revision = 0;
    for (const key of ["big/1", "big/2", "big/3"]) {
      ({ revision } = (await engine.put({ key: Buffer.from(key), value })).header);
    }
    const all = { key: base64("big/"), range_end: base64("big0"), serializable: true };
    const range = post({ ...all, min_revision: revision });
    const got = await invoke(handler, "/v3/kv/range", range);
    expect(reasonOf(got)).toBe("replyTooLarge");
    await engine.deleteRange({ key: Buffer.from("big/"), rangeEnd: Buffer.from("big0") });
  });

  it("ends a long poll while there is time to say where to go on", async () => {
    const began = performance.now();
    const polled = await invoke(handler, "/watch?key=polled&wait=30s", { timeoutMs: 2000 });
    // By the invocation's end, and not by the poll's.
    expect(performance.now() - began).toBeLessThan(30_000);
    const { events, next } = JSON.parse(polled.text) as { events: object[]; next: string };
    expect(events).toEqual([]);
    await group.members[0]!.client().put("polled", "seen");
    const again = JSON.parse((await invoke(handler, next)).text) as { events: object[] };
    expect(again.events).toMatchObject([{ type: "put", value: "seen" }]);
  });

  it("refuses streams where answers leave in one piece", async () => {
    const refused = [await invoke(handler, "/watch?key=a"), await invoke(handler, "/v3/watch", post({}))];
    expect(refused.map(reasonOf)).toEqual(["unimplemented", "unimplemented"]);
  });

  it("leaves reads to members where there are users", async () => {
    const guarded = await startGroup(1, bucket.endpoint, { prefix: "users" });
    await guarded.members[0]!.client().put("a", "1");
    const front = frontHandler(guarded.env);
    const calls: readonly [string, object][] = [
      ["/v3/auth/user/add", { name: "root", password: "a-password" }],
      ["/v3/auth/user/grant", { user: "root", role: "root" }],
      ["/v3/auth/enable", {}],
    ];
    for (const [path, request] of calls) {
      expect([path, (await invoke(front, path, post(request))).status]).toEqual([path, 200]);
    }
    const stored = frontHandler({ ...guarded.env, D_ENGINE_ENDPOINTS: "" });
    const refused = await invoke(stored, "/kv/a?consistency=eventual");
    expect([refused.status, reasonOf(refused)]).toEqual([403, "permissionDenied"]);
    // The node says who is missing, and knows a user's token where there is one.
    expect(reasonOf(await invoke(front, "/kv/a?consistency=eventual"))).toBe("userEmpty");
    const login = await invoke(
      front,
      "/v3/auth/authenticate",
      post({ name: "root", password: "a-password" }),
    );
    const { token } = JSON.parse(login.text) as { readonly token: string };
    const headers = { authorization: `Bearer ${TOKEN}`, token };
    expect((await invoke(front, "/kv/a?consistency=eventual", { headers })).text).toBe("1");
    await guarded.stop();
  });

  it("goes on reading while the node is down, and says so to those who want more", async () => {
    const alone = await startGroup(1, bucket.endpoint, { prefix: "down" });
    const front = frontHandler(alone.env);
    await alone.members[0]!.client().put("a", "before");
    await alone.stop();
    const eventual = await invoke(front, "/kv/a?consistency=eventual");
    expect([eventual.status, eventual.text]).toEqual([200, "before"]);
    const linearizable = await invoke(front, "/kv/a");
    expect([linearizable.status, reasonOf(linearizable)]).toEqual([503, "unhealthy"]);
    const write = await invoke(front, "/kv/a", { ...post({}), method: "PUT", body: "after" });
    expect(reasonOf(write)).toBe("unreachable");
  });
});

/** Until the node's own requests to the bucket are over. */
async function settled(): Promise<void> {
  for (let before = -1; before !== bucket.requests;) {
    before = bucket.requests;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

function reasonOf({ text }: Answer): unknown {
  return (JSON.parse(text) as { readonly reason?: string }).reason;
}
