import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERRORS } from "../../../../src/core/errors/index.ts";
import { hashPassword } from "../../../../src/runtimes/node/index.ts";
import { sameOverGrpc } from "../grpc/same-over-grpc.ts";
import { type Asker, OFF, ON, USERS, WITHOUT_ROOT } from "./auth-table.ts";
import { b, expectRefusedInVain, post, type Refusal, send, serve, type Served } from "./refusal.ts";

/*
 * Every error of users and roles, provoked as JSON and over gRPC: its code, its words, the HTTP status, and that
 * nothing has changed.
 */

let member: Served;

beforeAll(async () => {
  member = await serve();
  await member.engine.waitReady(30_000);
});
afterAll(async () => member.engine.stop());

async function refused(refusal: Refusal): Promise<void> {
  expect(await expectRefusedInVain(member, refusal)).toBe("both");
}

describe("without a root", () => {
  it.each(WITHOUT_ROOT)("$name: $code, and nothing has changed", refused);
});

describe("while authentication is off", () => {
  beforeAll(async () => {
    for (const [path, body] of USERS) await send(member, path, body);
  });

  it.each(OFF)("$name: $code, and nothing has changed", refused);
});

describe("while authentication is on", () => {
  const headersOf: Record<Asker, Readonly<Record<string, string>>> = {
    nobody: {},
    stranger: { Authorization: "nonsense" },
    al: {},
    root: {},
  };

  beforeAll(async () => {
    await send(member, "/v3/auth/role/add", { name: "root" });
    await send(member, "/v3/auth/user/grant", { user: "root", role: "root" });
    // Something for a lock and a revocation to be denied.
    await send(member, "/v3/lease/grant", { ID: "7", TTL: "3600" });
    await send(member, "/v3/kv/put", { key: b("z"), lease: "7" });
    await send(member, "/v3/auth/enable", {});
    for (const name of ["al", "root"] as const) {
      const reply = await send(member, "/v3/auth/authenticate", { name, password: "p" });
      headersOf[name] = { Authorization: (reply as { readonly token: string }).token };
    }
  });

  it.each(ON)("$name: $code, and nothing has changed", async (refusal) => {
    await refused({ ...refusal, headers: headersOf[refusal.asker] });
  });

  it("a login while the password is changed: authOldRevision", async () => {
    const { auth } = member.engine.engine;
    const passwordHash = await hashPassword("p");
    const path = "/v3/auth/authenticate";
    const body = { name: "al", password: "p" };
    const said = { json: new Set<string | undefined>(), grpc: new Set<string | undefined>() };
    const [grpcCode, message] = ERRORS.authOldRevision;
    // Two passwords are derived at a time: the last of these are still waiting when the first is answered.
    for (let round = 0; round < 10 && !(said.json.has(message) && said.grpc.has(message)); round++) {
      const overJson = Array.from({ length: 3 }, () => post(member, path, body));
      const overGrpc = Array.from({ length: 3 }, () => sameOverGrpc(new URL(member.url).host, path, body));
      await Promise.race([...overJson, ...overGrpc]);
      await auth.change({ op: "userChangePassword", name: "al", passwordHash });
      for (const { json } of await Promise.all(overJson)) {
        said.json.add(json.message);
        expect(json.message === undefined || json.code === grpcCode).toBe(true);
      }
      for (const answer of await Promise.all(overGrpc)) said.grpc.add(answer?.message);
    }
    expect([said.json.has(message), said.grpc.has(message)]).toEqual([true, true]);
  });
});
