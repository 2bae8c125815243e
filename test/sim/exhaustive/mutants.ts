import type { Bounds } from "./bounds.ts";
import type { Patch } from "./open-core.ts";

/** A classic bug, planted into a copy of the core's sources. */
export interface Mutant {
  readonly name: string;
  readonly about: string;
  /** A small space that shows it: changes to `QUIET_BOUNDS`. */
  readonly bounds: Partial<Bounds>;
  readonly patches: readonly Patch[];
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "vote-before-durable",
    about: "a vote is answered before it is on the disk (camunda 5356: lost over a restart)",
    bounds: {},
    patches: [
      {
        file: "raft/voting.ts",
        find: 'core.sendAfterPersist({ type: "RequestVoteResult", to: message.from, granted });',
        replace: 'core.send({ type: "RequestVoteResult", to: message.from, granted });',
      },
    ],
  },
  {
    name: "vote-forgotten-in-term",
    about: "following anew in the same term clears the vote (CCF 8094)",
    bounds: {},
    patches: [
      {
        file: "raft/raft.ts",
        find: "core.vote = null;\n    }\n    core.leaderId = leaderId;",
        replace: "}\n    core.vote = null;\n    core.leaderId = leaderId;",
      },
    ],
  },
  {
    name: "vote-for-any-log",
    about: "a vote for a candidate whose log is behind (paper §5.4.1)",
    bounds: {},
    patches: [
      {
        file: "raft/voting.ts",
        find: "const granted = free && core.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);",
        replace: "const granted = free;",
      },
    ],
  },
  {
    name: "own-vote-before-durable",
    about: "a candidate asks for votes before its own, and its term, are on the disk",
    bounds: {},
    patches: [
      {
        file: "raft/candidate.ts",
        find: 'core.sendAfterPersist({ type: "RequestVote", to,',
        replace: 'core.send({ type: "RequestVote", to,',
      },
    ],
  },
  {
    name: "commit-old-term",
    about: "an entry of an older term is committed by counting (paper figure 8)",
    bounds: {},
    patches: [
      {
        file: "raft/leader.ts",
        find: "if (index <= log.commitIndex || log.term(index) !== term) return;",
        replace: "if (index <= log.commitIndex || term < 0) return;",
      },
    ],
  },
  {
    name: "heartbeat-commit-unmatched",
    about: "a heartbeat carries the commit index beyond what its receiver is known to hold",
    bounds: { heartbeats: true },
    patches: [
      {
        file: "raft/leader.ts",
        find: "const leaderCommit = Math.min(progress.match, core.log.commitIndex);",
        replace: "const leaderCommit = core.log.commitIndex;",
      },
    ],
  },
  {
    name: "append-ack-before-durable",
    about: "a follower acknowledges entries before they are on the disk",
    bounds: {},
    patches: [
      {
        file: "raft/follower.ts",
        find: "this.core.sendAfterPersist({ ...result, hintIndex: 0, hintTerm: 0 });",
        replace: "this.core.send({ ...result, hintIndex: 0, hintTerm: 0 });",
      },
    ],
  },
  {
    name: "leader-counts-undurable-self",
    about: "a leader counts its own copy before it is on the disk (etcd 14370)",
    bounds: { proposals: 1 },
    patches: [
      {
        file: "raft/replication.ts",
        find: "this.#progress.get(id)?.acknowledge(log.persistedIndex);",
        replace: "this.#progress.get(id)?.acknowledge(log.lastIndex);",
      },
    ],
  },
  {
    name: "aba-persisted",
    about: "the late end of a write counts for the entry that has replaced what it wrote",
    bounds: {},
    patches: [
      {
        file: "raft/readiness.ts",
        find: "write.lastIndex = Math.min(write.lastIndex, from - 1);",
        replace: "write.lastIndex += 0 * from;",
      },
    ],
  },
  {
    name: "torn-write-commits-replaced",
    about: "a commit index on the disk before the entries that it means have replaced others there",
    bounds: { crashes: 1, heartbeats: true },
    patches: [
      {
        file: "raft/readiness.ts",
        find: "const { writableCommit } = core.log;",
        replace: "const writableCommit = core.log.commitIndex;",
      },
    ],
  },
  {
    name: "change-before-noop",
    about: "a membership change before an entry of the term is committed (Ongaro 2015)",
    bounds: { changes: 1 },
    patches: [
      {
        file: "raft/leader.ts",
        find: "const pendingIndex = Math.max(this.#pendingConfIndex, this.#noopIndex);",
        replace: "const pendingIndex = Math.min(this.#pendingConfIndex, this.#noopIndex);",
      },
    ],
  },
  {
    name: "change-while-another-pends",
    about: "a second membership change before the first has been applied (thesis §4.1)",
    bounds: { changes: 2, elected: true },
    patches: [
      {
        file: "raft/leader.ts",
        find: "const pendingIndex = Math.max(this.#pendingConfIndex, this.#noopIndex);",
        replace: "const pendingIndex = this.#noopIndex;",
      },
    ],
  },
  {
    name: "change-applied-before-commit-durable",
    about: "a membership change is acted upon, and that it was committed is forgotten over a restart",
    bounds: { changes: 1, crashes: 1, elected: true },
    patches: [
      {
        file: "raft/raft-log.ts",
        find: 'if (entry.kind === "confChange" && entry.index > durableCommit) break;',
        replace: 'if (entry.kind === "confChange" && durableCommit < 0) break;',
      },
    ],
  },
  {
    name: "campaign-with-unapplied-change",
    about: "a campaign while a committed membership change is not applied (etcd 12133)",
    bounds: { changes: 1, elected: true },
    patches: [
      {
        file: "raft/core.ts",
        find: "return isVoter(this.config, this.id) && !this.log.hasUnappliedConfChange();",
        replace: "return isVoter(this.config, this.id);",
      },
    ],
  },
  {
    name: "joint-half-forgotten",
    about: "a joint configuration decides with the incoming majority alone (thesis §4.3)",
    bounds: { changes: 1, changeKind: "joint", elected: true },
    patches: [
      {
        file: "raft/quorum.ts",
        find: "return Math.min(incoming, majorityValue(config.votersOutgoing, valueOf));",
        replace: "return incoming;",
      },
    ],
  },
];
