import type { Mutant } from "./mutants.ts";

const SNAPSHOT_READER = "src/core/kv/snapshot-reader.ts";

/** Bugs in what idempotency keys promise. */
export const ONCE_MUTANTS: readonly Mutant[] = [
  {
    name: "named-write-done-twice",
    about: "a write that is sent again under its idempotency key is done again",
    rewrites: [
      {
        file: "src/core/kv/kv-store.ts",
        find: "writes.remember(key, fingerprint, result);",
        replace: "",
      },
    ],
  },
  {
    name: "named-write-forgotten-early",
    about: "an idempotency key is forgotten before its time",
    rewrites: [
      {
        file: "src/core/node/idempotency-window.ts",
        find: "look.atMs > nowMs - this.#windowMs",
        replace: "look.atMs > nowMs",
      },
    ],
  },
  {
    name: "named-writes-not-in-snapshot",
    about: "a snapshot brings the data and not the idempotency keys",
    rewrites: [
      {
        file: SNAPSHOT_READER,
        find: "if (!this.#keyspace.writes.restore(readRemembered(reader)))",
        replace: "if (readRemembered(reader) === null)",
      },
      {
        file: SNAPSHOT_READER,
        find: "if (reader.uint() !== writes.size) reader.fail",
        replace: "if (reader.uint() < 0) reader.fail",
      },
      {
        file: SNAPSHOT_READER,
        find: "if (!writes.restoreSerial(readCounter(reader)))",
        replace: "if (readCounter(reader) < 0)",
      },
    ],
  },
];
