import { EngineError } from "../../../../src/core/errors/index.ts";
import type { LogBounds, SnapshotInfo, StoreIdentity } from "../../../../src/core/node/index.ts";
import type { Entry, HardState, LogIndex, Term } from "../../../../src/core/raft/index.ts";

export interface StoredSnapshot {
  readonly info: SnapshotInfo;
  readonly chunks: readonly Uint8Array[];
}

/** What a disk holds at one moment. Refuses what the ports forbid. */
export class DiskImage {
  identity: StoreIdentity | null = null;
  hardState: HardState | null = null;
  /** Newest first. */
  snapshots: StoredSnapshot[] = [];
  #prevIndex: LogIndex = 0;
  #prevTerm: Term = 0;
  #entries: Entry[] = [];

  clone(): DiskImage {
    const copy = new DiskImage();
    copy.identity = this.identity;
    copy.hardState = this.hardState;
    copy.snapshots = [...this.snapshots];
    copy.#prevIndex = this.#prevIndex;
    copy.#prevTerm = this.#prevTerm;
    copy.#entries = [...this.#entries];
    return copy;
  }

  get lastIndex(): LogIndex {
    return this.#prevIndex + this.#entries.length;
  }

  bounds(): LogBounds {
    return {
      firstIndex: this.#prevIndex + 1,
      lastIndex: this.lastIndex,
      prevTerm: this.#prevTerm,
      lastTerm: this.#entries.at(-1)?.term ?? this.#prevTerm,
    };
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#prevIndex || first.index > this.lastIndex + 1) {
      refuse(`an append at ${first.index} to a log of ${this.#prevIndex + 1} to ${this.lastIndex}`);
    }
    this.#entries.length = first.index - this.#prevIndex - 1;
    for (const entry of entries) {
      if (entry.index !== this.lastIndex + 1)
        refuse(`entry ${entry.index} stands where ${this.lastIndex + 1} should`);
      this.#entries.push(entry);
    }
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    if (from <= this.#prevIndex || from > to || to > this.lastIndex) {
      refuse(`a read of ${from} to ${to} from a log of ${this.#prevIndex + 1} to ${this.lastIndex}`);
    }
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#entries.slice(from - this.#prevIndex - 1, to - this.#prevIndex)) {
      bytes += entry.kind === "command" ? entry.data.length : 0;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  term(index: LogIndex): Term {
    if (index === this.#prevIndex) return this.#prevTerm;
    const entry = this.#entries[index - this.#prevIndex - 1];
    if (index < this.#prevIndex || entry === undefined) {
      return refuse(`the term at ${index} of a log of ${this.#prevIndex + 1} to ${this.lastIndex}`);
    }
    return entry.term;
  }

  compact(to: LogIndex): void {
    if (to <= this.#prevIndex) return;
    this.#prevTerm = this.term(to);
    this.#entries = this.#entries.slice(to - this.#prevIndex);
    this.#prevIndex = to;
  }

  reset(index: LogIndex, term: Term): void {
    this.#prevIndex = index;
    this.#prevTerm = term;
    this.#entries = [];
  }

  addSnapshot(snapshot: StoredSnapshot): void {
    this.dropSnapshot(snapshot.info);
    this.snapshots = [...this.snapshots, snapshot].sort((a, b) => b.info.meta.index - a.info.meta.index);
  }

  dropSnapshot({ meta }: SnapshotInfo): void {
    this.snapshots = this.snapshots.filter(({ info }) => info.meta.index !== meta.index);
  }

  snapshotAt({ meta, checksum }: SnapshotInfo): StoredSnapshot | undefined {
    return this.snapshots.find(({ info }) => info.meta.index === meta.index && info.checksum === checksum);
  }
}

function refuse(detail: string): never {
  throw new EngineError("invalidArgument", { detail });
}
