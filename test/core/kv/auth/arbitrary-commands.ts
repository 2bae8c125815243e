import fc from "fast-check";
import type { AuthCommand, CommandOf, KvCommand } from "../../../../src/core/kv/index.ts";
import { TOKEN_KEY } from "./auth-commands.ts";

const name = fc.constantFrom("root", "alice", "bob", "ünïcode", "x".repeat(200));
const role = fc.constantFrom("root", "a", "b");
const key = fc.uint8Array({ maxLength: 4 });
const hash = fc.constantFrom("$1", "$2");

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

export const callers: fc.Arbitrary<CommandOf["caller"]> = fc.oneof(
  fc.constant({ type: "trusted" as const }),
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
