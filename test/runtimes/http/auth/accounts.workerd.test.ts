// Passwords and tokens where there is no Node: inside workerd, whose Web Crypto refuses more work at once than others.

import { expect, test } from "vitest";
import { hashPassword, isPassword } from "../../../../src/runtimes/http/auth/password-hash.ts";
import { claimsOf, isSigned, signToken } from "../../../../src/runtimes/http/auth/user-token.ts";

test("a password is recognised by its hash, one made by Node too", async () => {
  const hash = await hashPassword("correct horse");
  expect(await isPassword("correct horse", hash)).toBe(true);
  expect(await isPassword("wrong", hash)).toBe(false);
  expect(await isPassword("", null)).toBe(false);
  // By Node 24, of "correct horse" as well.
  const byNode =
    "$pbkdf2-sha256$i=100000,r=6$hgzU4U76ld6_6YXOg0eLrg$VEnnxaEA2nhBRqdlSubDtIgdtVE17KqMr0F7NHdA-Pg";
  expect(await isPassword("correct horse", byNode)).toBe(true);
});

test("a token is recognised by the key that signed it", async () => {
  const [key, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const claims = { name: "alice", since: 7, expiresAtMs: 1000 };
  const token = await signToken(claims, key);
  expect(claimsOf(token, 0)).toEqual(claims);
  expect([await isSigned(token, key), await isSigned(token, other)]).toEqual([true, false]);
});
