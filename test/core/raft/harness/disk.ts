import { entryBytes } from "../../../../src/core/raft/index.ts";
import type {
  Entry,
  HardState,
  LogIndex,
  Message,
  Ready,
  SnapshotMeta,
  Term,
} from "../../../../src/core/raft/index.ts";
import type { StateMachine } from "./state-machine.ts";
import { StoredLog } from "./stored-log.ts";

/** A message that waits for the disk, and the term of the log at the index that it acknowledges, if it does. */
export interface HeldMessage {
  readonly message: Message;
  readonly promisedTerm: Term | undefined;
}

/** The writes of one Ready on their way to the disk. */
export interface PendingWrite {
  readonly ready: Ready;
  /** The state that comes with `ready.snapshot`. */
  readonly snapshotState: StateMachine | null;
  readonly held: readonly HeldMessage[];
}

/** How far the write that a crash interrupts got. A Ready's parts become durable in this order. */
export type TornAt = "nothing" | "snapshot" | "hardState";

/** A node's disk: what is durable, and what is on its way there, in order. */
export class Disk {
  hardState: HardState;
  /** The newest snapshot. */
  snapshot: { readonly meta: SnapshotMeta; readonly state: StateMachine };
  readonly log: StoredLog;
  pending: PendingWrite[] = [];

  constructor(hardState: HardState, meta: SnapshotMeta, state: StateMachine) {
    this.hardState = hardState;
    this.snapshot = { meta, state };
    this.log = new StoredLog(meta);
  }

  /** Makes the oldest write durable. */
  persistNext(): PendingWrite {
    const write = this.pending.shift();
    if (write === undefined) throw new Error("nothing waits to be persisted");
    this.#writeSnapshot(write);
    this.#writeHardState(write);
    this.log.append(write.ready.entries);
    return write;
  }

  /** The node goes down: the first `reached` writes had become durable, the next was torn, the rest never was. */
  crash(reached: number, tornAt: TornAt): void {
    for (let i = 0; i < reached && this.pending.length > 0; i++) this.persistNext();
    const [torn] = this.pending;
    if (torn !== undefined && tornAt !== "nothing") {
      this.#writeSnapshot(torn);
      if (tornAt === "hardState") this.#writeHardState(torn);
    }
    this.pending = [];
  }

  /** A snapshot of this node's own state replaces the log up to it. */
  compact(meta: SnapshotMeta, state: StateMachine): void {
    this.snapshot = { meta, state };
    this.log.compact(meta);
  }

  /** Entries from `from` on as a LogStore would read them, or null if they are compacted away. */
  read(from: LogIndex, maxBytes: number): { prevTerm: Term; entries: Entry[] } | null {
    const prevTerm = this.log.term(from - 1);
    if (prevTerm === undefined) return null;
    const entries: Entry[] = [];
    let bytes = 0;
    for (const entry of this.log.slice(from)) {
      bytes += entryBytes(entry);
      if (bytes > maxBytes && entries.length > 0) break;
      entries.push(entry);
    }
    return { prevTerm, entries };
  }

  #writeSnapshot({ ready: { snapshot }, snapshotState }: PendingWrite): void {
    if (snapshot === null) return;
    if (snapshotState === null) throw new Error("a snapshot without its state");
    this.snapshot = { meta: snapshot, state: snapshotState };
    this.log.reset(snapshot);
  }

  #writeHardState({ ready: { hardState } }: PendingWrite): void {
    if (hardState !== null) this.hardState = hardState;
  }
}
