import type { Revision } from "../kv/index.ts";
import type { Cancel, Clock, Logger } from "./ports.ts";

/** How much history is kept, by whichever member leads. */
export type AutoCompaction =
  /** So many milliseconds of it. */
  | { readonly mode: "periodic"; readonly retentionMs: number }
  /** So many revisions. */
  | { readonly mode: "revision"; readonly retention: number };

export interface AutoCompactorOptions {
  readonly wanted: AutoCompaction;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly state: () => {
    readonly isLeader: boolean;
    readonly revision: Revision;
    readonly compactRevision: Revision;
  };
  /** Proposes a compaction. */
  readonly compact: (revision: Revision) => Promise<unknown>;
}

const HOUR_MS = 3_600_000;
/** As etcd's (server/etcdserver/api/v3compactor/revision.go). */
const REVISION_INTERVAL_MS = 300_000;
/** Looks at the revision within a period, or an hour of it. */
const SAMPLES_PER_PERIOD = 10;
/** Looks that are remembered, however long the period is. */
const MAX_SAMPLES = 1000;

interface Sample {
  readonly atMs: number;
  readonly revision: Revision;
}

/**
 * Compacts history by itself, as etcd does with `--auto-compaction-retention`. Every member looks at the revision from
 * time to time, so that whoever comes to lead knows what it was a period ago; the leader alone proposes. A member that
 * was started anew knows no past, and compacts by time only after a whole period.
 */
export class AutoCompactor {
  readonly #options: AutoCompactorOptions;
  readonly #intervalMs: number;
  #samples: Sample[] = [];
  #isProposing = false;
  #timer: Cancel;

  constructor(options: AutoCompactorOptions) {
    this.#options = options;
    const { wanted } = options;
    this.#intervalMs =
      wanted.mode === "revision"
        ? REVISION_INTERVAL_MS
        : Math.max(
            Math.min(wanted.retentionMs, HOUR_MS) / SAMPLES_PER_PERIOD,
            wanted.retentionMs / MAX_SAMPLES,
          );
    this.#sample();
    this.#timer = this.#next();
  }

  stop(): void {
    this.#timer();
  }

  #next(): Cancel {
    return this.#options.clock.setTimer(this.#intervalMs, () => {
      this.#timer = this.#next();
      this.#sample();
      this.#compact();
    });
  }

  #sample(): void {
    const { wanted, clock, state } = this.#options;
    if (wanted.mode === "revision") return;
    const atMs = clock.nowMs();
    this.#samples.push({ atMs, revision: state().revision });
    // The newest of those that are old enough is the one to go by.
    const young = this.#samples.findIndex((sample) => sample.atMs > atMs - wanted.retentionMs);
    if (young > 1) this.#samples = this.#samples.slice(young - 1);
  }

  /** Everything before this revision may go; 0: nothing. */
  #target(revision: Revision): Revision {
    const { wanted, clock } = this.#options;
    if (wanted.mode === "revision") return revision - wanted.retention;
    const [oldest] = this.#samples;
    return oldest !== undefined && oldest.atMs <= clock.nowMs() - wanted.retentionMs ? oldest.revision : 0;
  }

  #compact(): void {
    const { isLeader, revision, compactRevision } = this.#options.state();
    const target = this.#target(revision);
    if (!isLeader || this.#isProposing || target <= Math.max(compactRevision, 1)) return;
    this.#isProposing = true;
    const { logger, compact } = this.#options;
    compact(target)
      .then(
        () => logger.log("info", "history compacted by itself", { revision: target }),
        // There is always a next time.
        (error: unknown) =>
          logger.log("debug", "history could not be compacted", { revision: target, error }),
      )
      .finally(() => (this.#isProposing = false));
  }
}
