import { assert } from "../errors/index.ts";
import type { Core } from "./core.ts";
import type { LogReplacement } from "./follower.ts";
import type { Ready, SoftState } from "./ready.ts";
import type { HardState, LogIndex, Role, SnapshotMeta } from "./types.ts";

/** What one Ready under way claims to make durable. */
interface Inflight {
  readonly number: number;
  readonly hardState: HardState | null;
  /** The log is durable up to here once it is done, unless something truncates it meanwhile. */
  lastIndex: LogIndex;
}

/**
 * Assembles numbered Readys, and keeps account of those in persistence. The account survives the ABA of
 * asynchronous storage: an entry that was truncated and written again is durable only when its *second* write is.
 */
export class Readiness implements LogReplacement {
  #number = 0;
  #inflight: Inflight[] = [];
  #snapshot: SnapshotMeta | null = null;
  #emittedHardState: HardState;
  #emittedSoftState: SoftState = { role: "follower", leaderId: null };

  constructor(hardState: HardState) {
    this.#emittedHardState = hardState;
  }

  truncated(from: LogIndex): void {
    for (const write of this.#inflight) write.lastIndex = Math.min(write.lastIndex, from - 1);
  }

  restored(snapshot: SnapshotMeta): void {
    for (const write of this.#inflight) write.lastIndex = 0;
    this.#snapshot = snapshot;
  }

  /** Everything there is to do now, or null. */
  collect(core: Core, role: Role): Ready | null {
    const { writableCommit } = core.log;
    const entries = core.log.takeUnpersisted();
    const snapshot = this.#snapshot;
    const writes = entries.length > 0 || snapshot !== null;
    const hardState = this.#hardStateToWrite(core, writableCommit, writes);
    const softState = this.#softStateNews(core, role);
    const committed = core.log.takeCommitted(core.options.maxCommittedBytes, core.durable.commit);
    const nothing =
      entries.length === 0 &&
      snapshot === null &&
      hardState === null &&
      softState === null &&
      committed.length === 0 &&
      core.messages.length === 0 &&
      core.messagesAfterPersist.length === 0 &&
      core.readStates.length === 0 &&
      core.logReads.length === 0;
    if (nothing) return null;
    const number = ++this.#number;
    const { messages, readStates, logReads } = core;
    // What was promised may rest on entries that come with the next Ready only.
    const messagesAfterPersist = core.log.isEmitted ? core.messagesAfterPersist : [];
    core.messages = [];
    if (core.log.isEmitted) core.messagesAfterPersist = [];
    core.readStates = [];
    core.logReads = [];
    this.#snapshot = null;
    const lastIndex = entries.at(-1)?.index ?? snapshot?.index ?? 0;
    this.#inflight.push({ number, hardState, lastIndex });
    return {
      number,
      softState,
      hardState,
      entries,
      snapshot,
      messages,
      messagesAfterPersist,
      committed,
      readStates,
      logReads,
    };
  }

  /**
   * Term and vote are written whenever they change. The commit index costs a write of its own only when a
   * membership change waits for it; otherwise it rides along with entries. So a log that holds a change proposed
   * after another also holds the knowledge that the other was committed.
   */
  #hardStateToWrite(core: Core, commit: LogIndex, writesAnyway: boolean): HardState | null {
    const { term, vote, log } = core;
    const before = this.#emittedHardState;
    const commitMatters = writesAnyway || log.awaitsDurableCommit(core.durable.commit);
    const changed = term !== before.term || vote !== before.vote;
    if (!changed && !(commitMatters && commit > before.commit)) return null;
    this.#emittedHardState = { term, vote, commit };
    return this.#emittedHardState;
  }

  #softStateNews(core: Core, role: Role): SoftState | null {
    const { leaderId } = core;
    if (this.#emittedSoftState.role === role && this.#emittedSoftState.leaderId === leaderId) return null;
    this.#emittedSoftState = { role, leaderId };
    return this.#emittedSoftState;
  }

  /** The Ready's writes are durable. */
  persisted(core: Core, number: number): void {
    const write = this.#inflight.shift();
    assert(write?.number === number, "Readys become durable in order, each once");
    if (write.hardState !== null) core.durable = write.hardState;
    if (write.lastIndex > 0) core.log.persistedTo(write.lastIndex);
  }
}
