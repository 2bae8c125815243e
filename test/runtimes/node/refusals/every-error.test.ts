import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EngineError, ERRORS, type ErrorCode } from "../../../../src/core/errors/index.ts";
import type { Engine } from "../../../../src/core/node/index.ts";
import { memoryEngine } from "../../http/memory-engine.ts";
import { post, testApp } from "../../http/test-app.ts";
import { openSite } from "../grpc/site.ts";
import { sameOverGrpc } from "../grpc/same-over-grpc.ts";
import { OFF, ON, WITHOUT_ROOT } from "./auth-table.ts";
import { followerTable, LEADERLESS, LEARNER, membershipTable } from "./group-table.ts";
import { KV, LEASE } from "./kv-table.ts";
import { ALARMS, CORRUPT, LOCKS, MAINTENANCE } from "./locks-and-alarms-table.ts";
import { key } from "./refusal.ts";

const group = { leaderId: "1", followerId: "2", followerPeerUrl: "http://f", learnerId: "3" };

const TABLES = [
  [...KV, ...LEASE, ...LOCKS, ...MAINTENANCE, ...ALARMS, ...CORRUPT],
  [...WITHOUT_ROOT, ...OFF, ...ON],
  [...membershipTable(group), ...followerTable(group), ...LEARNER, ...LEADERLESS],
].flatMap((table) => table.map(({ code }) => code));

/** By tests that are no rows: auth.test.ts, disk.test.ts, group.test.ts. */
const ONE_BY_ONE: readonly ErrorCode[] = [
  "authOldRevision",
  "timeout",
  "tooManyRequests",
  "stopped",
  "notEnoughStarted",
  "unhealthy",
  "timeoutLeaderFail",
];

/*
 * What remains of etcd's errors, and why no request to a real member is answered so as one likes:
 *
 * - leaderChanged: a write was on its way to a leader when its member was sent a snapshot. Over HTTP in virtual time
 *   (test/runtimes/http/group-refusals.test.ts), where the one message can be lost.
 * - sessionExpired: likewise there; and it is a wait, which no request by itself is.
 * - connectionLost: of our own client, about a server.
 * - canceled: whoever has canceled does not listen (grpc/calls.test.ts: what was asked for is let go).
 * - context deadline exceeded: of gRPC alone, where a client says how long it waits (grpc/calls.test.ts).
 * - member ID already exist: ids of new members are drawn here, not made from what they say of themselves.
 * - revision of auth store is old, for a token: etcd's tokens end with each change; ours do not.
 *
 * Those that have a code are given to both framings below, as every other code.
 */
const NOT_AT_WILL: readonly ErrorCode[] = ["leaderChanged", "sessionExpired", "connectionLost", "canceled"];

describe("every error of etcd's", () => {
  it("is provoked, or it is said above why not", () => {
    const provoked = new Set([...TABLES, ...ONE_BY_ONE]);
    const isEtcds = (code: ErrorCode): boolean => !ERRORS[code][1].startsWith("d-engine:");
    const codes = Object.keys(ERRORS) as ErrorCode[];
    expect(codes.filter((code) => isEtcds(code) && !provoked.has(code))).toEqual(
      codes.filter((code) => NOT_AT_WILL.includes(code)),
    );
  });

  it("that is no row has its own test", () => {
    const files = ["auth", "disk", "group"].map((name) => new URL(`${name}.test.ts`, import.meta.url));
    const text = files.map((file) => readFileSync(file, "utf8")).join("");
    expect(
      ONE_BY_ONE.filter((code) => !text.includes(`"${code}"`) && !text.includes(`ERRORS.${code}`)),
    ).toEqual([]);
  });
});

describe("every error that there is", () => {
  it("has the same code and words in both framings", async () => {
    let code: ErrorCode = "timeout";
    const inner = memoryEngine();
    const engine: Engine = new Proxy(inner, {
      get: (target, name) => {
        const refuse = (): Promise<never> => Promise.reject(new EngineError(code, { detail: "why" }));
        return name === "put" ? refuse : (Reflect.get(target, name, target) as unknown);
      },
    });
    const site = await openSite({ engine });
    const { app } = testApp(engine);
    for (code of Object.keys(ERRORS) as ErrorCode[]) {
      const [grpcCode, message] = ERRORS[code];
      const whole = message.startsWith("d-engine:") ? `${message}: why` : message;
      const overGrpc = await sameOverGrpc(site.address, "/v3/kv/put", { key });
      expect([code, overGrpc]).toEqual([code, { code: grpcCode, message: whole }]);
      const response = await post(app, "/v3/kv/put", JSON.stringify({ key }));
      const json = { code: grpcCode, message: whole, error: whole, reason: code };
      expect([code, await response.json()]).toMatchObject([code, json]);
    }
  });
});
