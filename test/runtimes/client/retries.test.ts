import { describe, expect, it } from "vitest";
import { errorOf } from "./contract.ts";
import {
  broken,
  done,
  found,
  hang,
  HEADER,
  json,
  refusal,
  refused,
  type Script,
  scripted,
} from "./scripted.ts";

const A = "http://a";
const B = "http://b";

/** What passes by itself, and what it means for a write. */
const PASSING: Record<string, { readonly script: Script; readonly maybeApplied: boolean }> = {
  "a refused connection": { script: refused, maybeApplied: false },
  "several addresses, all refused": {
    script: () => {
      const one = Object.assign(new Error("no"), { code: "ECONNREFUSED" });
      const cause = new AggregateError([one, Object.assign(new Error("no"), { code: "ENOTFOUND" })]);
      return Promise.reject(new TypeError("fetch failed", { cause }));
    },
    maybeApplied: false,
  },
  "a broken connection": { script: broken, maybeApplied: true },
  "a reset of a connection that stood": {
    script: () => {
      const cause = Object.assign(new Error("reset"), { code: "ECONNRESET", syscall: "read" });
      return Promise.reject(new TypeError("fetch failed", { cause }));
    },
    maybeApplied: true,
  },
  "a reply that breaks off": {
    script: () => new Response(new ReadableStream({ start: (body) => body.error(new Error("gone")) })),
    maybeApplied: true,
  },
  silence: { script: hang, maybeApplied: true },
  "no leader": { script: () => refusal("noLeader", 14, 503), maybeApplied: true },
  "a leader that changed": { script: () => refusal("leaderChanged", 14, 503), maybeApplied: true },
  "too many requests": { script: () => refusal("tooManyRequests", 8, 429), maybeApplied: false },
  "a dropped proposal": { script: () => refusal("proposalDropped", 9, 400), maybeApplied: false },
  "a learner": { script: () => refusal("notSupportedForLearner", 9, 400), maybeApplied: false },
  "a gateway's error page": {
    script: () => new Response("<h1>502</h1>", { status: 502 }),
    maybeApplied: true,
  },
  "an unexpected failure": { script: () => refusal("internal", 13, 500), maybeApplied: true },
};

describe("a read", () => {
  it.each(Object.entries(PASSING))("is asked of another endpoint after %s", async (_, { script }) => {
    const { client, clock, asked } = scripted({ [A]: script, [B]: () => found("v") });
    expect(await clock.run(client.getText("k"))).toBe("v");
    expect(asked.map(({ url }) => url)).toEqual([A, B]);
    // It is stayed with.
    expect(await clock.run(client.getText("k"))).toBe("v");
    expect(asked.map(({ url }) => url)).toEqual([A, B, B]);
  });

  it("is not repeated after an error that would come again", async () => {
    const { client, clock, asked } = scripted({
      [A]: () => refusal("compacted", 11, 400, { compact_revision: "9" }),
      [B]: () => found("v"),
    });
    const error = await clock.run(errorOf(client.get("k", { revision: 3 })));
    expect(error).toMatchObject({ code: "compacted", compactRevision: 9, retryable: false });
    expect(asked.length).toBe(1);
  });

  it("backs off, longer each time, and ends with what was last met", async () => {
    const { client, clock, asked } = scripted({ [A]: refused }, { timeoutMs: 20_000 });
    const error = await clock.run(errorOf(client.get("k")));
    expect(error).toMatchObject({ code: "unreachable", maybeApplied: false, retryable: true });
    expect(clock.nowMs()).toBeLessThanOrEqual(20_000);
    const pauses = asked.slice(1).map(({ atMs }, i) => atMs - asked[i]!.atMs);
    expect(pauses.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(Math.max(...pauses)).toBe(200);
    expect(clock.timers).toBe(0);
  });

  it("waits as long as the server asks for", async () => {
    let calls = 0;
    const { client, clock, asked } = scripted({
      [A]: () => (++calls === 1 ? refusal("tooManyRequests", 8, 429, { retry_after_ms: 1234 }) : found("v")),
    });
    expect(await clock.run(client.getText("k"))).toBe("v");
    expect(asked[1]!.atMs).toBe(1234);
  });

  it("goes to the leader that an error names, if that is an endpoint of ours, and nowhere else", async () => {
    const hint =
      (url: string): Script =>
      () =>
        refusal("noLeader", 14, 503, { leader: "5", leader_urls: [url] });
    const known = scripted({ [A]: hint("http://c"), [B]: () => found("b"), "http://c": () => found("c") });
    expect(await known.clock.run(known.client.getText("k"))).toBe("c");
    const unknown = scripted({ [A]: hint("http://evil"), [B]: () => found("b") });
    expect(await unknown.clock.run(unknown.client.getText("k"))).toBe("b");
    expect(unknown.asked.map(({ url }) => url)).toEqual([A, B]);
  });

  it("at a revision is asked of the group where a member has not got so far", async () => {
    const policies: unknown[] = [];
    const page = (key: string, more: boolean): Response =>
      json({ header: HEADER, kvs: [{ key: btoa(key), mod_revision: "2" }], more });
    const { client, clock } = scripted({
      [A]: ({ body }) => {
        policies.push(body["consistency"]);
        if (body["revision"] === undefined) return page("a", true);
        return body["consistency"] === "eventual" ? refusal("futureRevision", 11, 400) : page("b", false);
      },
    });
    expect((await clock.run(client.scanPrefix(""))).entries.length).toBe(2);
    expect(policies).toEqual([undefined, "eventual", "linearizable"]);
  });

  it("says its policy always, whatever the server's default is", async () => {
    const { client, clock, asked } = scripted({ [A]: () => found("v") });
    for (const consistency of ["linearizable", "lease", "eventual"] as const) {
      await clock.run(client.get("k", { consistency }));
    }
    expect(asked.map(({ body }) => body["consistency"])).toEqual(["linearizable", "lease", "eventual"]);
  });
});

describe("a write", () => {
  const passing = Object.entries(PASSING);

  it.each(passing.filter(([, { maybeApplied }]) => maybeApplied))(
    "is not sent again after %s, since it may have been applied",
    async (_, { script }) => {
      const { client, clock, asked } = scripted({ [A]: script, [B]: done });
      expect(await clock.run(errorOf(client.put("k", "v")))).toMatchObject({ maybeApplied: true });
      expect(asked.map(({ url }) => url)).toEqual([A]);
    },
  );

  it.each(passing.filter(([, { maybeApplied }]) => !maybeApplied))(
    "is sent again after %s, which rules out that it was applied",
    async (_, { script }) => {
      const { client, clock, asked } = scripted({ [A]: script, [B]: done });
      expect(await clock.run(client.put("k", "v"))).toBe(7);
      expect(asked.map(({ url }) => url)).toEqual([A, B]);
    },
  );

  it("takes all the time it has, since it cannot be asked of another", async () => {
    const { client, clock } = scripted({ [A]: hang, [B]: done });
    expect(await clock.run(errorOf(client.put("k", "v", { timeoutMs: 5000 })))).toMatchObject({
      code: "timeout",
      maybeApplied: true,
    });
    expect(clock.nowMs()).toBe(5000);
    // Whoever did not answer is not asked first the next time.
    expect(await clock.run(client.put("k", "v"))).toBe(7);
  });

  it("that only reads is a read", async () => {
    const { client, clock, asked } = scripted({
      [A]: broken,
      [B]: () =>
        json({ header: HEADER, succeeded: true, responses: [{ response_range: { header: {}, kvs: [] } }] }),
    });
    await clock.run(client.txn().thenGet("k").commit());
    expect(asked.length).toBe(2);
  });

  it.each(passing)("under an idempotency key is sent again after %s", async (_, { script }) => {
    const { client, clock, asked } = scripted({ [A]: script, [B]: done });
    expect(await clock.run(client.put("k", "v", { idempotencyKey: "a-1" }))).toBe(7);
    expect(asked.map(({ url }) => url)).toEqual([A, B]);
    expect(asked.map(({ headers }) => headers.get("Idempotency-Key"))).toEqual(['"a-1"', '"a-1"']);
  });

  it("under an idempotency key stays in doubt, whatever later attempts meet", async () => {
    for (const later of [refused, (): Response => refusal("permissionDenied", 7, 403)]) {
      const { client, clock, asked } = scripted({ [A]: broken, [B]: later });
      const error = await clock.run(errorOf(client.put("k", "v", { idempotencyKey: "a-1", timeoutMs: 50 })));
      expect(error).toMatchObject({ code: "connectionLost", maybeApplied: true });
      expect(asked.length).toBeGreaterThan(1);
    }
    const certain = scripted({ [A]: refused, [B]: () => refusal("permissionDenied", 7, 403) });
    const error = await certain.clock.run(errorOf(certain.client.delete("k", { idempotencyKey: "a-1" })));
    expect(error).toMatchObject({ code: "permissionDenied", maybeApplied: false });
  });

  it.each(["", "a b", 'a"b', "ä", "a\n", "k".repeat(65)])(
    "is not sent under %j, which is no idempotency key",
    async (idempotencyKey) => {
      const { client, clock, asked } = scripted({ [A]: done });
      expect(await clock.run(errorOf(client.put("k", "v", { idempotencyKey })))).toMatchObject({
        code: "invalidArgument",
      });
      expect(asked).toEqual([]);
    },
  );

  it("of a lease may be repeated, since the client has named it", async () => {
    let grants = 0;
    const { client, clock, asked } = scripted({
      [A]: ({ path }) => {
        if (path === "/v3/lease/keepalive") return json({ result: { header: HEADER, ID: "77", TTL: "9" } });
        return ++grants === 1 ? broken() : refusal("leaseExists", 9, 400);
      },
    });
    const lease = await clock.run(client.grantLease({ ttlMs: 10_000 }));
    expect([lease.id, lease.ttlMs]).toEqual([77n, 9000]);
    expect(asked.map(({ body }) => body["ID"])).toEqual(["77", "77", "77"]);
    // Without a failure before, it is somebody else's.
    const taken = scripted({ [A]: () => refusal("leaseExists", 9, 400) });
    expect(await taken.clock.run(errorOf(taken.client.grantLease()))).toMatchObject({ code: "leaseExists" });
  });
});

describe("calls", () => {
  it("end at once when they are given up, and do not blame the endpoint", async () => {
    const { client, clock, asked } = scripted({ [A]: hang, [B]: () => found("v") });
    const controller = new AbortController();
    const call = errorOf(client.get("k", { signal: controller.signal }));
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    expect(await call).toMatchObject({ code: "canceled", retryable: false, maybeApplied: true });
    void client.get("k", { timeoutMs: 10 }).catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked.map(({ url }) => url)).toEqual([A, A]);
    client.close();
    expect(clock.nowMs()).toBe(0);
  });

  it("wait for each other beyond a bound, and are refused beyond another", async () => {
    const gate = Promise.withResolvers<Response>();
    const { client, clock, asked } = scripted(
      { [A]: () => gate.promise.then((response) => response.clone()) },
      { maxConcurrentCalls: 2, maxWaitingCalls: 3 },
    );
    const calls = Array.from({ length: 5 }, () => client.put("k", "v"));
    const sixth = errorOf(client.put("k", "v"));
    expect(await sixth).toMatchObject({ code: "tooManyRequests", maybeApplied: false });
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked.length).toBe(2);
    gate.resolve(done());
    await clock.run(Promise.all(calls));
    expect(asked.length).toBe(5);
  });

  it("that waited in vain for their turn were not sent, and say so", async () => {
    const { client, clock } = scripted({ [A]: hang }, { maxConcurrentCalls: 1 });
    const first = errorOf(client.put("k", "v", { timeoutMs: 2000 }));
    const second = errorOf(client.put("k", "v", { timeoutMs: 1000 }));
    expect(await clock.run(second)).toMatchObject({ code: "unreachable", maybeApplied: false });
    expect(await clock.run(first)).toMatchObject({ code: "timeout", maybeApplied: true });
  });
});

describe("discovery", () => {
  const members = (...clientURLs: string[]): Response =>
    json({ header: HEADER, members: [{ ID: "1", name: "n", clientURLs }] });

  it("finds the members, if it is asked for", async () => {
    const scripts: Record<string, Script> = {
      [A]: ({ path }) => (path.endsWith("member/list") ? members("http://c/") : broken()),
      "http://c": () => found("c"),
    };
    const asks = scripted(scripts, { endpoints: A, discover: true });
    expect(await asks.clock.run(asks.client.getText("k"))).toBe("c");
    const doesNot = scripted(scripts, { endpoints: A, timeoutMs: 100 });
    expect(await doesNot.clock.run(errorOf(doesNot.client.get("k")))).toMatchObject({
      code: "connectionLost",
    });
    expect(new Set(doesNot.asked.map(({ url }) => url))).toEqual(new Set([A]));
  });

  it.each([
    ["https://a.example", ["http://b.example", "https://c.example:2379/"], ["https://c.example:2379"]],
    [
      "http://a.example",
      ["http://b.example", "http://127.0.0.1:2379", "http://localhost"],
      ["http://b.example"],
    ],
    ["http://127.0.0.1:1", ["http://127.0.0.1:2"], ["http://127.0.0.1:2"]],
    ["http://a.example", ["ftp://b", "http://user:pass@b.example", "no URL", "http://b.example/?x"], []],
  ])("from %s, among %j, takes %j", async (given, advertised, taken) => {
    const { usableUrls } = await import("../../../src/runtimes/client/discovery.ts");
    const member = { id: 1n, name: "", peerUrls: [], clientUrls: advertised, isLearner: false };
    expect(usableUrls([member], [given])).toEqual(taken);
  });
});
