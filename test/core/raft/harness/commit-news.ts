import type {
  LogIndex,
  NodeId,
  RaftEvent,
  RaftStatus,
  Ready,
  Term,
} from "../../../../src/core/raft/index.ts";

/**
 * What one node, as a leader, tells members of what is committed: within `commitNewsDelayMs`, and with the very next
 * Ready where somebody waits for it there. Only members that lack nothing else are looked at, since to the others it
 * goes with what they lack.
 */
export class CommitNews {
  readonly #delayMs: number;
  #term: Term = 0;
  /** The highest commit index sent to each. */
  readonly #told: Map<NodeId, LogIndex> = new Map();
  /** Since when each could have been told of a newer one. */
  readonly #untoldSinceMs: Map<NodeId, number> = new Map();
  /** What is waited for at each member, and at all. */
  readonly #awaited: Map<NodeId, LogIndex> = new Map();
  #awaitedByAll: LogIndex = 0;
  /** Older entries are being read for these; news waits until they are sent. */
  readonly #reading: Set<NodeId> = new Set();

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  /** The leader has appended what the event asks for; its answer goes to these members. */
  proposed(event: RaftEvent, lastIndex: LogIndex, term: Term): void {
    if (event.type !== "propose" || term !== this.#term) return;
    for (const node of event.awaitedBy ?? []) this.#awaited.set(node, lastIndex);
  }

  /** A Ready was taken, or there is nothing to do. @returns what is wrong. */
  collected(ready: Ready | null, status: RaftStatus, nowMs: number): string | null {
    if (status.role !== "leader") return null;
    if (status.term !== this.#term) this.#begin(status.term);
    if (ready !== null) this.#take(ready);
    for (const [id, { state, match }] of status.progress) {
      const problem =
        state === "replicate" && match === status.lastIndex && !this.#reading.has(id) && !status.asleep
          ? this.#problemOf(id, status.commitIndex, nowMs)
          : this.#excuse(id);
      if (problem !== null) return problem;
    }
    return null;
  }

  #begin(term: Term): void {
    this.#term = term;
    this.#awaitedByAll = 0;
    this.#reading.clear();
    for (const known of [this.#told, this.#untoldSinceMs, this.#awaited]) known.clear();
  }

  #take({ messages, entries, logReads }: Ready): void {
    for (const message of messages) {
      const { to, type } = message;
      if (type === "ReadIndexResult" && message.index !== null) {
        this.#awaited.set(to, Math.max(this.#awaited.get(to) ?? 0, message.index));
      }
      if (type === "AppendEntries" || type === "InstallSnapshot") this.#reading.delete(to);
      if (type === "AppendEntries" || type === "Heartbeat") {
        this.#told.set(to, Math.max(this.#told.get(to) ?? 0, message.leaderCommit));
      }
    }
    for (const { to } of logReads) this.#reading.add(to);
    for (const { kind, index } of entries) if (kind !== "command") this.#awaitedByAll = index;
  }

  #excuse(id: NodeId): null {
    this.#untoldSinceMs.delete(id);
    return null;
  }

  #problemOf(id: NodeId, commitIndex: LogIndex, nowMs: number): string | null {
    const told = this.#told.get(id) ?? 0;
    if (told >= commitIndex) return this.#excuse(id);
    const awaited = [this.#awaited.get(id) ?? 0, this.#awaitedByAll].filter((index) => index > told);
    const due = awaited.find((index) => index <= commitIndex);
    if (due !== undefined) return `somebody at ${id} waits for ${due}, and was told of ${told}`;
    const sinceMs = this.#untoldSinceMs.get(id) ?? nowMs;
    this.#untoldSinceMs.set(id, sinceMs);
    const heldMs = nowMs - sinceMs;
    if (heldMs < this.#delayMs) return null;
    return `has known for ${heldMs} ms that ${commitIndex} is committed, and told ${id} of ${told}`;
  }
}
