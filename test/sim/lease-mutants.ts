import type { Mutant } from "./mutants.ts";

const LESSOR = "src/core/node/lessor.ts";

/** Bugs in what leases promise, and the locks that stand on them. */
export const LEASE_MUTANTS: readonly Mutant[] = [
  {
    name: "deposed-leader-revokes",
    about: "a lease ends by the word of a leader that has been deposed (etcd 15247)",
    rewrites: [
      {
        file: "src/core/kv/lease-commands.ts",
        find: "if (command.term !== term) return [];",
        replace: "",
      },
    ],
  },
  {
    name: "deadlines-of-an-earlier-lead",
    about: "who leads again goes on with the deadlines of the last time (etcd 7029)",
    rewrites: [
      { file: LESSOR, find: "this.#held.clear();\n    this.#due.clear();", replace: "" },
      {
        file: LESSOR,
        find: "if (this.#leads) this.#hold(lease, deadlineMs);",
        replace: "if (this.#leads) { if (!this.#held.has(lease.id)) this.#hold(lease, deadlineMs); }",
      },
    ],
  },
  {
    name: "renewed-while-ending",
    about: "a lease is renewed although its end has been proposed",
    rewrites: [{ file: LESSOR, find: 'if (held.ending) return { type: "ending" };', replace: "" }],
  },
  {
    name: "unlock-takes-the-next",
    about: "an unlock that comes twice takes the lock from whoever has it by then (etcd 22082)",
    rewrites: [
      {
        file: "src/core/node/coordination/lock.ts",
        find: "if (fencingToken !== 0) return",
        replace: "if (fencingToken < 0) return",
      },
    ],
  },
];
