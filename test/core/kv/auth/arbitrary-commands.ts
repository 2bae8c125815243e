import fc from "fast-check";
import { type AuthCommand, type CommandOf, type KvCommand, KvStore } from "../../../../src/core/kv/index.ts";
import { bytes } from "../support.ts";
import { addUser, change, TOKEN_KEY } from "./auth-commands.ts";

const name = fc.constantFrom("root", "alice", "bob", "ünïcode", "x".repeat(200));
const role = fc.constantFrom("root", "a", "b");
const key = fc.uint8Array({ maxLength: 4 });
const hash = fc.constantFrom("$1", "$2");

const KNOWN = [
  { type: "user", name: "root", since: 2 },
  { type: "user", name: "alice", since: 5 },
  { type: "user", name: "bob", since: 9 },
] as const;

/** A store with users who may do something, so that less is refused. */
export function populated(): KvStore {
  const store = new KvStore();
  addUser(store, "root");
  addUser(store, "alice", [["readWrite", "a", "b"]]);
  addUser(store, "bob", [
    ["readWrite", "a", "ab"],
    ["write", "b", "c"],
  ]);
  change(store, { op: "enable", tokenKey: TOKEN_KEY });
  return store;
}

/** Every change that there is, most of them on users and roles that are there. */
export const authCommands: fc.Arbitrary<AuthCommand> = fc.oneof(
  fc.constantFrom<AuthCommand>({ op: "enable", tokenKey: TOKEN_KEY }, { op: "disable" }),
  fc.record({ op: fc.constant("userAdd" as const), name, passwordHash: fc.option(hash) }),
  fc.record({ op: fc.constant("userDelete" as const), name }),
  fc.record({ op: fc.constant("userChangePassword" as const), name, passwordHash: hash }),
  fc.record({ op: fc.constantFrom("userGrantRole" as const, "userRevokeRole" as const), name, role }),
  fc.record({ op: fc.constantFrom("roleAdd" as const, "roleDelete" as const), role }),
  fc.record({
    op: fc.constant("roleGrantPermission" as const),
    role,
    permission: fc.record({ access: fc.constantFrom("read", "write", "readWrite"), key, rangeEnd: key }),
  }),
  fc.record({ op: fc.constant("roleRevokePermission" as const), role, key, rangeEnd: key }),
);

const fewKeys = fc.constantFrom("a", "aa", "ab", "b", "c").map(bytes);
const fewLeases = fc.constantFrom(1n, 1n, 1n, 2n, 0n);

/** Leases that users of `populated` share, or may not, and now and then other permissions. */
export const commandsWithLeases: fc.Arbitrary<KvCommand> = fc.record({
  type: fc.constant("as" as const),
  request: fc.record({
    caller: fc.constantFrom(...KNOWN),
    command: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          type: fc.constant("put" as const),
          request: fc.record({ key: fewKeys, lease: fewLeases }),
        }),
      },
      fc.record({ type: fc.constant("deleteRange" as const), request: fc.record({ key: fewKeys }) }),
      fc.record({
        type: fc.constant("leaseGrant" as const),
        request: fc.record({ id: fc.constantFrom(1n, 2n), ttlMs: fc.constant(1) }),
      }),
      fc.record({
        type: fc.constant("leaseRevoke" as const),
        request: fc.record({ id: fc.constantFrom(1n, 2n) }),
      }),
      fc.record({
        type: fc.constant("auth" as const),
        request: fc.record({
          op: fc.constantFrom("userGrantRole" as const, "userRevokeRole" as const),
          name: fc.constant("alice"),
          role: fc.constant("bob"),
        }),
      }),
    ),
  }),
});

/** Many of them are the ones that `populated` has, until their passwords change. */
export const callers: fc.Arbitrary<CommandOf["caller"]> = fc.oneof(
  fc.constant({ type: "trusted" as const }),
  { weight: 4, arbitrary: fc.constantFrom(...KNOWN) },
  fc.record({ type: fc.constant("user" as const), name, since: fc.integer({ min: 0, max: 20 }) }),
);

/** Changes of users and roles, and other commands on somebody's behalf. */
export function commandsOfSomebody(
  others: fc.Arbitrary<Exclude<KvCommand, { readonly type: "as" }>>,
): fc.Arbitrary<KvCommand> {
  const changes = fc.record({ type: fc.constant("auth" as const), request: authCommands });
  const command = fc.oneof({ weight: 2, arbitrary: changes }, others);
  return fc.oneof(
    changes,
    fc.record({ type: fc.constant("as" as const), request: fc.record({ caller: callers, command }) }),
  );
}
