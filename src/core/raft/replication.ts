import { members } from "./cluster-config.ts";
import type { Core } from "./core.ts";
import type { AppendEntriesResult } from "./messages.ts";
import { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import { entriesBytes } from "./raft-log.ts";
import type { Entry, LogIndex, NodeId, Term } from "./types.ts";

/** A leader's view of every member's log, and the sending of entries (paper §5.3, thesis §10.2.1). */
export class Replication {
  readonly #core: Core;
  readonly #progress: Map<NodeId, Progress> = new Map();
  /** News that this index is committed is held back from nobody. */
  #awaitedByAll: LogIndex = 0;

  constructor(core: Core) {
    this.#core = core;
    this.onConfig();
  }

  get(node: NodeId): Progress | undefined {
    return this.#progress.get(node);
  }

  /** Every member but this node. */
  *peers(): IterableIterator<[NodeId, Progress]> {
    for (const entry of this.#progress) if (entry[0] !== this.#core.id) yield entry;
  }

  hasPeers(): boolean {
    return this.#progress.size > (this.#progress.has(this.#core.id) ? 1 : 0);
  }

  /** Makes the set of tracked members that of the configuration. */
  onConfig(): void {
    const { config, log, nowMs, options } = this.#core;
    const present = members(config);
    for (const node of this.#progress.keys()) if (!present.includes(node)) this.#progress.delete(node);
    for (const node of present) {
      // A new member counts as just heard from: it must not cost the leader its quorum at once.
      if (!this.#progress.has(node))
        this.#progress.set(node, new Progress(log.lastIndex + 1, nowMs, options));
    }
    this.onPersisted();
  }

  /** This node's own copy counts once it is durable (thesis §10.2.1). */
  onPersisted(): void {
    const { id, log } = this.#core;
    this.#progress.get(id)?.acknowledge(log.persistedIndex);
  }

  /** The index that a quorum holds durably. */
  quorumMatch(): LogIndex {
    return quorumValue(this.#core.config, (node) => this.#progress.get(node)?.match ?? 0);
  }

  /** Sends every member what it lacks, as far as its window allows. */
  flush(): void {
    for (const [to, progress] of this.peers()) this.#flushTo(to, progress);
  }

  #flushTo(to: NodeId, progress: Progress): void {
    const { log } = this.#core;
    // The window bounds this loop: every pass either pauses the member or sends entries that fill it.
    while (!progress.isPaused() && progress.next <= log.lastIndex) {
      if (!this.#sendNext(to, progress)) return;
    }
    const newsIsDue = this.#newsIsDue(progress);
    if ((progress.resend || newsIsDue) && progress.state !== "snapshot" && progress.pendingLogRead === 0) {
      if (progress.state === "replicate" || !progress.probeSent) this.#sendEmpty(to, progress);
    }
  }

  /** Whether there is a newer commit index to be told, now and by itself; what can wait is given a time. */
  #newsIsDue(progress: Progress): boolean {
    const { log, nowMs, options } = this.#core;
    // It is not worth reading the log for: behind a full window it goes with what comes next.
    const canBeTold =
      progress.state === "replicate" &&
      progress.pendingLogRead === 0 &&
      log.term(progress.next - 1) !== undefined;
    if (!canBeTold || progress.sentCommit >= log.commitIndex) {
      progress.newsDueMs = null;
      return false;
    }
    progress.newsDueMs ??= nowMs + options.commitNewsDelayMs;
    const awaited = Math.max(progress.awaitedCommit, this.#awaitedByAll);
    return progress.sentCommit < awaited || nowMs >= progress.newsDueMs;
  }

  /** When news of the commit index has been held back for long enough; null: none is. */
  newsDueMs(): number | null {
    let dueMs: number | null = null;
    for (const [, progress] of this.peers()) {
      if (progress.newsDueMs !== null) dueMs = Math.min(dueMs ?? progress.newsDueMs, progress.newsDueMs);
    }
    return dueMs;
  }

  /** Sends the news that has been held back for long enough. */
  onDeadline(): void {
    const { nowMs } = this.#core;
    for (const [to, progress] of this.peers()) {
      if (progress.newsDueMs !== null && nowMs >= progress.newsDueMs) this.#flushTo(to, progress);
    }
  }

  /** Somebody waits for this index to be committed: at that member, or at every one. */
  awaitCommit(index: LogIndex, node?: NodeId): void {
    // Otherwise nothing is held back in the first place.
    if (this.#core.options.commitNewsDelayMs === 0) return;
    if (node === undefined) {
      this.#awaitedByAll = index;
      return;
    }
    const progress = this.#progress.get(node);
    if (progress !== undefined) progress.awaitedCommit = Math.max(progress.awaitedCommit, index);
  }

  /** A heartbeat goes to the member, and takes the news along. Should it be lost, the next one does. */
  onHeartbeat(progress: Progress, leaderCommit: LogIndex): void {
    if (progress.newsDueMs === null || leaderCommit < this.#core.log.commitIndex) return;
    progress.sentCommit = leaderCommit;
    progress.newsDueMs = null;
  }

  /** One AppendEntries with entries, or what has to come before it. False if nothing more can be sent now. */
  #sendNext(to: NodeId, progress: Progress): boolean {
    const { log, options } = this.#core;
    const prevTerm = log.term(progress.next - 1);
    const entries = log.entriesFrom(progress.next, options.maxAppendBytes);
    if (prevTerm === undefined || entries === undefined) {
      this.#reachBack(to, progress);
      return false;
    }
    this.#sendEntries(to, progress, prevTerm, entries);
    return true;
  }

  #sendEntries(to: NodeId, progress: Progress, prevLogTerm: Term, entries: readonly Entry[]): void {
    const { log } = this.#core;
    const prevLogIndex = progress.next - 1;
    this.#core.send({
      type: "AppendEntries",
      to,
      prevLogIndex,
      prevLogTerm,
      entries,
      leaderCommit: log.commitIndex,
    });
    progress.sentCommit = log.commitIndex;
    progress.newsDueMs = null;
    progress.resend = false;
    if (progress.state === "probe") {
      progress.probeSent = true;
      return;
    }
    progress.next += entries.length;
    if (entries.length > 0) progress.inflights.add(progress.next - 1, entriesBytes(entries));
  }

  #sendEmpty(to: NodeId, progress: Progress): void {
    const prevTerm = this.#core.log.term(progress.next - 1);
    if (prevTerm === undefined) this.#reachBack(to, progress);
    else this.#sendEntries(to, progress, prevTerm, []);
  }

  /** What the member needs is not in memory: the LogStore has it, or only a snapshot does. */
  #reachBack(to: NodeId, progress: Progress): void {
    const { log, options } = this.#core;
    progress.newsDueMs = null;
    if (progress.next - 1 >= log.compacted.index) {
      progress.pendingLogRead = progress.next;
      this.#core.logReads.push({ to, from: progress.next, maxBytes: options.maxAppendBytes });
    } else this.#sendSnapshot(to, progress);
  }

  #sendSnapshot(to: NodeId, progress: Progress): void {
    const { log, nowMs, options } = this.#core;
    // Not to a member that is not there: it would hold a snapshot open for nothing.
    if (nowMs - progress.lastHeardMs > options.electionTimeoutMs) return;
    progress.becomeSnapshot(log.compacted.index);
    this.#core.send({ type: "InstallSnapshot", to, snapshot: log.compacted });
  }

  /** Entries that the driver read from the LogStore. */
  onLogRead(to: NodeId, from: LogIndex, prevTerm: Term, entries: readonly Entry[]): void {
    const progress = this.#progress.get(to);
    if (progress === undefined || progress.pendingLogRead !== from) return;
    progress.pendingLogRead = 0;
    // An acknowledgement may have come meanwhile, and made the read needless.
    if (progress.next !== from || entries.length === 0) return;
    // Behind a full window it was read to find out whether what is in flight has arrived.
    this.#sendEntries(to, progress, prevTerm, progress.isPaused() ? [] : entries);
  }

  /** The LogStore no longer has them. */
  onLogReadCompacted(to: NodeId, from: LogIndex): void {
    const progress = this.#progress.get(to);
    if (progress === undefined || progress.pendingLogRead !== from) return;
    progress.pendingLogRead = 0;
    if (progress.next - 1 < this.#core.log.compacted.index) this.#sendSnapshot(to, progress);
  }

  onAppendEntriesResult(message: AppendEntriesResult, progress: Progress): void {
    if (message.success) this.#onAccepted(message, progress);
    else this.#onRefused(message, progress);
  }

  #onAccepted(message: AppendEntriesResult, progress: Progress): void {
    // Nobody can hold more than this leader has: not a claim to act on.
    if (message.matchIndex > this.#core.log.lastIndex) return;
    const news = progress.acknowledge(message.matchIndex);
    switch (progress.state) {
      case "probe":
        if (news || message.matchIndex === progress.match) progress.becomeReplicate();
        return;
      case "snapshot":
        // Caught up to where the log can go on, by the snapshot or without it.
        if (progress.match >= this.#core.log.compacted.index) progress.becomeReplicate();
        return;
      case "replicate":
        progress.inflights.freeTo(message.matchIndex);
    }
  }

  #onRefused(message: AppendEntriesResult, progress: Progress): void {
    let hint = message.hintIndex;
    // Conflict back-off by term: skip everything here that has a later term than the follower's (paper §5.3).
    if (message.hintTerm > 0) hint = this.#core.log.lastAgreementCandidate(hint, message.hintTerm, 0).index;
    progress.refuse(message.matchIndex, hint);
  }

  onSnapshotReport(to: NodeId, ok: boolean): void {
    const progress = this.#progress.get(to);
    if (progress?.state !== "snapshot") return;
    if (!ok) progress.pendingSnapshot = 0;
    progress.becomeProbe();
    // The member's own answer says where to go on; until then, or the next heartbeat, wait.
    progress.probeSent = true;
  }

  onUnreachable(node: NodeId): void {
    const progress = this.#progress.get(node);
    // What was in flight is probably lost.
    if (progress?.state === "replicate") progress.becomeProbe();
  }
}
