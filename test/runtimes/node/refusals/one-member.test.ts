import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERRORS, type ErrorCode } from "../../../../src/core/errors/index.ts";
import { KV, LEASE } from "./kv-table.ts";
import { ALARMS, CORRUPT, LOCKS, MAINTENANCE } from "./locks-and-alarms-table.ts";
import { b, expectRefusal, expectRefusedInVain, key, post, send, serve, type Served } from "./refusal.ts";

/*
 * Every error that calls to KV, Lease, Watch, Lock, Election and Maintenance can end with, provoked as JSON, and over
 * gRPC where that can say the same: its code, its words, the HTTP status, and that nothing has changed.
 */

describe("a refused request", () => {
  let member: Served;

  const sentOverGrpc = new Set<ErrorCode>();

  beforeAll(async () => {
    member = await serve();
    await member.engine.waitReady(30_000);
    for (const name of ["a", "b", "a", "b"])
      await send(member, "/v3/kv/put", { key: b(name), value: b("1") });
    await send(member, "/v3/kv/compaction", { revision: "4" });
    await send(member, "/v3/lease/grant", { ID: "7", TTL: "3600" });
    await send(member, "/v3/kv/put", { key: b("named") }, { "Idempotency-Key": "taken" });
  });
  afterAll(async () => member.engine.stop());

  it.each([...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT])(
    "$name: $code, and nothing has changed",
    async (refusal) => {
      for (const [setting, request] of refusal.before ?? []) await send(member, setting, request);
      try {
        if ((await expectRefusedInVain(member, refusal)) === "both") sentOverGrpc.add(refusal.code);
      } finally {
        for (const { type, memberId } of member.engine.engine.status().alarms) {
          await member.engine.engine.alarm({ action: "deactivate", type, memberId });
        }
      }
    },
  );

  it("are refused by the same codes and words over gRPC, all but what only JSON can say", () => {
    const codes = new Set(
      [...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT].map(({ code }) => code),
    );
    // A number that stands for no order: our encoder has none (grpc/messages.test.ts).
    expect([...codes].filter((code) => !sentOverGrpc.has(code))).toEqual(["invalidSortOption"]);
  });

  it("too many alarms: tooManyAlarms, and nothing has changed", async () => {
    const memberIds = Array.from({ length: 256 }, (_, i) => BigInt(i));
    const { engine } = member.engine;
    for (const memberId of memberIds) await engine.alarm({ action: "activate", type: "noSpace", memberId });
    const before = engine.status().stateHash();
    const more = { action: "ACTIVATE", memberID: "256", alarm: "NOSPACE" };
    expectRefusal(await post(member, "/v3/maintenance/alarm", more), "tooManyAlarms");
    expect(engine.status().stateHash()).toBe(before);
    for (const memberId of memberIds) await engine.alarm({ action: "deactivate", type: "noSpace", memberId });
  });

  it("a watch from a compacted revision is canceled with it, one of nothing at all with why", async () => {
    const before = member.engine.engine.status().stateHash();
    const watch = async (request: object): Promise<string> => {
      const controller = new AbortController();
      const response = await fetch(`${member.url}/v3/watch`, {
        method: "POST",
        body: JSON.stringify({ createRequest: request }),
        signal: controller.signal,
      });
      let text = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.includes('"canceled":true')) break;
      }
      controller.abort();
      return text;
    };
    const [, message] = ERRORS.compacted;
    expect(await watch({ key, startRevision: "2" })).toMatch(/"canceled":true.*"compact_revision":"4"/);
    expect(message).toBe("etcdserver: mvcc: required revision has been compacted");
    expect(member.engine.engine.status().stateHash()).toBe(before);
  });

  it("what asks about a lease that is none is answered, as in etcd", async () => {
    const alive = await post(member, "/v3/lease/keepalive", { ID: "8" });
    expect(alive).toMatchObject({ status: 200, json: { result: { ID: "8" } } });
    const left = await post(member, "/v3/lease/timetolive", { ID: "8" });
    expect(left).toMatchObject({ status: 200, json: { ID: "8", TTL: "-1" } });
  });
});

describe("a member that is full", () => {
  it("refuses before the log: noSpace, and nothing but the alarm has changed", async () => {
    const member = await serve({ quotaBackendBytes: 2000 });
    try {
      await member.engine.waitReady(30_000);
      expect((await post(member, "/v3/kv/put", { key, value: b("x".repeat(1000)) })).status).toBe(200);
      const { revision, dbSize } = member.engine.engine.status();
      expectRefusal(await post(member, "/v3/kv/put", { key, value: b("x".repeat(1000)) }), "noSpace");
      const is = member.engine.engine.status();
      expect([is.revision, is.dbSize]).toEqual([revision, dbSize]);
      const health = await fetch(`${member.url}/health`);
      expect([health.status, await health.text()]).toEqual([
        503,
        '{"health":"false","reason":"ALARM NOSPACE"}',
      ]);
      const metrics = await (await fetch(`${member.url}/metrics`)).text();
      expect(metrics).toMatch(/^etcd_server_quota_backend_bytes 2000$/m);
      expect(metrics).toMatch(/^d_engine_alarms_nospace 1$/m);
      expect(metrics).toMatch(new RegExp(`^etcd_mvcc_db_total_size_in_bytes ${dbSize}$`, "m"));
    } finally {
      await member.engine.stop();
    }
  });
});
