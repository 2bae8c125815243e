import type { Mutant } from "./mutants.ts";

const WATCHDOG = "src/runtimes/workers/watchdog.ts";
const RAFT = "src/core/raft";

function asleep(name: string, about: string, file: string, find: string, replace: string): Mutant {
  return { name, about, rewrites: [{ file, find, replace }], draw: "objects" };
}

/** Bugs in what a node may believe that lost its memory, in its sleep or not. */
export const SLEEP_MUTANTS: readonly Mutant[] = [
  asleep(
    "commit-news-never-sent",
    "the news that entries are committed is held back for ever, unless something takes it along",
    `${RAFT}/replication.ts`,
    "progress.newsDueMs ??= nowMs + options.commitNewsDelayMs;",
    "progress.newsDueMs ??= Number.POSITIVE_INFINITY;",
  ),
  asleep(
    "commit-news-kept-from-readers",
    "a follower is told where it may read, and not that it is committed",
    `${RAFT}/leader.ts`,
    "if (index !== null) this.replication.awaitCommit(index, from);",
    "",
  ),
  asleep(
    "commit-news-kept-from-the-removed",
    "who is removed is sent nothing any more before it could hear of its removal",
    `${RAFT}/leader.ts`,
    "this.replication.awaitCommit(index);",
    "",
  ),
  asleep(
    "rested-although-promised",
    "an object that was awake starts as if it had slept, and had promised nothing",
    WATCHDOG,
    "this.#record.saveAwake(awake);",
    "if (!awake) this.#record.saveAwake(awake);",
  ),
  asleep(
    "lease-outlives-sleep",
    "a leader that slept and woke counts on what was promised before",
    `${RAFT}/leader.ts`,
    "this.#leaseFloor = this.#rounds.current + 1;",
    "",
  ),
  asleep(
    "deadlines-kept-awake",
    "what was written down of leases for the sleep stays there while they are renewed",
    "src/runtimes/workers/object-rest.ts",
    "if (!asleep) this.#erase();",
    "",
  ),
];
