import type { NodeId } from "./types.ts";

/** A read that waits until the leader has confirmed that it still leads. */
export interface PendingRead {
  readonly readId: bigint;
  /** Who asked: a follower, or null for this node itself. */
  readonly from: NodeId | null;
}

/** A read that may be answered once `index` is applied. */
export interface ConfirmedRead extends PendingRead {
  readonly index: number;
}

interface Batch {
  readonly round: number;
  readonly index: number;
  readonly reads: readonly PendingRead[];
}

/**
 * A leader's heartbeat rounds, the reads that ride on them (thesis §6.4), and the time each round was sent, from
 * which the leader lease is measured. A round's number is never used twice, so an answer confirms exactly the
 * reads that had begun before it was sent.
 */
export class Rounds {
  #current = 0;
  #sentAtMs: { round: number; atMs: number }[] = [];
  #waiting: PendingRead[] = [];
  #batches: Batch[] = [];
  #count = 0;

  /** Reads not answered yet. */
  get pendingReads(): number {
    return this.#count;
  }

  /** Reads wait for a round, and none is on its way that somebody waits for. */
  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#batches.length === 0;
  }

  add(read: PendingRead): void {
    this.#waiting.push(read);
    this.#count++;
  }

  /**
   * Begins a round. With a commit index, what waits goes with it and will be read at that index; without (the
   * leader has not committed in its term yet, so it may not know the newest commit) it waits on.
   */
  begin(nowMs: number, commitIndex: number | null): number {
    const round = ++this.#current;
    this.#sentAtMs.push({ round, atMs: nowMs });
    if (commitIndex !== null && this.#waiting.length > 0) {
      this.#batches.push({ round, index: commitIndex, reads: this.#waiting });
      this.#waiting = [];
    }
    return round;
  }

  /** A quorum has answered `round`, and with it every earlier one: the reads that this confirms. */
  confirm(round: number): ConfirmedRead[] {
    while (this.#sentAtMs.length > 1 && this.#sentAtMs[1]!.round <= round) this.#sentAtMs.shift();
    const confirmed: ConfirmedRead[] = [];
    while (this.#batches.length > 0 && this.#batches[0]!.round <= round) {
      const batch = this.#batches.shift()!;
      for (const read of batch.reads) confirmed.push({ ...read, index: batch.index });
    }
    this.#count -= confirmed.length;
    return confirmed;
  }

  /** When the newest round up to `round` was sent; undefined if there was none. */
  sentAtMs(round: number): number | undefined {
    return this.#sentAtMs.findLast((sent) => sent.round <= round)?.atMs;
  }

  /** The number of the round begun last. */
  get current(): number {
    return this.#current;
  }

  /** Everything unanswered, forgotten. */
  takeAll(): PendingRead[] {
    const reads = [...this.#batches.flatMap((batch) => batch.reads), ...this.#waiting];
    this.#batches = [];
    this.#waiting = [];
    this.#count = 0;
    return reads;
  }
}
