import type { KvResult } from "../kv/index.ts";
import { KvStore } from "../kv/index.ts";
import type { Clock } from "./ports.ts";
import type { AppliedCommand, StateMachine, StateSnapshot } from "./state-machine.ts";

/** Changes that one turn of compaction looks at: well under a millisecond. */
const COMPACTED_PER_TURN = 1000;

/** Told what happens to the state, in the same turn. */
export interface StateObserver {
  /** Commands have been applied; what they compacted has not been freed yet. */
  applied(): void;
  /** A snapshot has replaced everything. */
  restored(): void;
}

/** The built-in key-value store, as the driver wants a state machine. */
export class KvStateMachine implements StateMachine<KvResult> {
  readonly store: KvStore = new KvStore((id) => this.onLeaseChange(id));
  /** Told the id of every lease that comes or goes. */
  onLeaseChange: (id: bigint) => void = () => {};
  observer: StateObserver | null = null;
  readonly #clock: Clock;
  #compacted = 0;

  /** @param clock for taking turns with everything else; the state does not depend on it. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  applyChunk(commands: readonly AppliedCommand[]): readonly KvResult[] {
    const results = this.store.applyChunk(commands, () => this.observer?.applied());
    if (this.store.compactRevision !== this.#compacted) {
      this.#compacted = this.store.compactRevision;
      this.freeCompacted();
    }
    return results;
  }

  /**
   * What compaction has hidden is freed bit by bit, also when no further command comes to do it in passing. To be called
   * again when a snapshot has been released, since nothing is freed while there is one.
   */
  freeCompacted(): void {
    this.#clock.setTimer(0, () => {
      if (this.store.compactStep(COMPACTED_PER_TURN)) this.freeCompacted();
    });
  }

  snapshot(): StateSnapshot {
    const snapshot = this.store.snapshot();
    return {
      chunks: () => snapshot.chunks(),
      release: () => {
        snapshot.release();
        this.freeCompacted();
      },
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const restorer = this.store.restorer();
    for await (const chunk of chunks) restorer.push(chunk);
    restorer.finish();
    for (const { id } of this.store.leases()) this.onLeaseChange(id);
    this.observer?.restored();
  }
}
