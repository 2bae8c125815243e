// Servers that answer nonsense, on purpose or not: every reply ends as a value or a typed error, in bounded memory.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../src/core/errors/index.ts";
import type { Client } from "../../../src/core/node/index.ts";
import { createClient } from "../../../src/runtimes/client/index.ts";
import { errorOf, take } from "./contract.ts";
import { hastyClock } from "./flaky-fetch.ts";
import { found, HEADER, json, type Script, scripted } from "./scripted.ts";

const A = "http://a";
const SHORT = { timeoutMs: 300 };

const NONSENSE: Record<string, () => Response> = {
  "nothing at all": () => new Response(""),
  "no body": () => new Response(null),
  "a page of HTML": () => new Response("<html>Welcome</html>"),
  "half an object": () => new Response('{"header": {"member_id": "2"'),
  "a list": () => json([]),
  null: () => json(null),
  "an empty object": () => json({}),
  "a header without a member": () => json({ header: { revision: "7" } }),
  "a header that is a list": () => json({ header: [] }),
  "an id that is no number": () => json({ header: { ...HEADER, member_id: "0x2" } }),
  "an id beyond 64 bits": () => json({ header: { ...HEADER, member_id: "99999999999999999999" } }),
  "keys that are no list": () => json({ header: HEADER, kvs: {} }),
  "a key that is no base64": () => json({ header: HEADER, kvs: [{ key: "**" }] }),
  "a key that is a number": () => json({ header: HEADER, kvs: [{ key: 1 }] }),
  "a key that was not asked for": () => json({ header: HEADER, kvs: [{ key: btoa("other") }] }),
  "a redirect": () => new Response(null, { status: 302, headers: { Location: "http://evil" } }),
  "a status of its own": () => new Response("{}", { status: 418 }),
  "an error that is a list": () => json([], 400),
  "an error without a message": () => json({ code: 3 }, 400),
};

describe("a reply that makes no sense", () => {
  it.each(Object.entries(NONSENSE))("%s", async (_, reply) => {
    const { client, clock } = scripted({ [A]: reply }, SHORT);
    expect(await clock.run(errorOf(client.get("k")))).toMatchObject({ code: "badReply" });
    // Elsewhere it may be better.
    const two = scripted({ [A]: reply, "http://b": () => found("v") });
    expect(await two.clock.run(two.client.getText("k"))).toBe("v");
  });

  it("leaves a write in doubt", async () => {
    const { client, clock, asked } = scripted({ [A]: () => json({}) });
    expect(await clock.run(errorOf(client.put("k", "v")))).toMatchObject({
      code: "badReply",
      maybeApplied: true,
    });
    expect(asked.length).toBe(1);
  });

  it.each([
    ["no responses", []],
    ["too many responses", [{ response_put: {} }, { response_put: {} }]],
    ["another kind", [{ response_range: {} }]],
    ["a union of two", [{ response_range: {}, response_put: {} }]],
    ["keys nobody asked for", [{ response_range: { kvs: [{ key: btoa("x") }] } }]],
  ])("to a transaction: %s", async (_, responses) => {
    const { client, clock } = scripted({ [A]: () => json({ header: HEADER, succeeded: true, responses }) });
    expect(await clock.run(errorOf(client.txn().thenPut("k", "v").commit()))).toMatchObject({
      code: "badReply",
    });
  });

  it("does not keep readers of many keys or pages for ever", async () => {
    const page: Script = ({ path }) =>
      path.endsWith("txn")
        ? json({ header: HEADER, succeeded: true, responses: [] })
        : json({ header: HEADER, more: true, kvs: [{ key: btoa("p/1") }] });
    const { client, clock } = scripted({ [A]: page }, SHORT);
    expect(await clock.run(errorOf(client.scanPrefix("p/")))).toMatchObject({ code: "badReply" });
    expect(await clock.run(errorOf(client.getMany(["a"])))).toMatchObject({ code: "badReply" });
    const empty = scripted({ [A]: () => json({ header: HEADER, more: true, kvs: [] }) });
    expect(await empty.clock.run(empty.client.scanPrefix("p/"))).toMatchObject({ entries: [] });
  });

  it("is nested too deep", async () => {
    const inner = '{"response_txn":{"responses":['.repeat(5000) + "]}}".repeat(5000);
    const { client, clock } = scripted({
      [A]: () => new Response(`{"header":${JSON.stringify(HEADER)},"responses":[${inner}]}`),
    });
    expect(await clock.run(errorOf(client.txn().thenPut("k", "v").commit()))).toMatchObject({
      code: "badReply",
    });
  });
});

describe("a reply without end", () => {
  const endless = (sent: { bytes: number; isCanceled: boolean }, piece: string): Response =>
    new Response(
      new ReadableStream<Uint8Array>(
        {
          pull(body) {
            sent.bytes += piece.length;
            body.enqueue(new TextEncoder().encode(piece));
          },
          cancel() {
            sent.isCanceled = true;
          },
        },
        { highWaterMark: 0 },
      ),
    );

  it("is read up to the limit, and given up", async () => {
    const sent = { bytes: 0, isCanceled: false };
    const { client, clock } = scripted(
      { [A]: () => endless(sent, " ".repeat(1000)) },
      { maxReplyBytes: 50_000 },
    );
    expect(await clock.run(errorOf(client.get("k")))).toMatchObject({
      code: "replyTooLarge",
      retryable: false,
    });
    expect(sent.bytes).toBe(51_000);
    expect(sent.isCanceled).toBe(true);
  });

  it("as an error, too", async () => {
    const sent = { bytes: 0, isCanceled: false };
    const body = (): Response => new Response(endless(sent, "e".repeat(1000)).body, { status: 500 });
    const { client, clock } = scripted({ [A]: body });
    expect(await clock.run(errorOf(client.put("k", "v")))).toMatchObject({ code: "replyTooLarge" });
    expect(sent.bytes).toBeLessThan(100_000);
  });

  it("as one message of a stream, too", async () => {
    const sent = { bytes: 0, isCanceled: false };
    const { client, clock } = scripted(
      { [A]: () => endless(sent, `{"a":"${"b".repeat(1000)}`) },
      { maxReplyBytes: 50_000 },
    );
    expect(await clock.run(errorOf(take(client.watch("k"), 1)))).toMatchObject({ code: "replyTooLarge" });
    expect(sent.isCanceled).toBe(true);
  });
});

describe("an error", () => {
  it.each([
    // As etcd says it, without our additions.
    [{ message: "etcdserver: requested lease not found", code: 5 }, 404, { code: "leaseNotFound" }],
    [
      { message: "etcdserver: permission denied", code: 7 },
      403,
      { code: "permissionDenied", retryable: false, maybeApplied: false },
    ],
    [
      { message: "auth: something new", code: 16 },
      401,
      { code: "unauthenticated", detail: "auth: something new" },
    ],
    [{ message: "new", code: 3 }, 400, { code: "invalidArgument", detail: "new" }],
    [{ message: "what is that", code: 99 }, 400, { code: "serverFailed", maybeApplied: true }],
    [{ message: "no code" }, 500, { code: "serverFailed" }],
    // With them.
    [
      { message: "d-engine: invalid argument: x", code: 3, reason: "invalidArgument", detail: "x" },
      400,
      { code: "invalidArgument", message: "d-engine: invalid argument: x" },
    ],
    [{ message: "m", code: 3, reason: "toString", detail: {} }, 400, { code: "invalidArgument" }],
    [
      {
        message: "m",
        code: 14,
        reason: "noLeader",
        leader: "5",
        leader_urls: ["http://l", 7],
        retry_after_ms: -1,
      },
      503,
      { code: "noLeader", leaderId: 5n, leaderUrls: ["http://l"], retryAfterMs: undefined },
    ],
  ])("%j", async (body, status, expected) => {
    const { client, clock } = scripted({ [A]: () => json(body, status) }, SHORT);
    expect(await clock.run(errorOf(client.put("k", "v")))).toMatchObject(expected);
  });

  it("keeps no more of the server's words than it needs", async () => {
    const { client, clock } = scripted({ [A]: () => json({ message: "m".repeat(50_000), code: 3 }, 400) });
    expect((await clock.run(errorOf(client.put("k", "v")))).message.length).toBeLessThan(1100);
  });
});

describe("a watch stream that makes no sense", () => {
  const created = { result: { header: HEADER, watch_id: "1", created: true } };
  const lines =
    (...objects: unknown[]): Script =>
    () =>
      new Response(objects.map((each) => JSON.stringify(each)).join("\n"));
  const event = (key: string, revision: number): object => ({
    kv: { key: btoa(key), mod_revision: String(revision) },
  });

  it.each<[string, Script]>([
    ["HTML", () => new Response("<html>")],
    ["nothing", () => new Response("")],
    ["no header", lines({ result: { watch_id: "1", created: true } })],
    ["an error that is none", lines({ error: 5 })],
    ["a list", lines([created])],
    [
      "a fragment nobody asked for",
      lines(created, { result: { header: HEADER, watch_id: "1", fragment: true } }),
    ],
    [
      "changes out of order",
      lines(created, {
        result: { header: HEADER, watch_id: "1", events: [event("k", 9), event("k", 8)] },
      }),
    ],
  ])("%s", async (name, script) => {
    const { client, clock } = scripted({ [A]: script }, SHORT);
    const controller = new AbortController();
    const end = errorOf(take(client.watch("k", { signal: controller.signal }), 1));
    // A server that says nothing may yet say something; one that talks nonsense is no use.
    if (name === "nothing") setTimeout(() => controller.abort(), 50);
    expect(await clock.run(end)).toMatchObject({ code: name === "nothing" ? "canceled" : "badReply" });
    client.close();
  });

  it("is refused for what it says it is refused for", async () => {
    const refused = lines({
      result: {
        header: HEADER,
        watch_id: "-1",
        created: true,
        canceled: true,
        cancel_reason: "no such thing",
      },
    });
    const { client, clock } = scripted({ [A]: refused });
    expect(await clock.run(errorOf(take(client.watch("k"), 1)))).toMatchObject({
      code: "invalidArgument",
      detail: "no such thing",
    });
  });
});

describe("whatever a server says", () => {
  /** JSON that is nearly right: the fields that are looked at, with anything in them. */
  const reply = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.jsonValue(),
      fc.constantFrom("7", "-1", "", 0, true, btoa("k"), HEADER),
      tie("message"),
      fc.array(tie("any"), { maxLength: 3 }),
    ),
    message: fc.dictionary(
      fc.constantFrom(
        "header",
        "kvs",
        "more",
        "count",
        "succeeded",
        "responses",
        "response_range",
        "response_put",
        "key",
        "value",
        "mod_revision",
        "member_id",
        "result",
        "error",
        "ID",
        "TTL",
        "events",
        "watch_id",
        "created",
        "canceled",
        "members",
        "member",
        "message",
        "code",
        "reason",
        "leases",
        "prev_kv",
        "leader",
      ),
      tie("any"),
      { maxKeys: 6 },
    ),
  })).message;

  const CALLS: readonly ((client: Client) => Promise<unknown>)[] = [
    (client) => client.getEntry("k"),
    (client) => client.put("k", "v"),
    (client) => client.txn().ifExists("k").thenGet("k").elsePut("k", "v").commit(),
    (client) => client.delete("k"),
    (client) => client.scanPrefix("k"),
    (client) => client.grantLease(),
    (client) => client.listLeases(),
    (client) => client.listMembers(),
    (client) => client.addMember({ peerUrls: [], isLearner: false }),
    (client) => client.status(),
    (client) => client.leader("k"),
    (client) => client.tryLock("k", () => 1, { timeoutMs: 1000 }),
    (client) => take(client.watch("k", { signal: AbortSignal.timeout(20) }), 1),
  ];

  it("ends as a value or as an EngineError", async () => {
    await fc.assert(
      fc.asyncProperty(
        reply,
        fc.constantFrom(...CALLS),
        fc.constantFrom(200, 400, 503),
        fc.boolean(),
        async (body, call, status, withHeader) => {
          const text = JSON.stringify(withHeader ? { header: HEADER, ...body } : body);
          const client = createClient({
            endpoints: A,
            clock: hastyClock,
            timeoutMs: 1000,
            fetch: () => Promise.resolve(new Response(text, { status })),
          });
          try {
            await call(client);
          } catch (error) {
            if (!(error instanceof EngineError)) throw error;
          } finally {
            client.close();
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

it("takes nothing for granted in its own options", () => {
  for (const options of [
    { endpoints: [] },
    { endpoints: "ftp://a" },
    { endpoints: "http://user:secret@a" },
    { endpoints: "http://a?x=1" },
    { endpoints: "a:2379" },
    { endpoints: A, token: "two words" },
    { endpoints: A, token: "" },
    { endpoints: A, timeoutMs: 0 },
    { endpoints: A, maxReplyBytes: Number.NaN },
    { endpoints: Array.from({ length: 65 }, (_, i) => `http://a${i}`) },
  ]) {
    expect(() => createClient(options)).toThrow(EngineError);
  }
});

it("sends the token, and other headers, with everything", async () => {
  const { client, clock, asked } = scripted(
    { [A]: () => found("v") },
    { token: "a-token", headers: { "X-Who": "me" } },
  );
  await clock.run(client.get("k"));
  expect(asked[0]?.headers.get("Authorization")).toBe("Bearer a-token");
  expect(asked[0]?.headers.get("X-Who")).toBe("me");
});
