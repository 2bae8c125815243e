import { beforeEach, describe, expect, it } from "vitest";
import { KvStore } from "../../../src/core/kv/index.ts";
import { METHODS } from "../../../src/runtimes/http/etcd/methods.ts";
import { memoryEngine } from "./memory-engine.ts";
import { post, testApp } from "./test-app.ts";

let store: KvStore;
let app: ReturnType<typeof testApp>["app"];

beforeEach(async () => {
  store = new KvStore();
  app = testApp(memoryEngine(store)).app;
  for (const id of [1, 2]) await ask("/lease/grant", { ID: id, TTL: 60 });
});

type Fields = Record<string, unknown>;

interface Reply {
  readonly status: number;
  readonly body: Fields;
}

async function ask(path: string, body: Fields): Promise<Reply> {
  const response = await post(app, `/v3${path}`, JSON.stringify(body));
  const { header: _, ...rest } = (await response.json()) as Fields;
  return { status: response.status, body: rest };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const lock = (lease: number, more: Fields = {}): Promise<Reply> =>
  ask("/lock/lock", { name: base64("l"), lease, ...more });
const campaign = (lease: number, value: string): Promise<Reply> =>
  ask("/election/campaign", { name: base64("e"), lease, value: base64(value) });

describe("POST /v3/lock", () => {
  it("gives a key and a token, takes them back, and lets the next in", async () => {
    const first = await lock(1);
    expect(first).toEqual({ status: 200, body: { key: base64("l/1"), lease: "1", fencing_token: "2" } });
    const second = lock(2);
    expect((await ask("/lock/unlock", { key: base64("l/1"), fencing_token: 99 })).status).toBe(200);
    expect((await lock(2, { try_lock: true })).body).toMatchObject({ code: 9, reason: "lockHeld" });
    expect((await ask("/lock/unlock", { key: base64("l/1") })).body).toEqual({});
    expect((await second).body).toEqual({ key: base64("l/2"), lease: "2", fencing_token: "3" });
  });

  it("forgets one who goes away while waiting", async () => {
    await lock(1);
    const abort = new AbortController();
    const body = JSON.stringify({ name: base64("l"), lease: 2 });
    const gone = app.request("/v3/lock/lock", { method: "POST", body, signal: abort.signal });
    while (store.leaseKeys(2n).length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    abort.abort();
    expect((await gone).status).toBe(499);
    expect(store.leaseKeys(2n)).toEqual([]);
  });

  it("is refused without a lease that lives, or a key", async () => {
    const { revision } = store;
    expect(await lock(3)).toMatchObject({ status: 404, body: { code: 5, reason: "leaseNotFound" } });
    expect(await ask("/lock/unlock", {})).toMatchObject({ status: 400, body: { reason: "emptyKey" } });
    expect(store.revision).toBe(revision);
  });
});

describe("POST /v3/election", () => {
  it("elects, proclaims, tells who leads, and ends", async () => {
    const won = await campaign(1, "one");
    const leader = { name: base64("e"), key: base64("e/1"), rev: "2", lease: "1" };
    expect(won).toEqual({ status: 200, body: { leader } });
    expect((await ask("/election/proclaim", { leader, value: base64("uno") })).body).toEqual({});
    expect((await ask("/election/leader", { name: base64("e") })).body).toMatchObject({
      kv: { key: base64("e/1"), create_revision: "2", value: base64("uno") },
    });
    const next = campaign(2, "two");
    expect((await ask("/election/resign", { leader })).body).toEqual({});
    expect((await next).body).toMatchObject({ leader: { rev: "4" } });
  });

  it("gives etcd's errors, and changes nothing by them", async () => {
    const stale = { name: base64("e"), key: base64("e/9"), rev: "9", lease: "9" };
    for (const [path, body, message] of [
      ["/election/leader", { name: base64("e") }, "election: no leader"],
      ["/election/proclaim", {}, '"leader" field must be provided'],
      ["/election/resign", {}, '"leader" field must be provided'],
      ["/election/proclaim", { leader: stale }, "election: not leader"],
    ] as const) {
      const reply = await ask(path, body);
      expect(reply).toMatchObject({ status: 500, body: { code: 2, message, error: message } });
    }
    expect((await ask("/election/resign", { leader: stale })).status).toBe(200);
    expect(store.revision).toBe(1);
  });

  it("is observed as a stream", async () => {
    await campaign(1, "one");
    const response = await post(app, "/v3/election/observe", JSON.stringify({ name: base64("e") }));
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const next = async (): Promise<string> => {
      const { result } = JSON.parse((await reader.read()).value!) as { result: { kv: { value: string } } };
      return Buffer.from(result.kv.value, "base64").toString();
    };
    expect(await next()).toBe("one");
    await campaign(1, "uno");
    expect(await next()).toBe("uno");
    await reader.cancel();
  });
});

it("names every method of both services", () => {
  const paths = METHODS.filter(({ service }) => /Lock|Election/.test(service)).map(({ path }) => path);
  expect(paths).toEqual([
    "/lock/lock",
    "/lock/unlock",
    "/election/campaign",
    "/election/proclaim",
    "/election/leader",
    "/election/resign",
  ]);
});
