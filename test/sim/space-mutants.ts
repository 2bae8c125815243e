import type { Mutant } from "./mutants.ts";

/** Bugs in what the alarm of a full store promises. */
export const SPACE_MUTANTS: readonly Mutant[] = [
  {
    name: "alarm-not-in-snapshot",
    about: "who is restored from a snapshot knows of no alarm, and takes what all others refuse",
    rewrites: [
      {
        file: "src/core/kv/snapshot-reader.ts",
        find: "if (!this.#keyspace.alarms.restore(alarm))",
        replace: "if (alarm === undefined)",
      },
    ],
  },
  {
    name: "quota-asked-where-applied",
    about: "under the alarm a member refuses by the size that it has itself got to by compaction",
    rewrites: [
      {
        file: "src/core/kv/kv-store.ts",
        find: 'if (alarms.has("noSpace") && growthOf(command) > 0)',
        replace: 'if (alarms.has("noSpace") && growthOf(command) > 0 && this.sizeBytes > 15_000)',
      },
    ],
  },
  {
    name: "transactions-grow-under-alarm",
    about: "the alarm stops puts, and not transactions with puts in them",
    rewrites: [
      {
        file: "src/core/kv/size.ts",
        find: "return Math.max(sumOf(op.request.success, kept), sumOf(op.request.failure, kept));",
        replace: "return 0;",
      },
    ],
  },
];
