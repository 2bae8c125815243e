import type { Mutant } from "./mutants.ts";

const WATCHER = "src/core/node/watch/watcher.ts";
const HUB = "src/core/node/watch/watch-hub.ts";

/** Bugs in what watches promise. */
export const WATCH_MUTANTS: readonly Mutant[] = [
  {
    name: "watch-lost-after-snapshot",
    about: "what a snapshot brings is not told to watches that were up to date (etcd 8411)",
    rewrites: [{ file: HUB, find: "if (watcher.isLive) watcher.fallBehind();", replace: "" }],
  },
  {
    name: "watch-from-the-past",
    about: "after a snapshot the last change is told again (etcd 15271, 17247)",
    rewrites: [
      {
        file: WATCHER,
        find: "Math.max(this.#source.revision + 1, this.#startRevision)",
        replace: "Math.min(this.#source.revision, this.#startRevision)",
      },
    ],
  },
  {
    name: "watch-told-twice",
    about: "a change waits twice for the reader of a watch",
    rewrites: [
      { file: WATCHER, find: "state.waiting.push(change);", replace: "state.waiting.push(change, change);" },
    ],
  },
  {
    name: "watch-over-compaction",
    about: "a watch goes on behind what was compacted as if nothing were missing (etcd 18089)",
    rewrites: [{ file: WATCHER, find: 'if (from < compactRevision) return "compacted";', replace: "" }],
  },
  {
    name: "watch-early-bookmark",
    about: "a page of history is said to be all there is (etcd 15220)",
    rewrites: [
      {
        file: WATCHER,
        find: "return page.build(isSplit ? next : next - 1, isSplit);",
        replace: "return page.build(this.#source.revision, isSplit);",
      },
    ],
  },
];
