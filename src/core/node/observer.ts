import type { Clock } from "./ports.ts";

/** What a node measures of its own work. Durations are in seconds of its clock. */
export type Measurement =
  /** From when a caller of this member proposed something until this member knew it to be committed. */
  | "proposeToCommit"
  /** ...until it was applied here, and the caller answered. */
  | "proposeToApply"
  /** A write of entries, and of what is written with them, until it was durable; waiting for earlier ones included. */
  | "logFlush"
  /** Commands that the state machine was given at once... */
  | "applyBatch"
  /** ...and what it took for them. */
  | "applyDuration"
  /** A snapshot was taken, and the log behind it dropped. */
  | "snapshotDuration"
  /** The bytes of one that was taken. */
  | "snapshotBytes"
  /** The state was replaced by a snapshot that came from the leader. */
  | "restoreDuration"
  /** Proposals that were refused because too many were waiting. Counted where they were refused. */
  | "rejectedProposals"
  /** Reads, and questions to the leader, that were refused because too many were waiting. */
  | "rejectedReads"
  /** An election that this member began: a term in which it stood. */
  | "elections"
  /** This member saw another leader than before. */
  | "leaderChanges";

/**
 * Told of every measurement, in the middle of the node's work: it must be quick, and must not throw. Where a
 * measurement is a number of things that happened, `value` is by how many.
 */
export type NodeObserver = (measurement: Measurement, value: number) => void;

/** Measures for an observer, and does nothing, not even look at the clock, where there is none. */
export class Meter {
  readonly #clock: Clock;
  readonly #observer: NodeObserver | null;

  constructor(clock: Clock, observer: NodeObserver | null) {
    this.#clock = clock;
    this.#observer = observer;
  }

  /** When something begins, for `since` or `between`. */
  nowMs(): number {
    return this.#observer === null ? 0 : this.#clock.nowMs();
  }

  record(measurement: Measurement, value: number): void {
    this.#observer?.(measurement, value);
  }

  since(measurement: Measurement, startMs: number): void {
    this.#observer?.(measurement, (this.#clock.nowMs() - startMs) / 1000);
  }

  between(measurement: Measurement, startMs: number, endMs: number): void {
    this.#observer?.(measurement, (endMs - startMs) / 1000);
  }
}
