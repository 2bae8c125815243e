import type { Mutant } from "./mutants.ts";

const KV = "src/core/kv";
const AUTH = "src/core/kv/auth";

function mutant(name: string, about: string, file: string, find: string, replace: string): Mutant {
  return { name, about, rewrites: [{ file, find, replace }], draw: "users" };
}

/** Bugs in who may do what, and in what users are told of it. */
export const AUTH_MUTANTS: readonly Mutant[] = [
  {
    name: "permission-asked-where-proposed",
    about: "permission is asked where a command is proposed, and not where it is applied",
    rewrites: [
      {
        file: `${KV}/kv-store.ts`,
        find: "const problem = this.auth.isEnabled ? this.whyNot(caller, command) : null;",
        replace: "const problem = null;",
      },
      {
        file: "src/core/node/writes.ts",
        find: "const complete = withOwnLeases(command, drawLeaseId);",
        replace:
          'if (!this.#isPermitted(caller, command)) throw new EngineError("permissionDenied");\n    const complete = withOwnLeases(command, drawLeaseId);',
      },
    ],
    draw: "users",
  },
  mutant(
    "users-not-in-snapshot",
    "who is restored from a snapshot knows of no users, and asks nobody who they are",
    `${KV}/snapshot-reader.ts`,
    "this.#keyspace.auth.restore({ ...head, users, roles });",
    "",
  ),
  mutant(
    "revision-not-raised-by-revoking",
    "taking a role from a user leaves the auth revision as it was",
    `${AUTH}/auth-store.ts`,
    "this.#users.set(name, withoutRole(user, role));\n    return this.#committed();",
    "this.#users.set(name, withoutRole(user, role));\n    return this.#changed();",
  ),
  mutant(
    "permissions-remembered",
    "what was granted to a user is remembered after it was taken",
    `${AUTH}/auth-store.ts`,
    "this.#granted.clear();",
    "",
  ),
  mutant(
    "old-password-good",
    "who logged in before a password was changed, or as a user of that name who is gone, goes on",
    `${AUTH}/auth-store.ts`,
    "if (user?.since !== caller.since)",
    "if (user === undefined)",
  ),
  mutant(
    "lease-takes-keys-of-others",
    "whoever revokes a lease takes its keys, permitted or not",
    `${AUTH}/permissions.ts`,
    "return mayWriteLease(keyspace, granted, command.request.id);",
    "return true;",
  ),
  mutant(
    "only-success-asked",
    "of a transaction only the branch for success is looked at",
    `${AUTH}/permissions.ts`,
    "failure.every((op) => mayDo(keyspace, granted, op))",
    "failure.length >= 0",
  ),
  mutant(
    "comparisons-not-asked",
    "a transaction's comparisons need no permission",
    `${AUTH}/permissions.ts`,
    "compare.every(({ key, rangeEnd }) => granted.mayRead(key, rangeEnd)) &&",
    "",
  ),
  mutant(
    "watch-range-not-asked",
    "of a watch over a range only the first key is looked at",
    "src/core/node/watch/watch-hub.ts",
    "const request = rangeEnd === undefined ? { key } : { key, rangeEnd };",
    "const request = rangeEnd === undefined ? { key } : { key };",
  ),
  mutant(
    "watch-outlives-permission",
    "a watch goes on when its permission is taken",
    "src/core/node/watch/watch-hub.ts",
    "if (this.#options.store.auth.changes !== this.#authChanges) this.#recheck();",
    "",
  ),
  mutant(
    "permission-of-the-past",
    "a transaction that reads is permitted by what the member knew before it asked for what is committed",
    "src/core/node/kv-engine.ts",
    'await this.#barrier(options, highestRevision(request));\n      this.#access.requireRead(options, { type: "txn", request });',
    'this.#access.requireRead(options, { type: "txn", request });\n      await this.#barrier(options, highestRevision(request));',
  ),
  mutant(
    "revision-of-the-past",
    "whoever is trusted is told the auth revision that this member knows (our own, found here)",
    "src/core/node/auth/auth-operations.ts",
    'await barrier({ ...options, consistency: "linearizable" });\n    access.requireRoot(options);',
    'if (options.caller?.type !== "trusted") await barrier({ ...options, consistency: "linearizable" });\n    access.requireRoot(options);',
  ),
  mutant(
    "names-lost-at-the-switch",
    "idempotency keys of users are not found when authentication has been switched off",
    `${KV}/kv-store.ts`,
    "if (wasEnabled && !keyspace.auth.isEnabled) keyspace.writes.disown();",
    "",
  ),
  mutant(
    "names-lost-at-switching-on",
    "idempotency keys of nobody are not found when authentication has been switched on",
    `${KV}/idempotency.ts`,
    "return ofNobody?.fingerprint === fingerprint ? ofNobody : undefined;",
    "return undefined;",
  ),
];
