import { assert } from "../errors/index.ts";
import type { LogIndex, Ready } from "../raft/index.ts";
import type { Applier } from "./applier.ts";
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
  readonly #host: ApplyLoopHost;
  /** Bounded by Raft's `maxUnappliedBytes`: a leader then takes no proposals, a follower no entries. */
  #queue: Ready[] = [];
  #running = false;

  constructor(applier: Applier<R>, persister: Persister, snapshots: SnapshotStore, host: ApplyLoopHost) {
    this.#applier = applier;
    this.#persister = persister;
    this.#snapshots = snapshots;
    this.#host = host;
  }

  push(ready: Ready): void {
    if (ready.committed.length === 0 && ready.snapshot === null) return;
    this.#queue.push(ready);
    if (this.#running) return;
    this.#running = true;
    this.#run().catch((error: unknown) => this.#host.fail(error));
  }

  async #run(): Promise<void> {
    for (let ready = this.#queue.shift(); ready !== undefined; ready = this.#queue.shift()) {
      if (this.#host.isStopped()) return;
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
    const info = (await this.#snapshots.list()).find(({ meta }) => meta.index === index);
    assert(info !== undefined, "an accepted snapshot is in the store");
    await this.#applier.restore(info, this.#snapshots.read(info));
    this.#host.restored(info);
  }
}
