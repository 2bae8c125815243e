import type { Rewrite } from "./rewrite.ts";

/** A branch that few runs reach, and the place in the code that reaching it means. */
interface Mark {
  readonly name: string;
  readonly file: string;
  /** A statement of that branch; the mark goes before it. */
  readonly at: string;
}

const RAFT = "src/core/raft";
const NODE = "src/core/node";

/** The branches worth knowing about: if no run reaches one, the runs show nothing about it. */
const MARKS: readonly Mark[] = [
  {
    name: "leader steps down without a quorum",
    file: `${RAFT}/leader.ts`,
    at: "return core.become.follow(core.term, null);\n    this.#transfer",
  },
  { name: "leader goes to sleep", file: `${RAFT}/leader.ts`, at: "this.#beginRound(true);" },
  {
    name: "group woken by who was away",
    file: `${RAFT}/leader.ts`,
    at: "core.asleep = false;\n      this.onWake();",
  },
  {
    name: "proposals refused: back-pressure",
    file: `${RAFT}/leader.ts`,
    at: 'return { ok: false, rejection: { reason: "backPressure"',
  },
  {
    name: "membership change refused: one pending",
    file: `${RAFT}/leader.ts`,
    at: 'return { reason: "confChangePending"',
  },
  {
    name: "learner refused: not caught up",
    file: `${RAFT}/leader.ts`,
    at: 'return { reason: "learnerNotReady"',
  },
  {
    name: "leader removed from its group",
    file: `${RAFT}/leader.ts`,
    at: "return core.become.follow(core.term, null);\n    progress.probeSent",
  },
  {
    name: "conflicting suffix truncated",
    file: `${RAFT}/raft-log.ts`,
    at: "this.#truncate(from);\n      onTruncate",
  },
  {
    name: "apply waits for a durable commit",
    file: `${RAFT}/raft-log.ts`,
    at: "break;\n      bytes += entryBytes(entry);\n      if (bytes > maxBytes && end > this.#handedOut)",
  },
  {
    name: "tail trimmed",
    file: `${RAFT}/raft-log.ts`,
    at: "this.#offsetTerm = this.#tail[count - 1]!.term;",
  },
  { name: "snapshot restored by the core", file: `${RAFT}/follower.ts`, at: "core.log.restore(snapshot);" },
  {
    name: "snapshot skipped: the log has it",
    file: `${RAFT}/follower.ts`,
    at: "core.log.commitTo(snapshot.index);",
  },
  {
    name: "stale append below the commit index",
    file: `${RAFT}/follower.ts`,
    at: "return this.#acknowledge(message.from, log.commitIndex);\n    // Dropped",
  },
  { name: "election by transfer", file: `${RAFT}/follower.ts`, at: 'this.core.become.campaign("transfer")' },
  {
    name: "answer from a lower term",
    file: `${RAFT}/raft.ts`,
    at: 'core.sendAfterPersist({\n          type: "AppendEntriesResult"',
  },
  {
    name: "vote refused: a leader was heard",
    file: `${RAFT}/raft.ts`,
    at: "return false;\n        this.#follow(message.term, null);\n        return true;",
  },
  {
    name: "config change skipped while restoring",
    file: `${RAFT}/raft.ts`,
    at: "return { ok: true, config: core.config };\n    const config",
  },
  {
    name: "entries read from the store for a laggard",
    file: `${RAFT}/replication.ts`,
    at: "progress.pendingLogRead = progress.next;",
  },
  {
    name: "log read came too late",
    file: `${RAFT}/replication.ts`,
    at: "return;\n    // Behind a full window",
  },
  {
    name: "snapshot needed",
    file: `${RAFT}/replication.ts`,
    at: "progress.becomeSnapshot(log.compacted.index);",
  },
  {
    name: "refusal answered by backing off",
    file: `${RAFT}/replication.ts`,
    at: "let hint = message.hintIndex;",
  },
  {
    name: "write under way truncated (ABA)",
    file: `${RAFT}/readiness.ts`,
    at: "for (const write of this.#inflight) write.lastIndex = Math.min",
  },
  {
    name: "transfer given up",
    file: `${RAFT}/transfer.ts`,
    at: "this.#target = null;\n    this.#deadlineMs = null;",
  },
  {
    name: "proposal offered again after a change of leaders",
    file: `${NODE}/proposals.ts`,
    at: "this.#renew(pending);\n      this.#unsent.push",
  },
  {
    name: "proposal lost from sight by a snapshot",
    file: `${NODE}/proposals.ts`,
    at: 'waiter.fail("leaderChanged")',
  },
  { name: "read asked again", file: `${NODE}/reads.ts`, at: "this.#queued[policy].push(...waiters);" },
  {
    name: "installation finished after a crash",
    file: `${NODE}/recovery.ts`,
    at: "await storage.log.reset(meta.index, meta.term);",
  },
  {
    name: "snapshot transfer resumed",
    file: `${NODE}/snapshot-sender.ts`,
    at: "answer = await this.#stream(",
  },
  {
    name: "snapshot copied by its name",
    file: `${NODE}/snapshot-receiver.ts`,
    at: 'return this.#logger.log("info", "snapshot copied by its name"',
  },
  {
    name: "snapshot not copied by its name",
    file: `${NODE}/snapshot-receiver.ts`,
    at: "this.#nameless = offer.transferId;",
  },
  {
    name: "snapshot transfer replaced",
    file: `${NODE}/snapshot-receiver.ts`,
    at: "this.#incoming = null;\n    await present?.writer.abort();",
  },
  {
    name: "disk failed under a node",
    file: `${NODE}/raft-node.ts`,
    at: "const broken = error instanceof AssertionError",
  },
  {
    name: "alarm raised: the store is full",
    file: `${NODE}/quota.ts`,
    at: "this.#raising ??= this.#host.raise()",
  },
];

export const MARK_NAMES: readonly string[] = MARKS.map(({ name }) => name);

const CALL = "(globalThis as { simMark?: (name: string) => void }).simMark?.";

/** The changes by which each of those places tells when it is reached. */
export function markRewrites(): Rewrite[] {
  return MARKS.map(({ name, file, at }) => {
    // A statement after `if (...)` on the same line needs braces, which an expression before a comma does not.
    const call = `${CALL}(${JSON.stringify(name)})`;
    return { file, find: at, replace: withMark(at, call) };
  });
}

function withMark(at: string, call: string): string {
  const end = at.indexOf("\n");
  const first = end < 0 ? at : at.slice(0, end);
  const rest = end < 0 ? "" : at.slice(end);
  if (/^return\b/.test(first)) {
    const value = first.slice("return".length).trim();
    if (value === ";") return `{ ${call}; return; }${rest}`;
    return `return ${call}, ${value}${rest}`;
  }
  if (first.startsWith("break;")) return `{ ${call}; break; }${rest}`;
  if (/^(const|let|for) /.test(first)) return `${call};\n${first}${rest}`;
  if (/^(await|answer =)/.test(first)) return `${call};\n${first}${rest}`;
  return `${call}, ${first}${rest}`;
}

/** Counts the marks that are reached from now on. */
export function countMarks(): Map<string, number> {
  const counts = new Map<string, number>();
  (globalThis as { simMark?: (name: string) => void }).simMark = (name) => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  return counts;
}
