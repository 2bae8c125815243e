import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineError } from "../../../../src/core/errors/index.ts";
import { TRUSTED } from "../../../../src/core/kv/index.ts";
import { actAs, type Engine, type Identities } from "../../../../src/core/node/index.ts";
import { Accounts } from "../../../../src/runtimes/http/auth/accounts.ts";
import { hashPassword, isPassword } from "../../../../src/runtimes/http/auth/password-hash.ts";
import {
  claimsOf,
  signToken,
  TOKEN_LIFETIME_MS,
  TOKEN_TOLERANCE_MS,
} from "../../../../src/runtimes/http/auth/user-token.ts";
import { startLoneEngine } from "../../../core/node/lone-engine.ts";
import { AuthSite, b64, passwordOf } from "./auth-site.ts";

describe("a password", () => {
  test("is recognised by its hash, which does not show it, and nothing else is", async () => {
    const hash = await hashPassword("correct horse");
    expect(hash).toMatch(/^\$pbkdf2-sha256\$i=100000,r=6\$[\w-]{22}\$[\w-]{43}$/);
    expect(await hashPassword("correct horse")).not.toBe(hash);
    expect(await isPassword("correct horse", hash)).toBe(true);
    for (const wrong of ["correct horsf", "correct hors", "", "correct horse ".repeat(100)]) {
      expect(await isPassword(wrong, hash)).toBe(false);
    }
    expect(await isPassword("", null)).toBe(false);
  });

  // RFC 7914, section 11, has this vector for PBKDF2-HMAC-SHA-256.
  test("is derived as the standard says", async () => {
    const dk = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
    const salt = b64("salt").replaceAll("=", "");
    const first = Buffer.from(dk, "hex").toString("base64url");
    expect(await isPassword("passwd", `$pbkdf2-sha256$i=1,r=1$${salt}$${first}`)).toBe(true);
    expect(await isPassword("passwd", `$pbkdf2-sha256$i=2,r=1$${salt}$${first}`)).toBe(false);
    expect(await isPassword("passwd", `$pbkdf2-sha256$i=1,r=2$${salt}$${first}`)).toBe(false);
  });

  test.each([
    "$2a$10$bcrypt",
    "$pbkdf2-sha256$i=100001,r=1$AAAA$AAAA",
    "$pbkdf2-sha256$i=0,r=1$AAAA$AAAA",
    "$pbkdf2-sha256$i=1,r=101$AAAA$AAAA",
    "$pbkdf2-sha256$i=1,r=1$AAAA$AAAA",
  ])("is not the one of %j", async (hash) => {
    expect(await isPassword("x", hash)).toBe(false);
  });

  test("is too much work to be had from a member any number of times at once", async () => {
    const cheap = `$pbkdf2-sha256$i=1,r=1$AAAA$${"A".repeat(43)}`;
    const logins = Array.from({ length: 80 }, () => isPassword("x", cheap));
    const ends = await Promise.allSettled(logins);
    const refused = ends.filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(80 - 2 - 64);
    expect(refused[0]).toMatchObject({ reason: { code: "tooManyRequests", grpcCode: 8 } });
    expect(await isPassword("x", cheap)).toBe(false);
  });

  test("is made for root, however many wait to log in", async () => {
    const cheap = `$pbkdf2-sha256$i=1,r=1$AAAA$${"A".repeat(43)}`;
    const logins = Array.from({ length: 2 + 64 }, () => isPassword("x", cheap));
    const last = isPassword("x", cheap);
    const hash = hashPassword("new");
    await expect(last).rejects.toMatchObject({ code: "tooManyRequests" });
    expect(await hash).toMatch(/^\$pbkdf2/);
    await Promise.all(logins);
  });

  test("that is guessed at leaves room for whoever has another name, known or not", async () => {
    const engine = await startLoneEngine();
    const passwordHash = `$pbkdf2-sha256$i=1,r=1$AAAA$${"A".repeat(43)}`;
    const call = { caller: TRUSTED };
    for (const name of ["root", "ann"]) await engine.auth.change({ op: "userAdd", name, passwordHash }, call);
    await engine.auth.change({ op: "userGrantRole", name: "root", role: "root" }, call);
    await engine.auth.change({ op: "enable" }, call);
    const identities: Identities = {
      tokenKey: engine.auth.identities.tokenKey,
      find: (name) => engine.auth.identities.find(name),
      refresh: () => Promise.resolve(),
    };
    const acting = actAs(engine, { type: "anonymous" });
    const accounts = new Accounts({ engine: { ...acting, auth: { ...acting.auth, identities } } });
    const codes = async (name: string, count: number): Promise<string[]> => {
      const logins = Array.from({ length: count }, () => accounts.logIn(name, "guess"));
      const ends = await Promise.allSettled(logins);
      return ends.map((end) => (end.status === "rejected" ? (end.reason as EngineError).code : "ok"));
    };
    const [known, unknown, other] = await Promise.all([
      codes("root", 10),
      codes("nobody", 10),
      codes("ann", 8),
    ]);
    const guessed = [...Array<string>(8).fill("authFailed"), "tooManyRequests", "tooManyRequests"];
    expect([known, unknown]).toEqual([guessed, guessed]);
    expect(new Set(other)).toEqual(new Set(["authFailed"]));
    // They are not counted for ever.
    expect(await codes("root", 1)).toEqual(["authFailed"]);
    await engine.stop();
  });
});

describe("a token", () => {
  let site: AuthSite;
  beforeAll(async () => {
    site = await AuthSite.start();
    await site.switchOn();
  });
  afterAll(() => site.engine.stop());

  const read = { key: b64("a/k") };

  test("is given for a password, and shown in either header, with Bearer or without", async () => {
    const token = await site.logIn("alice");
    for (const headers of [
      { Authorization: token },
      { Authorization: `Bearer ${token}` },
      { Token: token },
    ]) {
      const request = { method: "POST", body: JSON.stringify(read), headers };
      expect((await site.app.request("/v3/kv/range", request)).status).toBe(200);
    }
  });

  test.each([
    ["a wrong password", { name: "alice", password: "wrong" }],
    ["nobody's name", { name: "mallory", password: passwordOf("alice") }],
    ["no name", { name: "", password: "x" }],
    ["no password", { name: "alice" }],
  ])("is not given for %s", async (_what, body) => {
    expect(await site.ask("/auth/authenticate", body)).toMatchObject({
      status: 400,
      reply: { code: 3, message: "etcdserver: authentication failed, invalid user ID or password" },
    });
  });

  test("is not given to a user without a password", async () => {
    const root = await site.logIn("root");
    await site.done("/auth/user/add", { name: "ghost", options: { no_password: true } }, root);
    expect(await site.ask("/auth/authenticate", { name: "ghost", password: "" })).toMatchObject({
      status: 400,
    });
    await site.done("/auth/user/delete", { name: "ghost" }, root);
  });

  test("that was changed anywhere is none", async () => {
    const token = await site.logIn("alice");
    const forgeries: string[] = [];
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === "A" ? "B" : "A";
      forgeries.push(token.slice(0, at) + other + token.slice(at + 1));
    }
    forgeries.push(
      token.slice(0, -2),
      `${token}A`,
      "de1.",
      "de1..",
      "de1.AAAA",
      "x",
      `de1.${"A".repeat(5000)}.AAAA`,
    );
    for (const forged of forgeries) {
      const { status, reply } = await site.ask("/kv/range", read, forged);
      // The last character of a MAC has bits that stand for nothing.
      const same = Buffer.from(forged.split(".")[2] ?? "", "base64url").equals(
        Buffer.from(token.split(".")[2]!, "base64url"),
      );
      const untouched = same && forged.slice(0, -1) === token.slice(0, -1);
      expect([forged, status, untouched ? null : reply["message"]]).toEqual([
        forged,
        untouched ? 200 : 401,
        untouched ? null : "etcdserver: invalid auth token",
      ]);
    }
  });

  test("says whose it is, and that cannot be said by another key", async () => {
    const since = site.engine.auth.identities.find("root")!.since;
    const claims = { name: "root", since, expiresAtMs: Date.now() + 1000 };
    const forged = await signToken(claims, new Uint8Array(32));
    expect(await site.ask("/kv/range", read, forged)).toMatchObject({ status: 401 });
    const real = await signToken(claims, site.engine.auth.identities.tokenKey!);
    expect(await site.ask("/kv/range", read, real)).toMatchObject({ status: 200 });
  });

  test("ends in time, give or take how much clocks may differ, and is not of the future", async () => {
    let nowMs = 1e12;
    const accounts = new Accounts({ engine: site.engine, nowMs: () => nowMs });
    const token = await accounts.logIn("alice", passwordOf("alice"));
    const admitted = async (): Promise<boolean> => {
      try {
        await accounts.engineOf(new Headers({ Token: token }));
        return true;
      } catch {
        return false;
      }
    };
    expect(await admitted()).toBe(true);
    const end = 1e12 + TOKEN_LIFETIME_MS + TOKEN_TOLERANCE_MS;
    for (const [atMs, good] of [
      [end, true],
      [end + 1, false],
      [1e12 - TOKEN_TOLERANCE_MS, true],
      [1e12 - TOKEN_TOLERANCE_MS - 1, false],
    ] as const) {
      nowMs = atMs;
      expect([atMs, await admitted()]).toEqual([atMs, good]);
    }
    expect(claimsOf(token, end)).toMatchObject({ name: "alice" });
  });

  test("outlives changes of what its user may do, but not of the password, nor of authentication", async () => {
    const root = await site.logIn("root");
    const alice = await site.logIn("alice");
    const bob = await site.logIn("bob");
    await site.done("/auth/user/revoke", { name: "alice", role: "a" }, root);
    expect(await site.ask("/kv/range", read, alice)).toMatchObject({ status: 403 });
    await site.done("/auth/user/grant", { user: "alice", role: "a" }, root);
    await site.done("/kv/range", read, alice);
    await site.done("/auth/user/changepw", { name: "alice", password: passwordOf("alice") }, root);
    expect(await site.ask("/kv/range", read, alice)).toMatchObject({ status: 401 });
    await site.done("/kv/range", read, await site.logIn("alice"));
    await site.done("/auth/user/delete", { name: "bob" }, root);
    expect(await site.ask("/lease/leases", {}, bob)).toMatchObject({ status: 401 });
    await site.done("/auth/user/add", { name: "bob", password: passwordOf("bob") }, root);
    expect(await site.ask("/lease/leases", {}, bob)).toMatchObject({ status: 401 });
    const again = await site.logIn("alice");
    await site.done("/auth/disable", {}, root);
    // Nobody is asked now, whatever they show.
    await site.done("/kv/range", { key: b64("b") }, "nonsense");
    await site.done("/kv/range", { key: b64("b") }, again);
    expect(await site.ask("/auth/authenticate", { name: "alice", password: "x" })).toMatchObject({
      status: 400,
      reply: { code: 9, message: "etcdserver: authentication is not enabled" },
    });
    await site.done("/auth/enable");
    expect(await site.ask("/kv/range", read, again)).toMatchObject({ status: 401 });
  });

  test("is looked for again when the member may not have heard of it", async () => {
    const { engine } = site;
    const token = await site.logIn("alice");
    let refreshed = 0;
    let known = false;
    const { auth } = engine;
    const identities: Identities = {
      get tokenKey() {
        return known ? auth.identities.tokenKey : null;
      },
      find: (name) => auth.identities.find(name),
      refresh: () => {
        refreshed++;
        known = true;
        return Promise.resolve();
      },
    };
    const acting = actAs(engine, { type: "anonymous" });
    const lagging: Engine = { ...acting, auth: { ...acting.auth, identities } };
    const accounts = new Accounts({ engine: lagging });
    await accounts.engineOf(new Headers({ Token: token }));
    expect(refreshed).toBe(1);
    // Now it is known, and nothing is to be waited for.
    expect(accounts.engineOf(new Headers({ Token: token }))).not.toBeInstanceOf(Promise);
  });
});
