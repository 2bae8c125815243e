import { AUTH_MUTANTS } from "./auth-mutants.ts";
import { DURABILITY_MUTANTS } from "./durability-mutants.ts";
import { LEASE_MUTANTS } from "./lease-mutants.ts";
import { ONCE_MUTANTS } from "./once-mutants.ts";
import { WATCH_MUTANTS } from "./watch-mutants.ts";
import type { Rewrite } from "./rewrite.ts";
import { SLEEP_MUTANTS } from "./sleep-mutants.ts";
import { SPACE_MUTANTS } from "./space-mutants.ts";

/** A bug that others shipped, or could have, planted in our own code. */
export interface Mutant {
  readonly name: string;
  readonly about: string;
  readonly rewrites: readonly Rewrite[];
  /** Found in a few runs: part of the quick subset. */
  readonly quick?: true;
  /** Where it is looked for, if not in the short and hard runs. */
  readonly draw?: "objects" | "users";
}

const RAFT = "src/core/raft";
const NODE = "src/core/node";

function mutant(name: string, about: string, file: string, find: string, replace: string): Mutant {
  return { name, about, rewrites: [{ file, find, replace }] };
}

function quick(mutant: Mutant): Mutant {
  return { ...mutant, quick: true };
}

export const MUTANTS: readonly Mutant[] = [
  // Votes
  quick(
    mutant(
      "votes-twice",
      "a vote is not remembered: two in one term (paper §5.2)",
      `${RAFT}/voting.ts`,
      "if (granted) core.vote = message.from;",
      "",
    ),
  ),
  mutant(
    "votes-for-stale-log",
    "a vote without comparing the logs (paper §5.4.1)",
    `${RAFT}/voting.ts`,
    "const granted = free && core.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);",
    "const granted = free;",
  ),
  mutant(
    "vote-sent-before-durable",
    "a vote leaves before it is on disk",
    `${RAFT}/voting.ts`,
    'core.sendAfterPersist({ type: "RequestVoteResult"',
    'core.send({ type: "RequestVoteResult"',
  ),
  mutant(
    "vote-forgotten-at-restart",
    "a restart forgets the vote (camunda 5356)",
    `${NODE}/recovery.ts`,
    "vote: behind ? null : stored.vote,",
    "vote: null,",
  ),
  mutant(
    "step-down-clears-vote",
    "stepping down in the same term clears the vote (CCF 8094)",
    `${RAFT}/raft.ts`,
    "core.term = term;\n      core.vote = null;\n    }",
    "core.term = term;\n    }\n    core.vote = null;",
  ),
  mutant(
    "votes-despite-leader",
    "votes although a leader was heard a moment ago: leases mean nothing (thesis §6.4.1)",
    `${RAFT}/voting.ts`,
    "return isLeader || core.nowMs - core.lastLeaderContactMs < core.options.electionTimeoutMs;",
    "return false;",
  ),
  mutant(
    "smaller-term-stuck",
    "nobody answers a leader of an older term: a node with a higher term never comes back (etcd 8243)",
    `${RAFT}/raft.ts`,
    'core.sendAfterPersist({\n          type: "AppendEntriesResult",',
    '(() => {})();\n        void ({\n          type: "AppendEntriesResult",',
  ),
  mutant(
    "campaigns-with-unapplied-change",
    "campaigns with a committed membership change not applied (etcd 12133)",
    `${RAFT}/core.ts`,
    "&& !this.log.hasUnappliedConfChange()",
    "",
  ),
  // Log and commit
  mutant(
    "commits-old-term-by-counting",
    "entries of earlier terms committed by counting (paper figure 8)",
    `${RAFT}/leader.ts`,
    "|| log.term(index) !== term) return;",
    ") return;",
  ),
  mutant(
    "heartbeat-commits-unmatched",
    "a heartbeat's commit index is not bounded by what the member is known to hold",
    `${RAFT}/leader.ts`,
    "const leaderCommit = Math.min(progress.match, core.log.commitIndex);",
    "const leaderCommit = core.log.commitIndex;",
  ),
  quick(
    mutant(
      "acknowledges-before-durable",
      "an append is acknowledged before it is on disk",
      `${RAFT}/follower.ts`,
      "this.core.sendAfterPersist({ ...result, hintIndex: 0, hintTerm: 0 });",
      "this.core.send({ ...result, hintIndex: 0, hintTerm: 0 });",
    ),
  ),
  mutant(
    "leader-counts-itself-early",
    "a leader counts its own copy before it is durable (etcd 14370 with one voter)",
    `${RAFT}/replication.ts`,
    "acknowledge(log.persistedIndex);",
    "acknowledge(log.lastIndex);",
  ),
  mutant(
    "aba",
    "the write of a truncated entry makes its successor count as durable",
    `${RAFT}/readiness.ts`,
    "for (const write of this.#inflight) write.lastIndex = Math.min(write.lastIndex, from - 1);",
    "",
  ),
  mutant(
    "duplicate-shortens-log",
    "an old append that comes again cuts off what followed it",
    `${RAFT}/raft-log.ts`,
    "const conflict = entries.findIndex((entry) => this.term(entry.index) !== entry.term);",
    "const conflict = entries.length > 0 && this.lastIndex > this.#commit && entries[0]!.index > this.#commit ? 0 : entries.findIndex((entry) => this.term(entry.index) !== entry.term);",
  ),
  mutant(
    "even-quorum",
    "half of an even number of voters is taken for a majority",
    `${RAFT}/quorum.ts`,
    "return values[values.length >> 1]!;",
    "return values[(values.length - 1) >> 1]!;",
  ),
  mutant(
    "heartbeat-answered-before-durable",
    "a heartbeat is answered in a term that is not on disk",
    `${RAFT}/follower.ts`,
    "if (core.durable.term === core.term) core.send(result);\n    else core.sendAfterPersist(result);",
    "core.send(result);",
  ),
  // Membership
  mutant(
    "learner-counted",
    "learners count towards the quorum",
    `${RAFT}/quorum.ts`,
    "const incoming = majorityValue(config.voters, valueOf);",
    "const incoming = majorityValue([...config.voters, ...config.learners], valueOf);",
  ),
  mutant(
    "several-changes-at-once",
    "a membership change is proposed while another is not applied (thesis §4.1)",
    `${RAFT}/leader.ts`,
    "if (pendingIndex > log.appliedIndex) return",
    "if (pendingIndex < 0) return",
  ),
  mutant(
    "change-committed-not-durably",
    "a membership change is applied though a restart forgets that it was committed",
    `${RAFT}/raft-log.ts`,
    'if (entry.kind === "confChange" && entry.index > durableCommit) break;',
    "",
  ),
  mutant(
    "snapshot-keeps-config",
    "installing a snapshot keeps the old configuration (openraft 1808)",
    `${RAFT}/follower.ts`,
    "core.config = snapshot.config;",
    "",
  ),
  mutant(
    "config-forgotten-at-restart",
    "a restart forgets the membership changes after the snapshot (camunda 62837)",
    `${NODE}/recovery.ts`,
    "config = next;\n",
    "",
  ),
  mutant(
    "promotion-brings-back",
    "a promotion that a removal has overtaken brings the member back (our own, found by seed 1181)",
    `${NODE}/proposal-router.ts`,
    "if (!steps.every(({ node }) => known.has(node))) return",
    "if (known.size === 0) return",
  ),
  // Snapshots
  mutant(
    "snapshot-keeps-divergent-log",
    "a snapshot is skipped because the log is long enough, though it differs (openraft 753)",
    `${RAFT}/follower.ts`,
    "if (core.log.term(snapshot.index) === snapshot.term) {",
    "if (core.log.lastIndex >= snapshot.index) {",
  ),
  mutant(
    "snapshot-index-not-atomic",
    "the state in a snapshot is newer than its index says (etcd 13766)",
    `${NODE}/snapshotter.ts`,
    "const state = applier.stateMachine.snapshot();",
    "await new Promise<void>((resolve) => this.#clock.setTimer(20, resolve));\n    const state = applier.stateMachine.snapshot();",
  ),
  mutant(
    "snapshot-ahead-of-log",
    "a snapshot is taken of what the log on disk does not hold yet",
    `${NODE}/snapshotter.ts`,
    "return !this.#applier.isBusy && this.#applier.appliedIndex <= this.#host.stored().persistedIndex;",
    "return !this.#applier.isBusy;",
  ),
  // Reads
  mutant(
    "read-before-own-entry",
    "a new leader answers reads before an entry of its term is committed (etcd 7331)",
    `${RAFT}/leader.ts`,
    "return this.#core.log.commitIndex >= this.#noopIndex;",
    "return true;",
  ),
  mutant(
    "read-joins-older-round",
    "a read is confirmed by a heartbeat that was sent before it came (etcd 20418)",
    `${RAFT}/rounds.ts`,
    "this.#waiting.push(read);",
    "const last = this.#batches.at(-1);\n    if (last === undefined) this.#waiting.push(read);\n    else (last.reads as PendingRead[]).push(read);",
  ),
  quick(
    mutant(
      "read-before-applied",
      "a read is answered before the state has reached its index",
      `${NODE}/reads.ts`,
      "else if (index <= appliedIndex) for (const waiter of batch.waiters) waiter.resolve();",
      "else if (index >= 0) for (const waiter of batch.waiters) waiter.resolve();",
    ),
  ),
  mutant(
    "lease-from-answer",
    "the lease is measured from when the answers came, not from when the round was sent",
    `${RAFT}/leader.ts`,
    "const sentAtMs = this.#rounds.sentAtMs(round);",
    "const sentAtMs: number | undefined = this.#quorumHeardMs();",
  ),
  mutant(
    "lease-over-transfer",
    "the lease goes on after leadership was handed over",
    `${RAFT}/leader.ts`,
    "|| this.#transfer.timeoutNowSent ||",
    "||",
  ),
  // The driver
  quick(
    mutant(
      "driver-sends-before-persist",
      "the driver sends everything at once, durable or not",
      `${NODE}/raft-node.ts`,
      "this.#ownership.send(ready.messages);",
      "this.#ownership.send([...ready.messages, ...ready.messagesAfterPersist]);",
    ),
  ),
  mutant(
    "failed-write-ignored",
    "a write that failed counts as done (ATC'20)",
    `${NODE}/persister.ts`,
    "(error: unknown) => this.#onFailure(error),",
    "() => {\n        write.done = true;\n        this.#writing--;\n        this.#report();\n      },",
  ),
  mutant(
    "proposal-offered-twice",
    "a proposal is offered again though its first leader may have committed it (Jepsen: jetcd)",
    `${NODE}/proposals.ts`,
    "if (pending.sentIn === null || pending.sentIn >= term) continue;",
    "if (pending.sentIn === null) continue;",
  ),
  mutant(
    "forward-taken-twice",
    "a forwarded proposal whose frame comes twice is taken twice",
    `${NODE}/proposal-router.ts`,
    "if (!this.#window.take(term, id)) return;",
    "this.#window.take(term, id);",
  ),
  mutant(
    "hard-state-not-awaited",
    "entries are acknowledged before the term they were accepted in is durable (cockroach 143271)",
    `${NODE}/persister.ts`,
    "if (hardState !== null) await storage.meta.saveHardState(hardState);",
    "if (hardState !== null) void storage.meta.saveHardState(hardState).catch(() => {});",
  ),
  mutant(
    "batch-over-limit",
    "the limit of uncommitted bytes does not hold for what comes at once (our own, found by seed 21)",
    `${NODE}/proposal-router.ts`,
    "if (runBytes + command.length > maxUncommittedBytes) flushRun();",
    "",
  ),
  ...DURABILITY_MUTANTS,
  ...LEASE_MUTANTS,
  ...SPACE_MUTANTS,
  ...ONCE_MUTANTS,
  ...AUTH_MUTANTS,
  ...WATCH_MUTANTS,
  ...SLEEP_MUTANTS,
];

/** @throws Error for a name that there is none of. */
export function mutantRewrites(name: string): readonly Rewrite[] {
  const found = MUTANTS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no such planted bug: ${name}`);
  return found.rewrites;
}
