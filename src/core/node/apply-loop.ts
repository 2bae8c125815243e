import { assert } from "../errors/index.ts";
import type { LogIndex, Ready } from "../raft/index.ts";
import type { Applier } from "./applier.ts";
import type { Meter } from "./observer.ts";
import type { Persister } from "./persister.ts";
import type { SnapshotInfo, SnapshotStore } from "./ports.ts";

/** What applying sets off in the node around it. */
export interface ApplyLoopHost {
  readonly isStopped: () => boolean;
  /** The state was replaced by a snapshot. */
  readonly restored: (info: SnapshotInfo) => void;
  /** Everything up to here has been applied. */
  readonly applied: (index: LogIndex) => void;
  readonly fail: (error: unknown) => void;
}

/** Applies Readys one after the other, however long each takes; with a synchronous state machine in the same turn. */
export class ApplyLoop<R> {
  readonly #applier: Applier<R>;
  readonly #persister: Persister;
  readonly #snapshots: SnapshotStore;
  readonly #meter: Meter;
  readonly #host: ApplyLoopHost;
  /** Bounded by Raft's `maxUnappliedBytes`: a leader then takes no proposals, a follower no entries. */
  #queue: { readonly ready: Ready; readonly committedAtMs: number }[] = [];
  #committedAtMs = 0;
  #running = false;

  constructor(
    applier: Applier<R>,
    persister: Persister,
    snapshots: SnapshotStore,
    meter: Meter,
    host: ApplyLoopHost,
  ) {
    this.#applier = applier;
    this.#persister = persister;
    this.#snapshots = snapshots;
    this.#meter = meter;
    this.#host = host;
  }

  /** By the meter: since when this node has known that what is being applied is committed. */
  get committedAtMs(): number {
    return this.#committedAtMs;
  }

  push(ready: Ready): void {
    if (ready.committed.length === 0 && ready.snapshot === null) return;
    this.#queue.push({ ready, committedAtMs: this.#meter.nowMs() });
    if (this.#running) return;
    this.#running = true;
    this.#run().catch((error: unknown) => this.#host.fail(error));
  }

  async #run(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.#host.isStopped()) return;
      const { ready, committedAtMs } = next;
      this.#committedAtMs = committedAtMs;
      if (ready.snapshot !== null) await this.#restore(ready.snapshot.index);
      if (ready.committed.length > 0) await this.#applier.apply(ready.committed);
      if (this.#host.isStopped()) return;
      this.#host.applied(this.#applier.appliedIndex);
    }
    // In the same turn as the last look at the queue: what is put there from now on finds nobody at work.
    this.#running = false;
  }

  async #restore(index: LogIndex): Promise<void> {
    // Not before the log begins anew behind the snapshot: then a crash from here on finds both.
    await this.#persister.settled();
    const startedMs = this.#meter.nowMs();
    const info = (await this.#snapshots.list()).find(({ meta }) => meta.index === index);
    assert(info !== undefined, "an accepted snapshot is in the store");
    await this.#applier.restore(info, this.#snapshots.read(info));
    this.#meter.since("restoreDuration", startedMs);
    this.#host.restored(info);
  }
}
