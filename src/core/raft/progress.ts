import { Inflights } from "./inflights.ts";
import type { RaftOptions } from "./config.ts";
import type { LogIndex } from "./types.ts";

/**
 * - `probe`: where the logs agree is not known; one message at a time.
 * - `replicate`: it is known; entries stream, as far as the window allows.
 * - `snapshot`: a snapshot is on its way; nothing else is sent.
 */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** What a leader knows about one member's log. `match < next` always. */
export class Progress {
  /** Known to be durable there. */
  match: LogIndex = 0;
  /** The next entry to send. */
  next: LogIndex;
  state: ProgressState = "probe";
  readonly inflights: Inflights;
  /** In probe: a message is out and unanswered. */
  probeSent = false;
  /** The snapshot on its way, in state `snapshot`. */
  pendingSnapshot: LogIndex = 0;
  /** The driver is reading entries for this member from the LogStore, from this index; 0 = no. */
  pendingLogRead: LogIndex = 0;
  /** The commit index most recently sent. */
  sentCommit: LogIndex = 0;
  /** When a newer one is sent by itself, unless something takes it along before; null: nothing is held back. */
  newsDueMs: number | null = null;
  /** Somebody at this member waits for this index to be committed: the news is not held back. */
  awaitedCommit: LogIndex = 0;
  /** Send an AppendEntries even if it is empty: something may have been lost. */
  resend = false;
  /** When anything came from this member in this term. */
  lastHeardMs: number;
  /** The highest heartbeat round it has answered. */
  ackedRound = 0;

  constructor(next: LogIndex, nowMs: number, options: RaftOptions) {
    this.next = next;
    this.lastHeardMs = nowMs;
    this.inflights = new Inflights(options.maxInflightMessages, options.maxInflightBytes);
  }

  isPaused(): boolean {
    if (this.pendingLogRead > 0) return true;
    if (this.state === "probe") return this.probeSent;
    return this.state === "snapshot" || this.inflights.isFull();
  }

  becomeProbe(): void {
    // After a snapshot was sent, what it contains need not be probed for.
    const afterSnapshot = this.state === "snapshot" ? this.pendingSnapshot + 1 : 0;
    this.#enter("probe");
    this.next = Math.max(this.match + 1, afterSnapshot);
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: LogIndex): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.probeSent = false;
    this.pendingSnapshot = 0;
    this.pendingLogRead = 0;
    this.resend = false;
    this.inflights.clear();
  }

  /** Records an acknowledgement; false if it says nothing new. */
  acknowledge(index: LogIndex): boolean {
    this.probeSent = false;
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    return true;
  }

  /**
   * Records that the member refused entries after `rejected` and suggests that the logs may agree at `hint`.
   * False if the refusal is stale: it answers an older message.
   */
  refuse(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      // What was in flight behind the refused message is refused as well: start again from what is known.
      this.becomeProbe();
      return true;
    }
    if (this.state === "snapshot" || this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.probeSent = false;
    this.pendingLogRead = 0;
    return true;
  }
}
